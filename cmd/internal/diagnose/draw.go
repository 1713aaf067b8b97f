package diagnose

import (
	"io"
	"strings"
)

const (
	width  = 80
	indent = "    "
)

const (
	bold  = "\x1b[1m"
	red   = "\x1b[31m"
	green = "\x1b[32m"
	dim   = "\x1b[2m"
	reset = "\x1b[0m"
)

// Draw writes a result for people: each finding with what it rests on (-) and what to do (>).
func Draw(w io.Writer, r *Result, colour bool) error {
	var b strings.Builder
	paint := func(c, text string) string {
		if !colour {
			return text
		}
		return c + text + reset
	}
	for n, f := range r.Findings {
		if n > 0 {
			b.WriteByte('\n')
		}
		who, c := r.Interface, red
		if !f.Peer.IsZero() {
			who = f.PeerName
			if who == "" {
				who = f.Peer.String()
			}
		}
		if f.Verdict == Healthy {
			c = green
		}
		b.WriteString(paint(bold, who) + "  " + paint(c, string(f.Verdict)) + "\n")
		wrap(&b, indent, indent, f.Text)
		for _, text := range f.Evidence {
			wrap(&b, indent+paint(dim, "-")+" ", indent+"  ", text)
		}
		for _, text := range f.Advice {
			wrap(&b, indent+paint(bold, ">")+" ", indent+"  ", text)
		}
	}
	if len(r.Findings) == 0 {
		b.WriteString(paint(bold, r.Interface) + "  it has no peers\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// wrap writes text on as many lines as it takes; words are not broken.
func wrap(b *strings.Builder, first, rest, text string) {
	b.WriteString(first)
	used := len(rest)
	for n, word := range strings.Fields(text) {
		if n > 0 && used+1+len(word) > width {
			b.WriteString("\n" + rest)
			used = len(rest)
		} else if n > 0 {
			b.WriteByte(' ')
			used++
		}
		b.WriteString(word)
		used += len(word)
	}
	b.WriteByte('\n')
}
