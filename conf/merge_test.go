package conf

import (
	"bytes"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vpn/noise/key"
)

// merge merges a change of what a text says into the text.
func merge(t *testing.T, text string, change func(*Config)) string {
	t.Helper()
	c, _, err := Parse("before", []byte(text), WGQuick)
	if err != nil {
		t.Fatal(err)
	}
	change(c)
	got, err := c.Merge("before", []byte(text))
	if err != nil {
		t.Fatalf("%v, of\n%s", err, text)
	}
	return string(got)
}

// The changes of testdata/merge, by file.
var changes = map[string]func(c *Config){
	"addresses": func(c *Config) {
		i := &c.Interface
		i.Addresses = list(netip.MustParsePrefix("10.0.0.1/24"), netip.MustParsePrefix("10.0.2.1/24"), netip.MustParsePrefix("fd00::2/64"))
		i.DNS = append(i.DNS, Given(netip.MustParseAddr("9.9.9.9")))
		i.DNSSearch = nil
		i.MTU = Given(1400)
	},
	"crlf": func(c *Config) {
		c.Interface.ListenPort = Given(uint16(51821))
		c.Interface.FwMark = Given(uint32(7))
		c.Peers = append(c.Peers, Peer{PublicKey: Given(public(twoText)), Keepalive: Given(uint16(25))})
	},
	"directives": func(c *Config) {
		c.Interface.KillSwitch = Given(true)
		c.Interface.Masquerade = Given("eth1")
		c.Interface.Heal = Setting[bool]{}
		c.Peers[0].Name = Given("desk")
		c.Peers[1].Name = Given("the old phone")
		c.Peers[1].Candidates = list(Endpoint{"192.0.2.9", 1})
	},
	"gone": func(c *Config) { c.Peers = slices.Delete(c.Peers, 1, 2) },
	"hooks": func(c *Config) {
		c.Interface.PostUp = list("echo one # first", "echo two and a half", "echo three")
		c.Interface.PreDown = list("echo new")
	},
	"keys": func(c *Config) {
		c.Interface.PrivateKey = Given(private(pskText))
		c.Peers[0].Preshared = Given(preshared(secretText))
	},
	"moved": func(c *Config) { c.Peers[0], c.Peers[2] = c.Peers[2], c.Peers[0] },
	"new": func(c *Config) {
		c.Peers = append(c.Peers, Peer{
			Name: Given("new"), PublicKey: Given(public(twoText)), AllowedIPs: []AllowedIP{{Prefix: netip.MustParsePrefix("10.0.0.9/32")}},
		})
	},
	"roamed": func(c *Config) {
		c.Peers[0].Endpoint = Given(Endpoint{"198.51.100.7", 4500})
		c.Peers[1].Endpoint = Given(Endpoint{"2001:db8::5", 51820})
		c.Peers[1].AllowedIPs = append(c.Peers[1].AllowedIPs, AllowedIP{Prefix: netip.MustParsePrefix("10.1.0.0/16")})
	},
	"signs": func(c *Config) {
		c.Peers[0].AllowedIPs = append(c.Peers[0].AllowedIPs, AllowedIP{Prefix: netip.MustParsePrefix("12.0.0.0/8")})
		c.Peers[1].AllowedIPs = append(c.Peers[1].AllowedIPs, AllowedIP{Prefix: netip.MustParsePrefix("12.0.0.0/8")})
		c.Peers[1].Incremental = false
	},
}

// TestMergeExamples holds each file NAME.conf of testdata/merge against
// NAME.after, which is to be read beside it.
func TestMergeExamples(t *testing.T) {
	for name, change := range changes {
		before := string(read(t, filepath.Join("merge", name+".conf")))
		if name == "crlf" {
			before = "\ufeff" + strings.ReplaceAll(before, "\n", "\r\n")
		}
		got := merge(t, before, change)
		if name == "crlf" {
			if strings.Count(got, "\n") != strings.Count(got, "\r\n") || !strings.HasPrefix(got, "\ufeff") {
				t.Errorf("crlf: %q", got)
			}
			got = strings.TrimPrefix(strings.ReplaceAll(got, "\r\n", "\n"), "\ufeff")
		}
		if want := string(read(t, filepath.Join("merge", name+".after"))); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
}

func TestMergeEdges(t *testing.T) {
	one, two := "[Peer]\nPublicKey = "+oneText+"\n", "[Peer]\nPublicKey = "+twoText+"\n"
	noPeers := func(c *Config) { c.Peers = nil }
	port := func(c *Config) { c.Interface.ListenPort = Given(uint16(1)) }
	for _, c := range []struct {
		name, before string
		change       func(*Config)
		want         string
	}{
		{"nothing from nothing", "", noPeers, ""},
		{"a section from nothing", "", port, "[Interface]\nListenPort = 1\n"},
		{"a section below a comment", "# mine", port, "# mine\n\n[Interface]\nListenPort = 1\n"},
		{"a section above the peers", "# a\n\n# b\n" + one, port, "# a\n\n[Interface]\nListenPort = 1\n\n# b\n" + one},
		{"no end of line", "[Interface]", port, "[Interface]\nListenPort = 1\n"},
		{"no end of line, kept", "[Interface]\nListenPort = 7 # x", port, "[Interface]\nListenPort = 1 # x"},
		{"the last of several", "[Interface]\nListenPort = 7\n[Interface]\nListen Port=8#x\n", port, "[Interface]\nListenPort = 7\n[Interface]\nListen Port=1#x\n"},
		{"all of several", "[Interface]\nMTU = 1400\nMTU = 1500\n# x\n", func(c *Config) { c.Interface.MTU = Setting[int]{} }, "[Interface]\n# x\n"},
		{"the only peer", one, noPeers, ""},
		{"a peer behind a mark", "\ufeff" + one + "\n# x\n", noPeers, "\ufeff# x\n"},
		{"the last peer, and the gap above", "[Interface]\n\n" + one, noPeers, "[Interface]\n"},
		{"comments that stand by themselves", "[Interface]\n\n# a\n\n# b\n" + one + "# c\n\n# d\n", noPeers, "[Interface]\n\n# a\n\n# d\n"},
		{"a comment above the next", one + "# two's\n" + two, func(c *Config) { c.Peers = c.Peers[1:] }, "# two's\n" + two},
		{"a name above the next is this one's", one + "# friendly_name = x\n" + two, func(c *Config) { c.Peers = c.Peers[1:] }, two},
		{"the first of two with one key", one + "# a\n" + one + "# b\n", func(c *Config) { c.Peers = c.Peers[:1] }, one},
		{"swapped", one + "\n" + two, func(c *Config) { slices.Reverse(c.Peers) }, two + "\n" + one},
		{"a file instead of a key", "[Interface]\nPrivateKey = " + secretText + " # mine\nFwMark = 1\n", func(c *Config) {
			c.Interface.PrivateKey, c.Interface.PrivateKeyFile = Setting[key.Private]{}, Given("/run/key")
		}, "[Interface]\nFwMark = 1\n#vpn: PrivateKeyFile = /run/key\n"},
		{"an empty setting has no effect", "[Interface]\nAddress =\nDNS = # none\n", func(c *Config) { c.Interface.DNSSearch = list("a") },
			"[Interface]\nDNS = a\nAddress =\nDNS = # none\n"},
	} {
		if got := merge(t, c.before, c.change); got != c.want {
			t.Errorf("%s: got\n%q\nwant\n%q", c.name, got, c.want)
		}
	}
}

func TestMergeRefuses(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"line end in a hook":  func(c *Config) { c.Interface.PostUp = list("a\nPostUp = b") },
		"space around a hook": func(c *Config) { c.Interface.PostUp = list(" a") },
		"no host":             func(c *Config) { c.Peers[0].Endpoint = Given(Endpoint{"", 1}) },
		"host bits":           func(c *Config) { c.Peers[0].AllowedIPs = []AllowedIP{{Prefix: netip.MustParsePrefix("10.0.0.1/8")}} },
		"change without any":  func(c *Config) { c.Peers[0].Incremental = true },
		"no key":              func(c *Config) { c.Peers[0].PublicKey = Setting[key.Public]{} },
	} {
		text := []byte("[Interface]\nPrivateKey = " + secretText + "\n[Peer]\nPublicKey = " + oneText + "\n")
		c, _, err := Parse("x", text, WGQuick)
		if err != nil {
			t.Fatal(err)
		}
		change(c)
		got, err := c.Merge("wg0.conf", text)
		if err == nil || !strings.HasPrefix(err.Error(), "wg0.conf: the new configuration can't be written to it") || got != nil {
			t.Errorf("%s: got %s, %v", name, got, err)
		}
	}
	if _, err := new(Config).Merge("wg0.conf", []byte("[Interface]\nX = 1\n")); err == nil || err.Error() != "wg0.conf:2: X: no such setting in [Interface]" {
		t.Errorf("got %v", err)
	}
}

// The text is written into one buffer that is erased when it grows: no string
// and no other buffer holds a key.
func TestMergeGrowsWithoutACopy(t *testing.T) {
	f := formatter{text: append(make([]byte, 0, 50), secretText...), end: "\n"}
	first := f.text
	f.bytes(bytes.Repeat([]byte("x"), 100))
	if !bytes.Equal(first, make([]byte, len(first))) {
		t.Errorf("the first buffer still has %q", first)
	}
	if string(f.text[:len(secretText)]) != secretText {
		t.Error("the second has not")
	}
}

func BenchmarkMerge20000(b *testing.B) {
	var text bytes.Buffer
	text.WriteString("[Interface]\nListenPort = 1\n")
	for i := range 20_000 {
		k := key.Public{byte(i), byte(i >> 8), byte(i >> 16)}
		text.WriteString("\n# a comment\n[Peer]\nPublicKey = " + k.String() + "\nAllowedIPs = 10.0.0.0/8\nEndpoint = a.example:1\n")
	}
	c, _, err := Parse("x", text.Bytes(), WGQuick)
	if err != nil {
		b.Fatal(err)
	}
	for i := range c.Peers {
		if i%2 == 0 {
			c.Peers[i].Keepalive = Given(uint16(25))
		}
	}
	slices.Reverse(c.Peers[:10_000])
	b.SetBytes(int64(text.Len()))
	for b.Loop() {
		if _, err := c.Merge("x", text.Bytes()); err != nil {
			b.Fatal(err)
		}
	}
}
