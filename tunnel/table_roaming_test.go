package tunnel

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"vpn/noise/wire"
	"vpn/rekey"
)

// Rows of the table about where a peer is.

// elsewhere6 is an IPv6 address where nobody is known to be.
var elsewhere6 = netip.MustParseAddrPort("[2001:db8:ffff::9]:40000")

// "Any authenticated initiation, response or data message moves the endpoint", within a family and across.
func TestRoaming(t *testing.T) {
	for name, to := range map[string]netip.AddrPort{"IPv4": elsewhere, "IPv6": elsewhere6} {
		// at makes what a host sends come from where it has moved to.
		at := func(d datagram, h *host) datagram {
			d.from = to
			if to.Addr().Is6() {
				d.to = h.outer6()
			}
			return d
		}
		t.Run("data over "+name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				a, b := w.newSession()
				p := a.packetTo(b)
				w.inject(at(a.seal(b, p), b))
				if got := b.received(); len(got) != 1 || !bytes.Equal(got[0], p) {
					t.Fatal("the packet did not arrive")
				}
				wantMoved(t, a, b, to)
			})
		})
		t.Run("a keepalive over "+name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				a, b := w.newSession()
				w.inject(at(a.seal(b, nil), b))
				wantMoved(t, a, b, to)
			})
		})
		t.Run("initiation over "+name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				a, b := w.newPair()
				w.inject(at(newCaller(&a.private, to, b).initiation(time.Now()), b))
				if log := w.sent(); len(log) != 1 || log[0].to != to || log[0].source != at(datagram{to: b.outer4()}, b).to.Addr() {
					t.Errorf("sent %v, want a response to %v from the address that was addressed", log, to)
				}
				if got := b.endpoint(a); got != to {
					t.Errorf("the endpoint is %v, want %v", got, to)
				}
			})
		})
		t.Run("response over "+name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				a, b := w.newPair()
				w.setFilter(lose(b.outer4(), wire.TypeResponse))
				b.send(b.packetTo(a))
				response := find(w.sent(), b.outer4(), wire.TypeResponse)[0]
				w.inject(at(response, b))
				if log := w.sent(); len(log) != 1 || log[0].to != to {
					t.Errorf("sent %v, want what waited, to %v", log, to)
				}
			})
		})
	}
}

// wantMoved checks that b sends to a's new address, from the one that a addressed.
func wantMoved(t *testing.T, a, b *host, to netip.AddrPort) {
	t.Helper()
	if got := b.endpoint(a); got != to {
		t.Errorf("the endpoint is %v, want %v", got, to)
	}
	b.send(b.packetTo(a))
	source := b.outer4().Addr()
	if to.Addr().Is6() {
		source = b.outer6().Addr()
	}
	if log := b.w.sent(); len(log) != 1 || log[0].to != to || log[0].source != source {
		t.Errorf("sent %v, want one message to %v from %v", log, to, source)
	}
}

// "Authenticate, then replay window, then endpoint, then source check."
func TestOrderOfChecks(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		recorded := a.seal(b, a.packetTo(b))
		w.inject(recorded)
		b.received()

		forged := a.seal(b, a.packetTo(b))
		good := bytes.Clone(forged.data)
		forged.from = elsewhere
		for i := 8; i < len(good); i++ { // counter, text and tag
			forged.data = bytes.Clone(good)
			forged.data[i] ^= 0x80
			w.inject(forged)
		}
		b.wantDropped(BadTag, uint64(len(good)-8))
		if b.endpoint(a) != a.outer4() {
			t.Error("a forged message has moved the endpoint")
		}
		// Forged counters far ahead have not moved the window: the good one is fresh.
		w.inject(datagram{from: a.outer4(), to: b.outer4(), data: good})
		if len(b.received()) != 1 {
			t.Error("forged messages have moved the window")
		}

		recorded.from = elsewhere
		w.inject(recorded)
		b.wantDropped(ReplayedCounter, 1)
		if b.endpoint(a) != a.outer4() {
			t.Error("a replayed message has moved the endpoint")
		}

		spoofed := a.seal(b, ip4("10.9.9.9", b.inner4(), protocolUDP, make([]byte, 20)))
		spoofed.from = elsewhere
		w.inject(spoofed)
		b.wantDropped(SourceNotAllowed, 1)
		if b.endpoint(a) != elsewhere {
			t.Error("an authentic message with a foreign source does not move the endpoint")
		}
		if len(b.received()) != 0 {
			t.Error("something else arrived")
		}
	})
}

// The peer's address is learned; none has to be configured on one side.
func TestEndpointLearned(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newHost(), w.newHost()
		a.set(peers(b.asPeer(b.outer6())))
		b.set(peers(a.asPeer(netip.AddrPort{})))
		a.deliver(b)
		if got := b.endpoint(a); got != a.outer6() {
			t.Errorf("the endpoint is %v, want %v", got, a.outer6())
		}
		b.deliver(a)
	})
}

// A configured endpoint takes the place of one that was learned, at once.
func TestEndpointConfigured(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		c := a.asPeer(elsewhere)
		c.Endpoint = netip.AddrPortFrom(netip.AddrFrom16(elsewhere.Addr().As16()), elsewhere.Port()) // an IPv4 address in IPv6 clothes
		b.set(peers(c))
		b.send(b.packetTo(a))
		if log := w.sent(); len(log) != 1 || log[0].to != elsewhere || log[0].source.IsValid() {
			t.Errorf("sent %v, want one message to %v, from no certain address", log, elsewhere)
		}
	})
}

// After silence the cached source address may be the wrong one.
func TestSilenceClearsSource(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		w.setFilter(func(*datagram) bool { return false })
		a.send(a.packetTo(b))
		w.sleep(rekey.KeepaliveTimeout + rekey.RekeyTimeout - 1)
		log := w.sent()
		if len(log) != 1 || !log[0].source.IsValid() {
			t.Fatalf("sent %v, want one message with a source", log)
		}
		w.sleep(1)
		log = find(w.sent(), b.outer4(), wire.TypeInitiation)
		if len(log) != 1 || log[0].source.IsValid() {
			t.Errorf("sent %v, want one initiation without a source", log)
		}
	})
}
