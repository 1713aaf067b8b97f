package top

import (
	"fmt"
	"strings"
	"time"

	"vpn/cmd/internal/report"
	"vpn/cmd/internal/status"
)

const (
	minColumns = 60
	minLines   = 10
	tallLines  = 32 // from there on the selected peer has plots of its own
	detailRows = 6  // that a peer has details for, at most
)

// plotLines is how high the plots of the selected peer are.
func (v *view) plotLines() int { return (v.lines-tallLines)/3 + 4 }

// view draws a model on a screen of a size.
type view struct {
	*model
	look        Look
	wide, lines int
	drawn       []string
}

// draw returns the lines of a screen of that size, not more than it has.
func (m *model) draw(look Look, columns, lines int) []string {
	v := &view{model: m, look: look, wide: columns, lines: lines}
	if columns < minColumns || lines < minLines {
		v.add(func(l *line) {
			l.put(plain, fmt.Sprintf("vpn top needs %d columns and %d lines: here are %d and %d", minColumns, minLines, columns, lines))
		})
		return v.drawn
	}
	v.add(v.head)
	v.add(v.state)
	v.add(v.titles)
	below := 1
	if m.details {
		below += 1 + detailRows
	}
	if m.details && lines >= tallLines {
		below += v.plotLines() + 1
	}
	m.page = max(lines-len(v.drawn)-below, 1)
	m.follow()
	v.list()
	for len(v.drawn) < lines-below {
		v.add(func(*line) {})
	}
	if m.details {
		v.drawDetails()
	}
	for len(v.drawn) < lines-1 {
		v.add(func(*line) {})
	}
	v.add(v.foot)
	return v.drawn[:lines]
}

func (v *view) add(draw func(l *line)) {
	l := &line{look: v.look, wide: v.wide}
	draw(l)
	v.drawn = append(v.drawn, strings.TrimRight(l.text.String(), " "))
}

// head is the line on top: the interface, or how many there are, and the sums over all of their peers.
func (v *view) head(l *line) {
	up, in, out := 0, 0.0, 0.0
	for _, r := range v.rows {
		if r.verdict.State == report.Up {
			up++
		}
		rIn, rOut := r.rates()
		in, out = in+rIn, out+rOut
	}
	switch len(v.links) {
	case 0:
		l.put(bold, "vpn top")
	case 1:
		i := v.links[0].Interface
		text, c := status.Condition(i)
		l.put(bold, i.Name)
		l.put(plain, "  ")
		l.put(c, text)
	default:
		l.put(bold, fmt.Sprintf("%d interfaces", len(v.links)))
		for _, i := range v.links {
			if text, c := status.Condition(i.Interface); text != "up" && l.used < v.wide/3 {
				l.put(c, fmt.Sprintf("  %s %s", i.Name, text))
			}
		}
	}
	l.put(plain, fmt.Sprintf("  %s, %d up", counted(len(v.rows), "peer"), up))
	sums := "in " + report.Rate(in) + "  out " + report.Rate(out)
	l.to(v.wide - len(sums))
	if l.used > v.wide-len(sums) {
		l.put(plain, "  ")
	}
	l.put(plain, sums)
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// state is the line that says how the list came about, or what is wrong.
func (v *view) state(l *line) {
	text := "by " + orderNames[v.order]
	if v.backward {
		text += ", reversed"
	}
	l.put(dim, text)
	if v.filter != "" {
		l.put(dim, fmt.Sprintf("  %d with %q", len(v.shown), v.filter))
	}
	if v.paused {
		l.put(yellow, "  paused")
	}
	for _, text := range v.troubles {
		l.put(red, "  "+text)
	}
	for _, i := range v.links {
		for _, fault := range i.Faults {
			l.put(yellow, "  "+i.Name+": "+fault)
		}
	}
}

// columns are the widths of the list.
type columns struct{ link, name, state, bar, age, rate, plot int }

const marker = 2 // columns before a row

// columns shares out what the screen has: rates need what they need, names get up to a key's length, plots the rest; on a wide screen the
// state is in words.
func (v *view) columns() columns {
	c := columns{name: 12, state: 10, bar: 8, age: 5, rate: 11}
	if len(v.links) > 1 {
		c.link = 4
		for _, i := range v.links {
			c.link = max(c.link, len(i.Name))
		}
	}
	used := marker + c.name + 1 + c.state + 1 + c.bar + 1 + c.age + 1 + 2*(c.rate+1) + 1 // and one between the plots
	if c.link != 0 {
		used += c.link + 1
	}
	left := max(v.wide-used, 0)
	give := func(to *int, n int) {
		n = max(min(n, left), 0)
		*to += n
		left -= n
	}
	plots := 0
	give(&plots, 14)
	give(&c.name, min(left/3, v.longestName()-c.name))
	give(&c.bar, min(left/6, 8))
	if left >= 60 {
		give(&c.state, 30)
	}
	give(&plots, left)
	c.plot = max(plots/2, 0)
	return c
}

// longestName is that of the rows on the screen.
func (v *view) longestName() (n int) {
	for _, r := range v.visible() {
		n = max(n, v.look.columns(r.peer.Title()))
	}
	return n
}

func (v *view) visible() []*row {
	return v.shown[v.first:min(v.first+v.page, len(v.shown))]
}

func (v *view) titles(l *line) {
	c := v.columns()
	mark := func(o order, text string) string {
		switch {
		case v.order != o:
			return text
		case v.backward:
			return text + v.look.sign("▲", "^")
		}
		return text + v.look.sign("▼", "v")
	}
	l.to(marker)
	if c.link != 0 {
		l.cell(bold, "LINK", c.link)
	}
	l.cell(bold, mark(byName, "PEER"), c.name)
	l.cell(bold, mark(byState, "STATE"), c.state)
	l.cell(bold, mark(byAge, "SESSION"), c.bar+1+c.age)
	in, out := mark(byIn, "IN"), mark(byOut, "OUT")
	if v.order == byTraffic {
		in, out = mark(byTraffic, in), mark(byTraffic, out)
	}
	l.number(bold, in, c.rate)
	l.to(l.used + c.plot + 1)
	l.number(bold, out, c.rate)
}

func (v *view) list() {
	c := v.columns()
	rows := v.visible()
	switch {
	case len(v.links) == 0:
		v.add(func(l *line) { l.put(plain, "  No WireGuard interface is there. \"vpn up NAME\" brings one up.") })
	case len(v.rows) == 0:
		v.add(func(l *line) { l.put(plain, "  No peer is configured. \"vpn peer add\" makes one.") })
	case len(rows) == 0:
		v.add(func(l *line) { l.put(plain, fmt.Sprintf("  No peer has %q. Escape takes the filter away.", v.filter)) })
	}
	selected := v.at()
	for n, r := range rows {
		v.add(func(l *line) { v.drawRow(l, r, c, v.first+n == selected) })
	}
}

func (v *view) drawRow(l *line, r *row, c columns, selected bool) {
	name := plain
	if selected {
		l.put(bold, v.look.sign("▶", ">"))
		name = bold
	}
	l.to(marker)
	if c.link != 0 {
		l.cell(plain, r.id.link, c.link)
	}
	l.cell(name, r.peer.Title(), c.name)
	state := string(r.verdict.State)
	if c.state > 20 {
		state = r.verdict.Text
	}
	l.cell(status.Colours[r.verdict.State], state, c.state)
	v.drawSession(l, r, c)
	in, out := r.rates()
	top := highest(c.plot, r.in, r.out)
	v.drawRate(l, in, r.in, top, c, green)
	v.drawRate(l, out, r.out, top, c, blue)
}

func (v *view) drawSession(l *line, r *row, c columns) {
	end := l.used + c.bar + 1 + c.age + 1
	if age, ok := r.age(); ok {
		left := r.left()
		full, rest := v.look.bar(left, c.bar)
		colour := green
		if left < 0.1 {
			colour = yellow
		}
		l.put(colour, full)
		l.put(dim, rest)
		l.number(plain, fmt.Sprintf("%d s", int(age/time.Second)), c.age+1)
	}
	l.to(end)
}

func (v *view) drawRate(l *line, rate float64, past []float32, top float32, c columns, colour status.Paint) {
	text, paint := report.Rate(rate), plain
	if rate == 0 {
		text, paint = "-", dim
		if len(past) == 0 {
			text = ""
		}
	}
	l.number(paint, text, c.rate)
	end := l.used + c.plot
	l.put(colour, v.look.plot(past, top, c.plot, 1)[0])
	l.to(end + 1)
}

// drawDetails is what `vpn status` says of the selected peer, and on a tall screen its rates.
func (v *view) drawDetails() {
	if len(v.shown) == 0 {
		return
	}
	r := v.shown[v.at()]
	v.add(func(l *line) {
		rule := v.look.sign("─", "-")
		l.put(dim, strings.Repeat(rule, 2)+" ")
		l.put(bold, r.peer.Title())
		l.put(plain, "  ")
		l.put(status.Colours[r.verdict.State], r.verdict.Text)
		l.put(plain, " ")
		l.put(dim, strings.Repeat(rule, max(v.wide-l.used, 0)))
	})
	if v.lines >= tallLines {
		v.drawPlots(r)
	}
	for _, e := range status.Details(r.link, r.peer) {
		v.add(func(l *line) {
			l.to(marker)
			l.cell(dim, e.Label, 10)
			l.cell(plain, strings.Join(e.Parts, e.Between+" "), v.wide-l.used-1)
		})
	}
}

// drawPlots draws a peer's rates beside each other, in one scale, which stands above them.
func (v *view) drawPlots(r *row) {
	room := (v.wide - 3*marker) / 2
	top := highest(room, r.in, r.out)
	in, out := v.look.plot(r.in, top, room, v.plotLines()), v.look.plot(r.out, top, room, v.plotLines())
	v.add(func(l *line) {
		l.to(marker)
		l.cell(dim, "in, up to "+report.Rate(float64(top)), room)
		l.to(2*marker + room)
		l.cell(dim, "out", room)
	})
	for n := range in {
		v.add(func(l *line) {
			l.to(marker)
			l.put(green, in[n])
			l.to(2*marker + room)
			l.put(blue, out[n])
		})
	}
}

// foot is the line of keys, or of the filter while it is typed.
func (v *view) foot(l *line) {
	if v.typing {
		l.put(bold, "filter: ")
		l.put(plain, v.filter+v.look.sign("█", "_"))
		l.to(max(l.used+2, 30))
		l.put(dim, "enter keeps it, escape takes it away")
		return
	}
	keys := []struct{ key, does string }{
		{"q", "quit"}, {v.look.sign("↑↓", "jk"), "select"}, {"s", "sort"}, {"r", "reverse"}, {"/", "filter"}, {"space", "pause"}, {"enter", "details"},
	}
	for _, k := range keys {
		l.put(bold, k.key)
		l.put(plain, " "+k.does+"   ")
	}
}
