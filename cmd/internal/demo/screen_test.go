package demo

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// play shows all of a run with fixed data.
func play(o Options) []byte {
	var b bytes.Buffer
	o.Out = &b
	s, r, p := newScreen(o), sample(), wholePlan
	file := func(name string) *configFile {
		return &configFile{path: "/tmp/vpn-demo-1/" + name, shown: []string{
			"[Interface]", "PrivateKey = (hidden)", "#vpn: RekeyAfterPackets = 2000", "", "[Peer]", "PublicKey = " + strings.Repeat("x", 43) + "=",
		}}
	}
	s.title([]string{"A title."})
	s.configs("/tmp/vpn-demo-1", file("server.conf"), file("client.conf"))
	s.download("http://10.77.0.1", &p)
	first := r.Sessions[0]
	first.Why = ""
	s.change(change{Session: first, number: 1, at: first.Began}, r.Limit)
	s.begin(p.size)
	for i := range 21 {
		s.progress(time.Duration(i)*time.Second, uint64(i)*uint64(p.size)/20)
		switch i {
		case 5:
			second := r.Sessions[1]
			second.Why = ""
			s.change(change{Session: second, number: 2, before: first.Name, at: second.Began}, r.Limit)
		case 10:
			s.change(change{Session: r.Sessions[0], number: 1, at: r.Sessions[0].Ended}, r.Limit)
		}
	}
	s.again(2, p.rekeys)
	s.fetched(r)
	s.progress(time.Minute, 1)
	s.burst(p.burst)
	s.bursted(r)
	s.closing()
	last := r.Sessions[3]
	s.change(change{Session: last, number: 4, at: last.Ended}, r.Limit)
	s.report(r)
	s.end()
	return b.Bytes()
}

func TestScreen(t *testing.T) {
	golden(t, "plain.txt", play(Options{}))
	golden(t, "terminal.txt", play(Options{Terminal: true, Colour: true, Unicode: true}))
	if got := play(Options{JSON: true}); len(got) != 0 {
		t.Errorf("beside the JSON object stands %q", got)
	}
}

func TestColourIsOnlyWhereAsked(t *testing.T) {
	colour := regexp.MustCompile(`\x1b\[[0-9;]*m`)
	if colour.Match(play(Options{Terminal: true, Unicode: true})) {
		t.Error("colour, though none was asked for")
	}
	if !colour.Match(play(Options{Colour: true})) {
		t.Error("no colour, though some was asked for")
	}
	for _, c := range play(Options{Terminal: true}) {
		if c >= utf8.RuneSelf {
			t.Fatalf("character %#x, though only ASCII was asked for", c)
		}
	}
}

// visible is what is left on a line once all is drawn.
func visible(line string) string {
	line = line[strings.LastIndexByte(line, '\r')+1:]
	return regexp.MustCompile(`\x1b\[[0-9;]*[mK]`).ReplaceAllString(line, "")
}

func checkWidth(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		for part := range strings.SplitSeq(strings.TrimRight(line, "\n"), "\r") {
			if n := utf8.RuneCountInString(visible(part)); n >= 80 {
				t.Errorf("%d columns: %q", n, visible(part))
			}
		}
	}
}

func TestFits80Columns(t *testing.T) {
	for _, o := range []Options{{}, {Terminal: true, Colour: true, Unicode: true}} {
		checkWidth(t, string(play(o)))
	}
}

// TestBarLeavesNothing checks that lines that come while there is a bar don't end
// in its rest.
func TestBarLeavesNothing(t *testing.T) {
	for line := range strings.Lines(string(play(Options{Terminal: true, Unicode: true}))) {
		if v := strings.TrimSpace(visible(strings.TrimRight(line, "\n"))); strings.Contains(v, "━") {
			t.Errorf("a bar stays: %q", v)
		}
	}
}
