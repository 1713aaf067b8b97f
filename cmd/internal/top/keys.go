package top

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// What keys are called that print nothing. Others are called as what they print.
const (
	keyUp        = "up"
	keyDown      = "down"
	keyLeft      = "left"
	keyRight     = "right"
	keyPageUp    = "page up"
	keyPageDown  = "page down"
	keyHome      = "home"
	keyEnd       = "end"
	keyEnter     = "enter"
	keyEscape    = "escape"
	keyErase     = "erase"
	keyClear     = "clear"
	keyInterrupt = "interrupt"
	keySuspend   = "suspend"
	keyRedraw    = "redraw"
)

// sequences are what terminals send for keys, after ESC.
var sequences = map[string]string{
	"[A": keyUp, "[B": keyDown, "[C": keyRight, "[D": keyLeft, "OA": keyUp, "OB": keyDown, "OC": keyRight, "OD": keyLeft,
	"[5~": keyPageUp, "[6~": keyPageDown, "[H": keyHome, "[F": keyEnd, "OH": keyHome, "OF": keyEnd,
	"[1~": keyHome, "[4~": keyEnd, "[7~": keyHome, "[8~": keyEnd,
}

var controls = map[byte]string{
	'\r': keyEnter, '\n': keyEnter, 0x7f: keyErase, '\b': keyErase, 0x15: keyClear, 3: keyInterrupt, 4: keyInterrupt, 0x1a: keySuspend, 0x0c: keyRedraw,
}

// parseKeys takes what was read apart. What a terminal sends for one key comes in one read but for an odd case; the part of a character that
// is cut off is the rest.
func parseKeys(b []byte) (keys []string, rest []byte) {
	for len(b) > 0 {
		switch name, ok := controls[b[0]]; {
		case ok:
			keys, b = append(keys, name), b[1:]
		case b[0] == 0x1b:
			n := sequenceLength(b[1:])
			if name := sequences[string(b[1:1+n])]; name != "" {
				keys = append(keys, name)
			} else if n == 0 {
				keys = append(keys, keyEscape)
			}
			b = b[1+n:]
		case !utf8.FullRune(b):
			return keys, b
		default:
			r, n := utf8.DecodeRune(b)
			if r != utf8.RuneError && unicode.IsPrint(r) {
				keys = append(keys, string(r))
			}
			b = b[n:]
		}
	}
	return keys, nil
}

// sequenceLength is how long the escape sequence is that b begins with behind its ESC, 0 if there is none.
func sequenceLength(b []byte) int {
	if len(b) < 2 || b[0] != '[' && b[0] != 'O' {
		return 0
	}
	for n := 1; n < len(b); n++ {
		if b[n] >= 0x40 && b[n] <= 0x7e {
			return n + 1
		}
	}
	return len(b)
}

// printable says whether a key is a character and not one that has only a name.
func printable(k string) bool {
	return k != "" && utf8.RuneCountInString(k) == 1 && !strings.ContainsRune(k, utf8.RuneError)
}
