package udp

import (
	"fmt"
	"net/netip"
	"testing"
)

// A peer is answered from the address that it wrote to, be that the first
// address of an interface or another, or one of another interface; also when
// the kernel coalesced what it wrote.
func TestReplyFromAddressAddressed(t *testing.T) {
	w, ok := newWorld(t)
	if !ok {
		return
	}
	w.b.addr(w.b.veth, "10.7.0.3/24")
	w.b.addr(w.b.veth, "fd07::3/64")
	w.b.other("10.9.9.9/32", "fd09::9/128")
	w.a.route("10.9.9.9/32", "10.7.0.2", 1)
	w.a.route("fd09::9/128", "fd07::2", 1)

	for _, gro := range []bool{true, false} {
		o := systemOpener{noGRO: !gro}
		peer, gateway := w.a.open(o), w.b.open(o)
		for _, addr := range []string{
			"10.7.0.2", "10.7.0.3", "10.9.9.9", "fd07::2", "fd07::3", "fd09::9",
		} {
			t.Run(fmt.Sprintf("%s, GRO %v", addr, gro), func(t *testing.T) {
				to := at(addr, gateway.Port)
				a, b := peer.For(to.Addr.Addr(), 0), gateway.For(to.Addr.Addr(), 0)
				data := pattern(20*1000, 1)
				mustSend(t, a, Outgoing{Data: data, Segment: 1000, To: to})
				got := collect(t, b, 20)
				checkCut(t, got, data, 1000)
				for i, d := range got {
					if d.from.Source != to.Addr.Addr() {
						t.Fatalf("datagram %d came to %v, want %v", i, d.from.Source, addr)
					}
					if want := uint32(w.b.veth.Attrs().Index); d.from.Interface != want {
						t.Fatalf("datagram %d came by interface %d, want %d", i, d.from.Interface, want)
					}
					if i > 0 && d.from != got[0].from {
						t.Fatalf("datagram %d from %v, the first from %v", i, d.from, got[0].from)
					}
				}
				reply := []Outgoing{
					{Data: data, Segment: 1000, To: &got[0].from},
					{Data: data[:100], To: &got[0].from},
				}
				mustSend(t, b, reply...)
				back := collect(t, a, 21)
				checkCut(t, back[:20], data, 1000)
				for i, d := range back {
					if d.from.Addr != to.Addr {
						t.Fatalf("reply %d from %v, want %v", i, d.from.Addr, to.Addr)
					}
				}
				if reply[0].SourceRefused || reply[1].SourceRefused {
					t.Error("the source address was refused")
				}
			})
		}
	}
}

// A source address that the host no longer has is left out, the datagrams
// arrive nevertheless, and the caller is told.
func TestSourceGone(t *testing.T) {
	w, ok := newWorld(t)
	if !ok {
		return
	}
	peer, gateway := w.a.open(System()), w.b.open(System())
	for _, c := range []struct{ main, extra, prefix, from string }{
		{"10.7.0.2", "10.7.0.3", "/24", "10.7.0.1"},
		{"fd07::2", "fd07::3", "/64", "fd07::1"},
	} {
		t.Run(c.extra, func(t *testing.T) {
			w.b.addr(w.b.veth, c.extra+c.prefix)
			to := at(c.extra, gateway.Port)
			a, b := peer.For(to.Addr.Addr(), 0), gateway.For(to.Addr.Addr(), 0)
			mustSend(t, a, Outgoing{Data: []byte("hello"), To: to})
			from := collect(t, b, 1)[0].from
			w.b.delAddr(w.b.veth, c.extra+c.prefix)

			data := pattern(10*500, 1)
			elsewhere := at(c.from, peer.Port)
			ms := []Outgoing{
				{Data: data, Segment: 500, To: &from},
				{Data: data[:500], To: &from, SourceRefused: true},
				{Data: data[:500], To: elsewhere, SourceRefused: true},
			}
			mustSend(t, b, ms...)
			got := collect(t, a, 12)
			checkCut(t, got[:10], data, 500)
			for _, d := range got {
				if d.from.Addr.Addr() != netip.MustParseAddr(c.main) {
					t.Fatalf("from %v, want %v", d.from.Addr, c.main)
				}
			}
			for i, want := range []bool{true, true, false} {
				if ms[i].SourceRefused != want {
					t.Errorf("message %d: SourceRefused %v, want %v", i, ms[i].SourceRefused, want)
				}
			}
			if from.Source != to.Addr.Addr() {
				t.Errorf("Send changed the endpoint: %v", from)
			}
		})
	}
}

// A link-local peer is one on an interface. The zone of an Endpoint that was
// received is a number; one that was configured may be a name.
func TestLinkLocal(t *testing.T) {
	w, ok := newWorld(t)
	if !ok {
		return
	}
	w.a.addr(w.a.veth, "fe80::a/64")
	w.b.addr(w.b.veth, "fe80::b/64")
	peer, gateway := w.a.open(System()), w.b.open(System())

	w.a.enter()
	mustSend(t, peer.V6[0], Outgoing{Data: []byte("hello"), To: at("fe80::b%left", gateway.Port)})
	from := collect(t, gateway.V6[0], 1)[0].from
	index := w.b.veth.Attrs().Index
	want := Endpoint{
		Addr:      netip.AddrPortFrom(netip.MustParseAddr(fmt.Sprintf("fe80::a%%%d", index)), peer.Port),
		Source:    netip.MustParseAddr("fe80::b"),
		Interface: uint32(index),
	}
	if from != want {
		t.Fatalf("from %v, want %v", from, want)
	}
	reply := []Outgoing{{Data: []byte("back"), To: &from}}
	mustSend(t, gateway.V6[0], reply...)
	if got := collect(t, peer.V6[0], 1)[0]; got.from.Addr.Addr().WithZone("") != want.Source || reply[0].SourceRefused {
		t.Errorf("reply from %v, refused %v", got.from, reply[0].SourceRefused)
	}

	b := NewBatch()
	if n := testing.AllocsPerRun(100, func() {
		if _, err := gateway.V6[0].Send(reply); err != nil {
			t.Error(err)
		}
		if err := peer.V6[0].Receive(b); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("a link-local datagram costs %v allocations", n)
	}

	w.a.enter()
	n, err := peer.V6[0].Send([]Outgoing{{Data: []byte("x"), To: at("fe80::b%nowhere", gateway.Port)}})
	if n != 0 || err == nil {
		t.Errorf("Send to an interface that is not there: %d, %v", n, err)
	}
}
