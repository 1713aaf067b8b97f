package metrics

import (
	"io"
	"math"
	"strconv"
	"strings"
)

// contentType is that of Prometheus's text format, which every version of it reads.
const contentType = "text/plain; version=0.0.4; charset=utf-8"

// page is the text of one scrape, family by family.
type page [families][]byte

// labels are what stands between the braces.
type labels string

// with adds a label. The name is one of ours, the value may be anything.
func (l labels) with(name, value string) labels {
	if l != "" {
		l += ","
	}
	return l + labels(name+`="`+escape.Replace(strings.ToValidUTF8(value, "?"))+`"`)
}

var escape = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

// add tells a number.
func (p *page) add(f family, l labels, value float64) {
	p[f] = appendSample(p[f], described[f].name, "", l, value)
}

// count tells a count.
func (p *page) count(f family, l labels, value uint64) { p.add(f, l, float64(value)) }

// truth tells 1 or 0.
func (p *page) truth(f family, l labels, is bool) {
	value := 0.0
	if is {
		value = 1
	}
	p.add(f, l, value)
}

// histogram tells counts by bound, each of which is without those before it; the last count has no bound.
func (p *page) histogram(f family, l labels, bounds []float64, counts []uint64, sum float64) {
	name, b := described[f].name, p[f]
	total := uint64(0)
	for i, n := range counts {
		total += n
		bound := math.Inf(1)
		if i < len(bounds) {
			bound = bounds[i]
		}
		b = appendSample(b, name, "_bucket", l.with("le", string(appendNumber(nil, bound))), float64(total))
	}
	b = appendSample(b, name, "_sum", l, sum)
	p[f] = appendSample(b, name, "_count", l, float64(total))
}

func appendSample(b []byte, name, suffix string, l labels, value float64) []byte {
	b = append(append(b, name...), suffix...)
	if l != "" {
		b = append(append(append(b, '{'), l...), '}')
	}
	return append(appendNumber(append(b, ' '), value), '\n')
}

func appendNumber(b []byte, value float64) []byte {
	if math.IsInf(value, 1) {
		return append(b, "+Inf"...)
	}
	const exact = 1 << 53 // every whole number below has a float64 of its own
	if value == math.Trunc(value) && math.Abs(value) < exact {
		return strconv.AppendInt(b, int64(value), 10)
	}
	return strconv.AppendFloat(b, value, 'g', -1, 64)
}

// writeTo writes the families that have anything to tell.
func (p *page) writeTo(w io.Writer) error {
	for f, samples := range p {
		if len(samples) == 0 {
			continue
		}
		d := &described[f]
		if _, err := io.WriteString(w, "# HELP "+d.name+" "+d.help+"\n# TYPE "+d.name+" "+d.kind+"\n"); err != nil {
			return err
		}
		if _, err := w.Write(samples); err != nil {
			return err
		}
	}
	return nil
}
