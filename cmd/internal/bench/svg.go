//go:build linux

package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
	"strings"
)

// The picture's measures, in its own units.
const (
	svgWidth = 840
	svgTop   = 74  // above the first row
	svgRow   = 24  // height of a row
	svgBar   = 12  // height of a bar
	svgLeft  = 290 // where the axis begins
	svgRight = 630 // and where it ends
	svgEdge  = 14  // around everything
)

// svgStyle has the colours for light and dark; an image in a page gets neither
// from the page.
const svgStyle = `<style>
  text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
  .title { font-size: 16px; font-weight: 600 }
  .faint { fill: #59636e; font-size: 12px }
  .end { text-anchor: end }
  .middle { text-anchor: middle }
  .back { fill: #ffffff; stroke: #d1d9e0 }
  .grid { stroke: #d1d9e0 }
  .one { stroke: #59636e }
  .bar { fill: #2a78d6 }
  .worse { fill: #d1582f }
  .goal { stroke: #1f2328; stroke-width: 2.5 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .faint { fill: #9198a1 }
    .back { fill: #0d1117; stroke: #3d444d }
    .grid { stroke: #2a3038 }
    .one { stroke: #9198a1 }
    .bar { fill: #4f97ea }
    .worse { fill: #e8794f }
    .goal { stroke: #f0f6fc }
  }
</style>
`

// bar is one row of the picture.
type bar struct {
	name, values string
	gain, goal   float64 // times better than the reference; goal 0 is none
}

// bars are the figures that the first daemon and the reference both have.
func (r *report) bars() (bars []bar) {
	kind := r.daemons[0]
	for _, f := range r.figures {
		gain := f.gain(r.ratio(f, kind))
		if gain == 0 || kind == r.reference() {
			continue
		}
		values := fmt.Sprintf("%s : %s %s", short(r.median(f, kind)), short(r.median(f, r.reference())), f.Unit)
		bars = append(bars, bar{f.Name, values, gain, f.gain(f.Goal.Ratio)})
	}
	return bars
}

// axis places values on a logarithmic scale.
type axis struct{ low, high float64 }

// newAxis spans 1, all gains and all goals.
func newAxis(bars []bar) axis {
	a := axis{1, 2}
	for _, b := range bars {
		a.low, a.high = min(a.low, b.gain), max(a.high, b.gain, b.goal)
	}
	return axis{a.low / 1.15, a.high * 1.15}
}

func (a axis) at(value float64) float64 {
	return svgLeft + (svgRight-svgLeft)*math.Log(value/a.low)/math.Log(a.high/a.low)
}

// ticks are the round values on the axis, few enough to be read.
func (a axis) ticks() (ticks []float64) {
	steps := []float64{1, 2, 5}
	if a.high/a.low > 500 {
		steps = []float64{1}
	}
	for power := math.Pow(10, math.Floor(math.Log10(a.low))); power <= a.high; power *= 10 {
		for _, step := range steps {
			if tick := step * power; tick >= a.low && tick <= a.high {
				ticks = append(ticks, tick)
			}
		}
	}
	return ticks
}

// svg draws how many times better the first daemon is than the reference, and
// its goals.
func (r *report) svg() []byte {
	bars := r.bars()
	a := newAxis(bars)
	bottom := svgTop + svgRow*len(bars)
	var b bytes.Buffer
	title := fmt.Sprintf("%s beside %s: how many times better", r.daemons[0], r.reference())
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="%s">`+"\n",
		svgWidth, bottom+2*svgEdge+6, escape(title))
	b.WriteString(svgStyle)
	fmt.Fprintf(&b, `<rect class="back" x=".5" y=".5" width="%d" height="%d" rx="6"/>`+"\n", svgWidth-1, bottom+2*svgEdge+5)
	fmt.Fprintf(&b, `<text class="title" x="%d" y="28">%s</text>`+"\n", svgEdge, escape(title))
	fmt.Fprintf(&b, `<line class="goal" x1="%d" y1="38" x2="%d" y2="52"/><text class="faint" x="%d" y="50">goal; a longer bar is better, whatever is measured</text>`+"\n",
		svgEdge+2, svgEdge+2, svgEdge+10)
	fmt.Fprintf(&b, `<text class="faint end" x="%d" y="50">%s : %s</text>`+"\n", svgWidth-svgEdge, r.daemons[0], r.reference())
	for _, tick := range a.ticks() {
		class := "grid"
		if tick == 1 {
			class = "one"
		}
		fmt.Fprintf(&b, `<line class="%s" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/>`, class, a.at(tick), svgTop-8, a.at(tick), bottom)
		fmt.Fprintf(&b, `<text class="faint middle" x="%.1f" y="%d">%s×</text>`+"\n", a.at(tick), bottom+16, short(tick))
	}
	for i, bar := range bars {
		bar.draw(&b, a, svgTop+svgRow*i)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// draw writes one row whose upper edge is at y.
func (x bar) draw(b *bytes.Buffer, a axis, y int) {
	class, from, to := "bar", a.at(1), a.at(x.gain)
	if x.gain < 1 {
		class, from, to = "worse", to, from
	}
	text := y + svgBar - 1
	fmt.Fprintf(b, `<text x="%d" y="%d">%s</text>`, svgEdge, text, escape(x.name))
	fmt.Fprintf(b, `<rect class="%s" x="%.1f" y="%d" width="%.1f" height="%d" rx="2"><title>%s: %s×</title></rect>`,
		class, from, y, max(1, to-from), svgBar, escape(x.name), short(x.gain))
	if x.goal != 0 {
		fmt.Fprintf(b, `<line class="goal" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/>`, a.at(x.goal), y-3, a.at(x.goal), y+svgBar+3)
	}
	fmt.Fprintf(b, `<text class="end" x="%d" y="%d">%s</text>`+"\n", svgWidth-svgEdge, text, escape(x.values))
}

func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // writing to a Builder never fails
	return b.String()
}
