//go:build linux

package main

import (
	"crypto/rand"
	"math"
	"net/netip"
	"testing"
	"time"

	"vpn/cmd/internal/testnet"
	"vpn/noise"
	"vpn/noise/cookie"
	"vpn/noise/key"
	"vpn/noise/wire"
)

func TestHighest(t *testing.T) {
	for _, capacity := range []float64{300, 3_000, 4_000, 17_000, 86_000, 1_000_000} {
		failed := map[int]bool{}
		got := highest(func(rate int) shot {
			if !failed[rate] {
				failed[rate] = true // a first try may always fail
				return shot{Rate: float64(rate), Loss: 0.5}
			}
			return shot{Rate: float64(rate), Loss: max(0, 1-capacity/float64(rate))}
		})
		if got > capacity*1.011 || got < capacity*0.95 {
			t.Errorf("found %.0f, where %.0f is carried", got, capacity)
		}
	}
	if got := highest(func(rate int) shot { return shot{Rate: float64(rate), Loss: 0.02} }); got != 0 {
		t.Errorf("found %v, where nothing is carried", got)
	}
	if got := highest(func(rate int) shot { return shot{Rate: math.Min(float64(rate), 50_000)} }); got != 50_000 {
		t.Errorf("found %v, where the generator gives 50,000", got)
	}
}

// TestGun shoots across a veth pair, slowly: the same run's packets arrive, and
// each counts once.
func TestGun(t *testing.T) {
	if !isRoot(t) {
		return
	}
	p := testnet.NewHosts(t, 0)
	g := newGun(t, p.A.Host, p.B.Host, p.B.Outer4)
	for _, size := range udpSizes {
		got := g.shoot(size, 2000, 200*time.Millisecond)
		if got.Sent < 10 || got.Sent > 400 || got.Loss < 0 || got.Loss == 1 || got.Rate > 2100 {
			t.Errorf("%d bytes: %+v", size, got)
		}
	}
	p.B.Outer.Down()
	if got := g.shoot(64, 1000, 50*time.Millisecond); got.Loss != 1 {
		t.Errorf("across a link that is down: %+v", got)
	}
}

// TestCallers checks that a responder takes every initiation, in their order.
func TestCallers(t *testing.T) {
	const peers, calls = 5, 3
	c, err := newCallers(peers, calls)
	if err != nil {
		t.Fatal(err)
	}
	responder := noise.NewLocal(&c.private)
	checker := cookie.NewChecker(responder.Public())
	var latest [peers]noise.TAI64N
	for i := range c.initiations {
		msg, peer := &c.initiations[i], c.peers[i%peers]
		if !checker.CheckMAC1(msg[:]) {
			t.Errorf("initiation %d has no good mac1", i)
		}
		accepted, err := noise.Accept(responder, msg)
		if err != nil {
			t.Fatal(err)
		}
		if accepted.Static() != peer.local.Public() {
			t.Fatalf("initiation %d comes from another peer", i)
		}
		answer, err := accepted.Authenticate(noise.NewRemote(accepted.Static()), msg)
		if err != nil {
			t.Fatal(err)
		}
		if answer.SenderIndex() != uint32(i) || !answer.Timestamp().After(latest[i%peers]) {
			t.Errorf("initiation %d: index %d, time %v after %v", i, answer.SenderIndex(), answer.Timestamp(), latest[i%peers])
		}
		latest[i%peers] = answer.Timestamp()
		answer.Erase()
	}
	if len(c.initiations) != peers*calls || len(c.configuration()) != 1+2*peers || wire.SizeInitiation != len(c.initiations[0]) {
		t.Errorf("%d initiations, %d lines", len(c.initiations), len(c.configuration()))
	}
}

func TestMemoryFigure(t *testing.T) {
	text := []byte("VmPeak:\t  99 kB\nVmRSS:\t    2 kB\nThreads:\t1\n")
	if got := memoryFigure(t, text, "VmRSS"); got != 2048 {
		t.Errorf("VmRSS is %v bytes, want 2048", got)
	}
	for _, name := range []string{"VmHWM", "Threads"} {
		if err := attempt(func(tb testnet.TB) { memoryFigure(tb, text, name) }); err == nil {
			t.Errorf("%s is found", name)
		}
	}
	if availableBytes(t) <= 0 {
		t.Error("this machine has no memory left")
	}
}

// TestFlood receives a flood: each message has a good mac1, and no two in a row come from one address.
func TestFlood(t *testing.T) {
	if !isRoot(t) {
		return
	}
	p := testnet.NewHosts(t, 0)
	p.B.Outer.Route(floodSources, p.A.Outer4, 0)
	private, err := key.NewPrivate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	checker := cookie.NewChecker(private.Public())
	conn := p.B.ListenUDP(p.B.Outer4 + ":7777")
	stop := newFlood(t, p.A.Host, private.Public()).start(p.B.Outer4+":7777", 2000)
	defer stop()
	seen := map[netip.AddrPort]bool{}
	b := make([]byte, 1<<11)
	for range 500 {
		if err := conn.SetReadDeadline(time.Now().Add(testnet.Patience)); err != nil {
			t.Fatal(err)
		}
		n, from, err := conn.ReadFromUDPAddrPort(b)
		if err != nil {
			t.Fatal(err)
		}
		if kind, ok := wire.Classify(b[:n]); !ok || kind != wire.TypeInitiation || !checker.CheckMAC1(b[:n]) {
			t.Fatalf("no initiation with a good mac1: %x", b[:n])
		}
		if seen[from] || !netip.MustParsePrefix(floodSources).Contains(from.Addr()) {
			t.Fatalf("from %v", from)
		}
		seen[from] = true
	}
}
