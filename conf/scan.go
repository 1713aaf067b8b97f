package conf

import (
	"bytes"
	"iter"
	"strings"
)

// kind is what a line is, before anything is known of what it means.
type kind uint8

const (
	blank kind = iota
	comment
	section   // [name]
	setting   // name = value
	directive // #vpn: name = value
	friendly  // # friendly_name = value
	nearMiss  // a comment that was meant to be a directive
	malformed // none of these
)

// line is one line of a file. The texts of all lines, joined, are the file
// again: to edit a file is to replace some of them. All slices lie in the file's
// own bytes, so that no copy of a key is made.
type line struct {
	number int    // from 1
	text   []byte // the whole line, with its end and, in the first, the byte order mark
	kind   kind
	name   []byte // as it is written, without space around it; of malformed, nothing
	value  []byte // without space around it and comment after it
	after  []byte // the comment after the value, from its `#`
}

// utf8Mark is what some editors write at the start of a file.
var utf8Mark = []byte("\xef\xbb\xbf")

// space is what `wg` takes for white space.
const space = " \t\n\v\f\r"

// scan takes a file apart into its lines.
func scan(text []byte) iter.Seq[line] {
	return func(yield func(line) bool) {
		for number := 1; len(text) > 0; number++ {
			end := bytes.IndexByte(text, '\n') + 1
			if end == 0 {
				end = len(text)
			}
			l := line{number: number, text: text[:end]}
			text = text[end:]
			body := l.text
			if number == 1 {
				body = bytes.TrimPrefix(body, utf8Mark)
			}
			l.classify(bytes.Trim(body, space))
			if !yield(l) {
				return
			}
		}
	}
}

func (l *line) classify(body []byte) {
	switch {
	case len(body) == 0:
		l.kind = blank
	case body[0] == '#':
		l.kind, l.name, l.value = classifyComment(body)
	case body[0] == '[':
		head, after := cutComment(body)
		l.after = after
		if head[len(head)-1] != ']' {
			l.kind = malformed
			return
		}
		l.kind, l.name = section, bytes.Trim(head[1:len(head)-1], space)
	default:
		l.classifySetting(body)
	}
}

func (l *line) classifySetting(body []byte) {
	name, value, ok := bytes.Cut(body, []byte{'='})
	if !ok || bytes.IndexByte(name, '#') >= 0 {
		l.kind = malformed
		return
	}
	l.kind, l.name = setting, bytes.Trim(name, space)
	l.value = bytes.Trim(value, space)
	if !isHook(l.name) { // in a command, whether `#` begins a comment is for bash to say
		l.value, l.after = cutComment(l.value)
	}
}

// cutComment takes off what a `#` begins.
func cutComment(b []byte) (before, after []byte) {
	i := bytes.IndexByte(b, '#')
	if i < 0 {
		return b, nil
	}
	return bytes.TrimRight(b[:i], space), b[i:]
}

func isHook(name []byte) bool {
	switch strings.ToLower(string(name)) {
	case "preup", "postup", "predown", "postdown":
		return true
	}
	return false
}

// classifyComment tells directives from comments. A second `#` before the word
// makes a directive a comment, as a first one does a setting.
func classifyComment(body []byte) (k kind, name, value []byte) {
	text := bytes.Trim(body[1:], space)
	if bytes.HasPrefix(text, []byte{'#'}) {
		return comment, nil, nil
	}
	if rest, ok := cutWord(text, "vpn"); ok && len(rest) > 0 && rest[0] == ':' {
		name, value, _ = bytes.Cut(rest[1:], []byte{'='})
		if name = bytes.Trim(name, space); !takesAll(name) {
			value, _ = cutComment(value)
		}
		return directive, name, bytes.Trim(value, space)
	}
	if rest, ok := cutWord(text, "friendly_name"); ok && len(rest) > 0 && rest[0] == '=' {
		return friendly, nil, bytes.Trim(rest[1:], space)
	}
	if name := missed(text); name != "" {
		return nearMiss, []byte(name), nil
	}
	return comment, nil, nil
}

// takesAll says whether a directive's value is the rest of its line, and may
// have a `#` in it.
func takesAll(name []byte) bool {
	switch strings.ToLower(string(name)) {
	case "name", "privatekeyfile", "presharedkeyfile":
		return true
	}
	return false
}

// cutWord takes a word in any case off the start of b, and the space after it.
func cutWord(b []byte, word string) (rest []byte, ok bool) {
	if len(b) < len(word) || !strings.EqualFold(string(b[:len(word)]), word) {
		return nil, false
	}
	return bytes.TrimLeft(b[len(word):], space), true
}

// missed returns the directive that a comment was meant to be, if it was: one
// with `vpn` or something like it, a directive's name and `=`.
func missed(text []byte) string {
	const separators = " \t:;,.-_/|>()[]"
	before, _, ok := bytes.Cut(text, []byte{'='})
	if !ok || len(before) > 64 {
		return ""
	}
	words := strings.FieldsFunc(strings.ToLower(string(before)), func(r rune) bool {
		return strings.ContainsRune(separators, r)
	})
	switch len(words) {
	case 1: // #vpnName = x
		name, ok := strings.CutPrefix(words[0], "vpn")
		if ok && isDirective(name) {
			return directiveName(name)
		}
	case 2: // #vpn Name = x, #vnp: Name = x
		if near(words[0], "vpn", 1) && isDirective(words[1]) {
			return directiveName(words[1])
		}
	}
	return ""
}
