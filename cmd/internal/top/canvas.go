package top

import (
	"strings"
	"unicode"

	"golang.org/x/text/width"

	"vpn/cmd/internal/status"
)

// Look is how a terminal can be written to.
type Look struct{ Colour, Unicode bool }

const (
	plain  status.Paint = ""
	bold   status.Paint = "\x1b[1m"
	dim    status.Paint = "\x1b[2m"
	red    status.Paint = "\x1b[31m"
	green  status.Paint = "\x1b[32m"
	yellow status.Paint = "\x1b[33m"
	blue   status.Paint = "\x1b[34m"
	cyan   status.Paint = "\x1b[36m"
)

// sign picks one of two ways to write something.
func (l Look) sign(unicode, ascii string) string {
	if l.Unicode {
		return unicode
	}
	return ascii
}

// line is a line of the screen as it is made, from left to right. It never gets wider than the screen.
type line struct {
	look Look
	text strings.Builder
	used int // columns
	wide int
}

// put appends text in a colour, as much of it as there is room for.
func (l *line) put(c status.Paint, text string) {
	text, used := l.look.cut(text, l.wide-l.used)
	if text == "" {
		return
	}
	l.used += used
	if l.look.Colour && c != plain {
		text = c.On(text)
	}
	l.text.WriteString(text)
}

// to moves to a column, if it is not there or further already.
func (l *line) to(column int) {
	if n := min(column, l.wide) - l.used; n > 0 {
		l.text.WriteString(strings.Repeat(" ", n))
		l.used += n
	}
}

// cell appends text in so many columns, and a space. What is too long ends in a sign that says so.
func (l *line) cell(c status.Paint, text string, columns int) {
	end := l.used + columns
	if l.look.columns(text) > columns {
		more := l.look.sign("…", "~")
		text, _ = l.look.cut(text, columns-1)
		text += more
	}
	l.put(c, text)
	l.to(end + 1)
}

// number appends text at the right end of so many columns, and a space.
func (l *line) number(c status.Paint, text string, columns int) {
	end := l.used + columns
	l.to(end - l.look.columns(text))
	l.put(c, text)
	l.to(end + 1)
}

// cut returns what of text goes into so many columns of a terminal, as it can be shown there, and how many it takes.
func (l Look) cut(text string, columns int) (shown string, used int) {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r > unicode.MaxASCII && !l.Unicode:
			r = '?'
		case unicode.IsControl(r):
			r = ' '
		}
		w := columnsOf(r)
		if used+w > columns {
			break
		}
		used += w
		b.WriteRune(r)
	}
	return b.String(), used
}

// columns is how many columns text takes.
func (l Look) columns(text string) int {
	_, used := l.cut(text, 1<<30)
	return used
}

func columnsOf(r rune) int {
	switch {
	case r < unicode.MaxASCII:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}
