package cookie

import (
	"crypto/rand"
	"net/netip"
	"testing"

	"vpn/noise/wire"
)

// What a flood can make us do takes no memory. A sender with a cookie costs one keyed hash: his cookie is its key.
func TestFloodAllocatesNothing(t *testing.T) {
	c, g := withCookie(t, here, start)
	msg := message(t, wire.SizeInitiation)
	g.AddMACs(msg, start)
	reply := new(wire.CookieReply)
	for name, f := range map[string]func(){
		"CheckMAC1": func() { c.CheckMAC1(msg) },
		"Reply": func() {
			if err := c.Reply(msg, here, start, rand.Reader, reply); err != nil {
				t.Error(err)
			}
		},
	} {
		if n := testing.AllocsPerRun(1000, f); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
	if n := testing.AllocsPerRun(1000, func() { c.CheckMAC2(msg, here, start) }); n > 1 {
		t.Errorf("CheckMAC2 allocates %v times", n)
	}
}

func BenchmarkCheckMAC1(b *testing.B) {
	c, g := NewChecker(public), NewGenerator(public)
	msg := message(b, wire.SizeInitiation)
	g.AddMACs(msg, start)
	b.ReportAllocs()
	for b.Loop() {
		c.CheckMAC1(msg)
	}
}

func BenchmarkCheckMAC2(b *testing.B) {
	c, g := withCookie(b, here, start)
	msg := message(b, wire.SizeInitiation)
	g.AddMACs(msg, start)
	b.ReportAllocs()
	for b.Loop() {
		c.CheckMAC2(msg, here, start)
	}
}

func BenchmarkReply(b *testing.B) {
	c, g := withCookie(b, here, start)
	msg := message(b, wire.SizeInitiation)
	g.AddMACs(msg, start)
	reply := new(wire.CookieReply)
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Reply(msg, here, start, rand.Reader, reply); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAllow(b *testing.B) {
	l := NewLimiter()
	a := netip.MustParseAddr("192.0.2.1")
	b.ReportAllocs()
	for b.Loop() {
		l.Allow(a, start)
	}
}
