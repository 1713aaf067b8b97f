package conf

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"vpn/noise/key"
)

// textSize is the length of a key in base64.
const textSize = 44

// readKey decodes a key into out. What it says of a bad one never holds any of
// its text, and no copy of the text is left.
func readKey(text []byte, out *[key.Size]byte) problem {
	var buf [2 * textSize]byte
	defer clear(buf[:])
	n := 0
	for _, c := range text {
		if strings.IndexByte(space, c) >= 0 {
			continue
		}
		if n < len(buf) {
			buf[n] = c
		}
		n++
	}
	if n != textSize {
		p := bad(fmt.Sprintf("%d characters long, a key has %d", n, textSize))
		if n == 2*key.Size && isHex(buf[:n]) {
			p.hint = "this is a key in hexadecimal; the file takes base64"
		}
		return p
	}
	for i, c := range buf[:n] {
		if !isBase64(c) && (c != '=' || i != n-1) {
			return bad("has a character that is not of the base64 alphabet")
		}
	}
	var decoded [textSize / 4 * 3]byte
	defer clear(decoded[:])
	if size, err := base64.StdEncoding.Strict().Decode(decoded[:], buf[:n]); err != nil || size != key.Size {
		return bad("its last characters are not those of a key")
	}
	copy(out[:], decoded[:])
	return problem{}
}

func isHex(b []byte) bool {
	var out [key.Size]byte
	defer clear(out[:])
	_, err := hex.Decode(out[:], b)
	return err == nil
}

func isBase64(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '+' || c == '/'
}

// looksSecret says whether s has a key in it, or a good part of one: a long run
// of base64 such as no name, address or path has.
func looksSecret(s string) bool {
	const long, tooLong = 20, 32
	run, lower, upper, other := 0, false, false, false
	for i := range len(s) {
		c := s[i]
		if !isBase64(c) {
			run, lower, upper, other = 0, false, false, false
			continue
		}
		run++
		lower = lower || c >= 'a' && c <= 'z'
		upper = upper || c >= 'A' && c <= 'Z'
		other = other || c < 'A'
		if run >= tooLong || run >= long && lower && upper && other {
			return true
		}
	}
	return false
}

// shown is a value as an error may quote it.
func shown(s string) string {
	const most = 120
	if looksSecret(s) {
		return "(hidden)"
	}
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}

// shownName is a setting's name as an error may quote it, or nothing: what
// stands before the first `=` of a broken line may be a key.
func shownName(b []byte) string {
	const most = 24
	if len(b) == 0 || len(b) > most {
		return ""
	}
	for _, c := range b {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '_' && c != '-' && c != ' ' {
			return ""
		}
	}
	return string(b)
}
