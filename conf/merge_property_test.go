package conf

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"vpn/noise/key"
)

// A drawn file knows which of its comments belong to which section.
type drawn struct {
	text     string
	comments []drawnComment
}

type drawnComment struct {
	text string
	peer int // whose it is; -1: nobody's
}

// drawer writes a file, line by line.
type drawer struct {
	*rapid.T
	drawn
	peer int
	end  string
}

func (d *drawer) chance(label string) bool { return rapid.IntRange(0, 3).Draw(d.T, label) == 0 }

func (d *drawer) line(text string) { d.text += text + d.end }

func (d *drawer) comment(peer int) {
	text := fmt.Sprintf("# c%d", len(d.comments))
	d.comments = append(d.comments, drawnComment{text, peer})
	d.line(text)
}

// alone writes comments with gaps around.
func (d *drawer) alone() {
	d.line("")
	for d.chance("alone") {
		d.comment(-1)
		d.line("")
	}
}

// fields writes some of the lines, in any order, with comments and gaps between.
func (d *drawer) fields(least int, lines []string) {
	chosen := rapid.Permutation(lines).Draw(d.T, "lines")
	chosen = chosen[:rapid.IntRange(min(least, len(lines)), len(lines)).Draw(d.T, "count")]
	d.all(chosen)
}

func (d *drawer) all(lines []string) {
	for _, l := range lines {
		if d.chance("gap") {
			d.line("")
		}
		if d.chance("comment") {
			d.comment(d.peer)
		}
		d.line(l)
	}
	for d.chance("comment below") {
		d.comment(d.peer)
	}
}

var (
	drawnInterface = []string{
		"ListenPort = 1", "listen port=0002 # x", "FwMark = off", "FwMark=0x10", "Address = 10.0.0.1/24, fd00::1/64", "address=10.0.0.2 10.0.0.3#x",
		"DNS = 1.1.1.1, lan, ::1", "dns = corp.example", "MTU = 0x400", "Table = off", "Table = main", "SaveConfig = true", "PostUp = echo a # b", "PostUp=echo c",
		"PreDown = echo d", "Address =", "#vpn: KillSwitch = on", "# VPN : heal=off # x", "#vpn: KillSwitchAllow = 10.0.0.0/8 11.0.0.0/8",
		"#vpn: Masquerade = eth0", "#vpn: DNSRoute = a, b", "#vpn: ExcludedIPs = 10.1.0.0/16", "#vpn: RekeyAfterTime = 60s", "#vpn: RekeyAfterPackets=7",
		"#vpn: PublicEndpoint = vpn.example.com:51820", "# VPN: publicendpoint=[fd00::1]:7 # x",
	}
	drawnPeer = []string{
		"Endpoint = a.example:1", "endpoint=[::1] : 2 # x", "AllowedIPs = 10.0.0.1, 10.0.0.2", "allowed ips=10.0.0.3/32#x", "AllowedIPs = +11.0.0.0/8, -12.0.0.0/8",
		"PersistentKeepalive = 25", "PersistentKeepalive=off", "#vpn: Name = x # y", "# friendly_name = z", "#vpn: Endpoint = 192.0.2.1:1", "#vpn:endpoint=b:2 # x",
		"#vpn: ExcludedIPs = 10.2.0.0/16, 10.3.0.0/16", "#vpn: Expires = 2030-12-31", "#vpn: expires=2031-01-01T00:00:00+01:00 # x",
	}
	drawnKeys = []string{"PrivateKey = " + secretText, "privatekey=" + pskText + "#x", "#vpn: PrivateKeyFile = /k#1"}
	drawnPsks = []string{"PresharedKey = " + secretText, "presharedkey=" + pskText + "#x", "#vpn: PresharedKeyFile = credential:psk"}
)

func drawFile(t *rapid.T, label string, from, to byte) drawn {
	d := &drawer{T: t, peer: -1, end: rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, label+" line end")}
	if d.chance("mark") {
		d.text = "\ufeff"
	}
	d.alone()
	section := func(header string) {
		for d.chance("above") {
			d.comment(d.peer)
		}
		d.line(header)
	}
	if !d.chance("no interface") {
		section("[Interface]")
		d.fields(0, drawnInterface)
		d.fields(0, []string{rapid.SampledFrom(drawnKeys).Draw(t, "key")})
		d.alone()
	}
	for i := range rapid.IntRange(0, 4).Draw(t, "peers") {
		d.peer = i
		section(rapid.SampledFrom([]string{"[Peer]", " [ PEER ] # x"}).Draw(t, "header"))
		k := key.Public{1, rapid.ByteRange(from, to).Draw(t, "public")}
		d.fields(0, drawnPeer)
		d.fields(0, []string{rapid.SampledFrom(drawnPsks).Draw(t, "psk")})
		d.all([]string{"PublicKey = " + k.String()})
		d.alone()
	}
	if d.chance("no last end") {
		d.text = strings.TrimSuffix(d.text, d.end)
	}
	return d.drawn
}

// mix gives a some of the fields of b.
func mix(t *rapid.T, a, b any, keep ...string) {
	to, from := reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem()
	for i := range to.NumField() {
		if name := to.Type().Field(i).Name; !slices.Contains(keep, name) && rapid.IntRange(0, 2).Draw(t, name) == 0 {
			to.Field(i).Set(from.Field(i))
		}
	}
}

// target is a config made of two, and the sections of a that are gone from it.
func target(t *rapid.T, a, b *Config) (*Config, map[int]bool, bool) {
	c := &Config{Interface: a.Interface}
	mix(t, &c.Interface, &b.Interface, "Line")
	if c.Interface.PrivateKey.Given {
		c.Interface.PrivateKeyFile = Setting[string]{}
	}
	gone := map[int]bool{}
	for i, p := range a.Peers {
		if gone[i] = rapid.IntRange(0, 3).Draw(t, "gone") == 0; gone[i] {
			continue
		}
		if len(b.Peers) > 0 {
			other := rapid.SampledFrom(b.Peers).Draw(t, "other")
			mix(t, &p, &other, "Line", "PublicKey", "AllowedIPs", "Incremental")
			if rapid.Bool().Draw(t, "its prefixes") {
				p.AllowedIPs, p.Incremental = other.AllowedIPs, other.Incremental
			}
			if p.Preshared.Given {
				p.PresharedKeyFile = Setting[string]{}
			}
		}
		c.Peers = append(c.Peers, p)
	}
	moved := rapid.IntRange(0, 3).Draw(t, "moved") == 0
	if moved {
		c.Peers = rapid.Permutation(c.Peers).Draw(t, "order")
	}
	if rapid.Bool().Draw(t, "more") {
		c.Peers = append(c.Peers, b.Peers...)
	}
	return c, gone, moved
}

func parsed(t *rapid.T, text string) *Config {
	c, _, err := Parse("drawn", []byte(text), WGQuick)
	if err != nil {
		t.Fatalf("%v, of\n%s", err, text)
	}
	return c
}

// What is merged says what was wanted; comments of sections that are there stay,
// in their order, and all others go.
func TestMergeProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before, other := drawFile(t, "before", 0, 9), drawFile(t, "other", 10, 19)
		a, b := parsed(t, before.text), parsed(t, other.text)
		if got, err := a.Merge("x", []byte(before.text)); err != nil || string(got) != before.text {
			t.Fatalf("what was parsed changes the text: %v\n%s\nis now\n%s", err, before.text, got)
		}
		want, gone, moved := target(t, a, b)
		got, err := want.Merge("x", []byte(before.text))
		if err != nil {
			t.Fatalf("%v\n%s", err, before.text)
		}
		if d := differ(parsed(t, string(got)), want); d != "" {
			t.Fatalf("it says another thing: %s", d)
		}
		if again, err := want.Merge("x", got); err != nil || !bytes.Equal(again, got) {
			t.Fatalf("merged again:\n%s\nand\n%s", got, again)
		}
		if slices.ContainsFunc(a.Peers, func(p Peer) bool { return p.twice(a) }) {
			return // which of the two has gone can't be told
		}
		var left, there []string
		for _, c := range before.comments {
			if !gone[c.peer] {
				left = append(left, c.text)
			}
		}
		for line := range strings.Lines(string(got)) {
			if text := strings.TrimSpace(line); strings.HasPrefix(text, "# c") {
				there = append(there, text)
			}
		}
		if moved {
			slices.Sort(left)
			slices.Sort(there)
		}
		if !slices.Equal(left, there) {
			t.Fatalf("comments %v, want %v:\n%s\nis now\n%s", there, left, before.text, got)
		}
	})
}

// The naive twin: sections are cut at their headers, and one that is to stay as it
// is has to be there, line for line.
func TestMergeKeepsUnchangedSections(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before, other := drawFile(t, "before", 0, 9), drawFile(t, "other", 10, 19)
		a, b := parsed(t, before.text), parsed(t, other.text)
		want, _, _ := target(t, a, b)
		got, err := want.Merge("x", []byte(before.text))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.SplitAfter(before.text, "\n")
		for i := range a.Peers {
			p := &a.Peers[i]
			if !slices.ContainsFunc(want.Peers, func(o Peer) bool { return o.equal(p) }) || p.twice(a) {
				continue
			}
			section := strings.Join(lines[p.Line-1:p.PublicKey.Line], "")
			if !strings.Contains(string(got), section) {
				t.Fatalf("this has gone:\n%s\nfrom\n%s", section, got)
			}
		}
	})
}

// twice says whether the peer has more sections than one.
func (p *Peer) twice(c *Config) bool {
	n := 0
	for i := range c.Peers {
		if c.Peers[i].PublicKey.Value == p.PublicKey.Value {
			n++
		}
	}
	return n > 1
}

func TestInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		numbers := rapid.SliceOfNDistinct(rapid.IntRange(0, 9), 0, 8, rapid.ID).Draw(t, "numbers")
		best := 0 // naive: of all subsets
		for set := range 1 << len(numbers) {
			var rising []int
			for i, x := range numbers {
				if set>>i&1 == 1 {
					rising = append(rising, x)
				}
			}
			if slices.IsSorted(rising) {
				best = max(best, len(rising))
			}
		}
		var chosen []int
		for i, stays := range inOrder(numbers) {
			if stays {
				chosen = append(chosen, numbers[i])
			}
		}
		if len(chosen) != best || !slices.IsSorted(chosen) {
			t.Fatalf("%v: chose %v, the longest has %d", numbers, chosen, best)
		}
	})
}

func FuzzMerge(f *testing.F) {
	all := append(seeds, string(read(f, "everything.conf")), string(read(f, "odd.conf")))
	for i, s := range all {
		f.Add([]byte(s), []byte(all[(i+1)%len(all)]))
	}
	f.Fuzz(func(t *testing.T, text, wanted []byte) {
		a, _, err := Parse("a", text, WGQuick)
		if err != nil {
			return
		}
		if got, err := a.Merge("a", text); err != nil || !bytes.Equal(got, text) {
			t.Fatalf("what was parsed changes the text: %v\n%q\nis now\n%q", err, text, got)
		}
		b, _, err := Parse("b", wanted, WGQuick)
		if err != nil {
			return
		}
		got, err := b.Merge("a", text)
		if err != nil {
			t.Fatalf("%v\n%q", err, text)
		}
		c, _, err := Parse("c", got, WGQuick)
		if err != nil {
			t.Fatal(err)
		}
		if d := differ(c, b); d != "" {
			t.Fatal(d)
		}
	})
}
