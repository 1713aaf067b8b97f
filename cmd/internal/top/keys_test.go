package top

import (
	"slices"
	"strings"
	"testing"

	"vpn/cmd/internal/report"
	"vpn/cmd/internal/status"
	"vpn/noise/key"
)

// TestParseKeys has keys as terminals send them, several in a read, and characters that are cut in two.
func TestParseKeys(t *testing.T) {
	for text, want := range map[string]string{
		"q": "q", "\x1b": keyEscape, "\x1b[A\x1bOB": "up,down", "\x1b[5~j": "page up,j", "ä\r": "ä,enter", "\x1b[1;5C": "", "\x1b[<0;1;1M": "",
		"\x03\x1a\x7f\x15": "interrupt,suspend,erase,clear", "\x1bq": "escape,q", "\xff": "", "\x1b[": "escape,[",
	} {
		keys, rest := parseKeys([]byte(text))
		if got := strings.Join(keys, ","); got != want || len(rest) > 0 {
			t.Errorf("%q is %q and %q is left, want %q", text, got, rest, want)
		}
	}
	keys, rest := parseKeys([]byte("a\xc3"))
	more, _ := parseKeys(append(rest, 0xa4))
	if !slices.Equal(append(keys, more...), []string{"a", "ä"}) {
		t.Errorf("a character in two reads is %q and %q", keys, more)
	}
}

// TestLinesFit draws hostile and long things on screens of all sizes: no line is wider than the screen, and there are not too many.
func TestLinesFit(t *testing.T) {
	m := newModel()
	link := report.Interface{Name: "wg0", Engine: report.EngineVPN, LinkUp: true, Listening: true, PublicKey: key.Public{1}, Faults: []string{strings.Repeat("fault ", 50)}}
	other := link
	other.Name, other.LinkUp = "fifteen-letters", false
	peers := []report.Peer{
		{PublicKey: key.Public{1}, Name: "e\u0301\u200b 山田山田山田山田山田山田山田\x1b[2J\n"},
		{PublicKey: key.Public{2}, Configured: strings.Repeat("x", 300), LookupError: strings.Repeat("y", 300)},
	}
	m.take(turn{links: []status.Interface{{Interface: &link, Peers: peers}, {Interface: &other, Peers: peers}}, troubles: []string{strings.Repeat("z", 300)}})
	for _, look := range []Look{{}, {Unicode: true}} {
		for columns := 1; columns < 300; columns += 3 {
			for _, lines := range []int{1, 5, minLines, 24, tallLines, 70} {
				drawn := m.draw(look, columns, lines)
				if len(drawn) > lines {
					t.Fatalf("%d lines on a screen of %d", len(drawn), lines)
				}
				for _, l := range drawn {
					if w := look.columns(l); w > columns || strings.ContainsAny(l, "\x1b\n") {
						t.Fatalf("on %d columns a line has %d: %q", columns, w, l)
					}
				}
			}
		}
	}
}
