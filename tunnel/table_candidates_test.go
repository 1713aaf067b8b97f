package tunnel

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"
	"time"

	"vpn/noise/wire"
	"vpn/rekey"
	"vpn/tunnel/uapi"
)

// Rows of the table about peers that may be at several addresses.

var nowhere = netip.MustParseAddrPort("198.51.100.77:51820")

// initiations returns the initiations that were sent since the last call.
func (w *world) initiations() (found []datagram) {
	for _, d := range w.sent() {
		if d.kind() == wire.TypeInitiation {
			found = append(found, d)
		}
	}
	return found
}

// targets is where datagrams went.
func targets(ds []datagram) (to []netip.AddrPort) {
	for _, d := range ds {
		to = append(to, d.to)
	}
	return to
}

// newLost makes two hosts, of which a takes b to be where nobody is, and has these candidates.
func (w *world) newLost(at func(b *host) []netip.AddrPort) (a, b *host) {
	w.t.Helper()
	a, b = w.newPair()
	lost := b.asPeer(nowhere)
	lost.Candidates = at(b)
	a.set(peers(lost))
	return a, b
}

func wantTargets(t *testing.T, got []datagram, want ...netip.AddrPort) {
	t.Helper()
	if !slices.Equal(targets(got), want) {
		t.Errorf("initiations went to %v, want %v", targets(got), want)
	}
}

// The first initiation goes to all, one and the same; the answer decides; what later replaces the session goes there alone.
func TestCandidates(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newLost(func(b *host) []netip.AddrPort { return []netip.AddrPort{elsewhere, b.outer6(), nowhere, b.outer4()} })
		p := a.packetTo(b)
		a.send(p)
		wantPackets(t, b.received(), [][]byte{p})
		sent := w.initiations()
		wantTargets(t, sent, nowhere, elsewhere, b.outer6(), b.outer4())
		for _, d := range sent {
			if !bytes.Equal(d.data, sent[0].data) {
				t.Error("candidates got different messages")
			}
		}
		b.wantDropped(ReplayedInitiation, 1)
		first := a.endpoint(b)
		if first != b.outer4() && first != b.outer6() {
			t.Errorf("the endpoint is %v, want one that answered", first)
		}
		w.sleep(rekey.RekeyAfterTime)
		a.deliver(b)
		wantTargets(t, w.initiations(), first)
	})
}

// Retries go to one after another, five seconds apart, and each is told; after the attempt all are tried at once again.
func TestCandidatesInTurn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newLost(func(*host) []netip.AddrPort { return []netip.AddrPort{elsewhere, elsewhere6} })
		a.happened()
		a.send(a.packetTo(b))
		all := []netip.AddrPort{nowhere, elsewhere, elsewhere6}
		wantTargets(t, w.initiations(), all...)
		tries := 0
		for at := time.Duration(0); at < rekey.RekeyAttemptTime; at += time.Second {
			w.sleep(time.Second)
			sent := w.initiations()
			if len(sent) == 0 {
				continue
			}
			wantTargets(t, sent, all[tries%len(all)])
			tries++
		}
		var told []int
		for _, e := range a.happened() {
			switch {
			case e.Peer != b.public():
			case e.Kind == InitiationUnanswered, e.Kind == AttemptGivenUp:
				told = append(told, e.Tries)
			case e.Kind == EndpointMoved:
				t.Error("the endpoint moved")
			}
		}
		if tries < 15 || len(told) != tries+1 || told[0] != 1 || told[tries] != tries+1 {
			t.Errorf("%d retries, and told %v", tries, told)
		}
		a.send(a.packetTo(b))
		w.sleep(rekey.RekeyTimeout + rekey.RekeyTimeoutJitterMax) // since the last one
		wantTargets(t, w.initiations()[:len(all)], all...)
	})
}

// A candidate whose answer never arrives is asked again only when the others had their turn.
func TestCandidateThatIsNotHeard(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newLost(func(b *host) []netip.AddrPort { return []netip.AddrPort{b.outer6(), b.outer4()} })
		w.setFilter(lose(a.outer6(), wire.TypeResponse))
		p := a.packetTo(b)
		a.send(p)
		w.sleep(3 * (rekey.RekeyTimeout + rekey.RekeyTimeoutJitterMax))
		wantPackets(t, b.received(), [][]byte{p})
		if got := a.endpoint(b); got != b.outer4() {
			t.Errorf("the endpoint is %v", got)
		}
	})
}

// A session whose other side is silent is looked for everywhere.
func TestCandidatesWhenSilent(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newPair()
		w.exchange(a, b)
		known := b.asPeer(b.outer4())
		known.Candidates = []netip.AddrPort{b.outer6()}
		a.set(peers(known))
		w.sleep(rekey.KeepaliveTimeout) // nobody owes the other an answer
		w.sent()
		w.setFilter(func(d *datagram) bool { return d.to != b.outer4() })
		a.send(a.packetTo(b))
		w.sleep(rekey.KeepaliveTimeout + rekey.RekeyTimeout)
		wantTargets(t, w.initiations(), b.outer4(), b.outer6())
		a.deliver(b)
	})
}

// With a cookie in hand one is asked at a time, beginning with the one that gave it.
func TestCandidatesWithCookie(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newLost(func(b *host) []netip.AddrPort { return []netip.AddrPort{elsewhere, b.outer4(), b.outer6()} })
		load := func() {
			b.handshakes.mu.Lock()
			b.handshakes.loadedAt = b.clock.Now()
			b.handshakes.mu.Unlock()
		}
		load()
		p := a.packetTo(b)
		a.send(p)
		wantTargets(t, w.initiations(), nowhere, elsewhere, b.outer4(), b.outer6())
		if a.endpoint(b) != nowhere {
			t.Error("a cookie reply has moved the endpoint")
		}
		for range 6 { // second by second, under load
			load()
			w.sleep(time.Second)
		}
		if got := targets(w.initiations()); len(got) != 1 || got[0] != b.outer4() && got[0] != b.outer6() {
			t.Errorf("the cookie went to %v, want the one that gave it", got)
		}
		wantPackets(t, b.received(), [][]byte{p})
	})
}

// The list is replaced as a whole, can be taken away, and gives an endpoint to a peer that has none.
func TestSetCandidates(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newPair()
		set := func(at ...netip.AddrPort) {
			a.set(peers(uapi.PeerConfig{PublicKey: b.public(), Candidates: append([]netip.AddrPort{}, at...)}))
		}
		c := w.newHost()
		lost := c.asPeer(netip.AddrPort{})
		lost.Candidates = []netip.AddrPort{c.outer6()}
		a.set(peers(lost))
		c.set(peers(a.asPeer(netip.AddrPort{})))
		a.deliver(c)
		w.sent()

		set(elsewhere)
		set(elsewhere6, netip.MustParseAddrPort("[::ffff:198.51.100.9]:40000"))
		set()
		a.send(a.packetTo(b))
		wantTargets(t, w.initiations(), b.outer4())
		if a.peer(b).talk.candidates != nil {
			t.Error("candidates are left")
		}
		many := make([]netip.AddrPort, 100)
		for i := range many {
			many[i] = netip.AddrPortFrom(address4(198<<24+51<<16+i), 7)
		}
		set(many...)
		if n := len(a.peer(b).talk.candidates.addrs); n != maxCandidates {
			t.Errorf("%d candidates are kept", n)
		}
	})
}

// A peer that moves is told of once, with where it is; a keepalive from where it was before is no news.
func TestEndpointEvents(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		moved := func(h *host) (to []netip.AddrPort) {
			for _, e := range h.happened() {
				if e.Kind == EndpointMoved {
					to = append(to, e.Endpoint)
				}
			}
			return to
		}
		for _, from := range []netip.AddrPort{a.outer4(), elsewhere, elsewhere} {
			d := a.seal(b, nil)
			d.from = from
			w.inject(d)
		}
		if got := moved(b); !slices.Equal(got, []netip.AddrPort{elsewhere}) {
			t.Errorf("told %v of a peer that moved once", got)
		}
		b.set(peers(uapi.PeerConfig{PublicKey: a.public(), Endpoint: a.outer4()}))
		if got := moved(b); !slices.Equal(got, []netip.AddrPort{a.outer4()}) {
			t.Errorf("told %v of a peer that was moved", got)
		}
		w.sleep(rekey.RejectAfterTime)
		a.happened()
		a.deliver(b)
		for _, e := range a.happened() {
			if e.Kind == SessionStarted && e.Endpoint != b.outer4() {
				t.Errorf("a session started with %v", e.Endpoint)
			}
		}
	})
}
