package conf

import (
	"strconv"
	"strings"
)

// Error is what is wrong with a file, and where. No field ever holds a key.
type Error struct {
	File    string
	Line    int    // 0: the file as a whole
	Key     string // the setting, spelt as it is documented; empty if the line has none
	Value   string // what was written; empty for keys
	Message string
	Hint    string // what to do about it, if that is known; not part of Error()
}

// Error reads `wg0.conf:12: AllowedIPs "10.0.0.0/33": prefix length exceeds 32`.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line != 0 {
		b.WriteByte(':')
		b.WriteString(strconv.Itoa(e.Line))
	}
	b.WriteString(": ")
	if e.Key != "" {
		b.WriteString(e.Key)
		if e.Value != "" {
			b.WriteByte(' ')
			b.WriteString(strconv.Quote(e.Value))
		}
		b.WriteString(": ")
	}
	b.WriteString(e.Message)
	return b.String()
}

// Warning is what is odd about a file without making it unusable.
type Warning Error

// String reads as an [Error] does.
func (w Warning) String() string { return (*Error)(&w).Error() }
