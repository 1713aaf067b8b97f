package tunnel

import (
	"net/netip"
	"sync"
	"testing"
	"time"

	"vpn/noise/cookie"
	"vpn/noise/wire"
	"vpn/rekey"
	"vpn/tunnel/udp"
)

// Rows of the table about load and cookies.

// load keeps all of a host's workers busy, each with a response that does not get out of its socket, until the function returned is
// called. What arrives meanwhile queues up.
func (w *world) load(h *host) (release func()) {
	w.t.Helper()
	gate := make(chan struct{})
	socket := h.sockets.Load().V4[0].(*memSocket)
	socket.setRefuse(func(m *udp.Outgoing) error {
		if k, _ := wire.Classify(m.Data); k == wire.TypeResponse {
			<-gate
		}
		return nil
	})
	for i := 0; h.handshakesWaiting() == 0; i++ {
		private := newPrivateKey(w.t)
		from := netip.AddrPortFrom(elsewhere.Addr(), uint16(1000+i))
		c := h.asPeer(from)
		c.PublicKey, c.AllowedIPs = private.Public(), nil
		h.set(peers(c))
		w.inject(newCaller(&private, from, h).initiation(time.Now()))
	}
	release = sync.OnceFunc(func() {
		socket.setRefuse(nil)
		close(gate)
		w.wait()
	})
	w.t.Cleanup(release)
	return release
}

// handshakesWaiting is how many handshake messages no worker has taken yet.
func (h *host) handshakesWaiting() int {
	h.handshakes.mu.Lock()
	defer h.handshakes.mu.Unlock()
	return h.handshakes.count
}

// flood sends messages with a good mac1 until the host is under load, all from one address.
func (w *world) flood(h *host) *caller {
	w.t.Helper()
	private := newPrivateKey(w.t)
	c := newCaller(&private, elsewhere, h)
	for h.handshakesWaiting() < 512 {
		w.inject(c.junk())
		if got := w.sent(); len(got) != 0 {
			w.t.Fatalf("%d messages were sent before the host was under load", len(got))
		}
	}
	return c
}

// A message with a bad mac1 never comes to where Diffie-Hellman is done: it is gone while all workers are busy.
func TestBadMAC1TakesNoWorker(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newHost(), w.newHost()
		w.load(a)
		waiting := a.handshakesWaiting()
		d := newCaller(&b.private, elsewhere, a).initiation(time.Now())
		d.data[20] ^= 1
		for range 2 * handshakeQueueLen {
			w.inject(d)
		}
		a.wantDropped(BadMAC1, 2*handshakeQueueLen)
		if got := a.handshakesWaiting(); got != waiting {
			t.Errorf("%d messages wait for a worker, want %d", got, waiting)
		}
	})
}

// "Only a 64-byte cookie reply goes out; with a valid mac2, the per-source limiter."
func TestFloodGetsCookies(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.newHost()
		w.load(a)
		c := w.flood(a)
		for range 100 {
			w.inject(c.junk())
		}
		log := w.sent()
		for _, d := range log {
			if d.kind() != wire.TypeCookieReply || len(d.data) != wire.SizeCookieReply || d.to != elsewhere {
				t.Fatalf("a %d-byte message went to %v", len(d.data), d.to)
			}
		}
		if len(log) != 100 {
			t.Fatalf("%d cookie replies, want 100", len(log))
		}
		a.wantDropped(CookieDemanded, 100)

		if !c.cookies.Consume(wire.AsCookieReply(log[99].data), a.clock.Now()) {
			t.Fatal("the cookie reply is no good")
		}
		for range 100 {
			w.inject(c.junk())
		}
		if got := w.sent(); len(got) != 0 {
			t.Errorf("%d answers to messages with a cookie", len(got))
		}
		a.wantDropped(CookieDemanded, 100)
		a.wantDropped(RateLimited, 100-cookie.LimitBurst)
		w.sleep(time.Second / cookie.LimitPerSecond)
		w.inject(c.junk())
		a.wantDropped(RateLimited, 100-cookie.LimitBurst)
	})
}

// A flood that the workers keep up with is one too: once it is seen, no forged message is worked on until it ends, and who has a cookie
// gets in.
func TestForgedHandshakesAreLimited(t *testing.T) {
	const seconds, perSecond = 5, 4000
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		late := w.newHost()
		a.set(peers(late.asPeer(late.outer4())))
		late.set(peers(a.asPeer(a.outer4())))
		private := newPrivateKey(t)
		c := newCaller(&private, elsewhere, a)
		for i := range seconds * perSecond {
			d := c.junk()
			d.from = netip.AddrPortFrom(address4(100<<24+i), 7)
			w.inject(d)
			if i%1000 == 0 {
				a.deliver(b)
				b.deliver(a)
			}
			if i == perSecond {
				late.send(late.packetTo(a)) // gets a cookie, and calls again RekeyTimeout later
			}
			w.sleep(time.Second / perSecond)
		}
		if got := a.dropped(BadHandshake); got < wastedLimit || got > 2*wastedLimit {
			t.Errorf("%d forged messages were worked on in %d s, want those of the beginning only", got, seconds)
		}
		if a.dropped(CookieDemanded)+a.dropped(BadHandshake) != seconds*perSecond+1 {
			t.Errorf("%d cookies were demanded, of %d messages", a.dropped(CookieDemanded), seconds*perSecond+1)
		}
		for i := range 2 * perSecond {
			d := c.junk()
			d.from = netip.AddrPortFrom(address4(100<<24+i), 7)
			w.inject(d)
			w.sleep(time.Second / perSecond)
		}
		if got := len(a.received()); got != 1 {
			t.Errorf("%d packets came of the peer that was told to bring a cookie, want the one that waited", got)
		}
		a.deliver(late)
	})
}

// The queue is bounded, whatever comes with good cookies from many sources.
func TestHandshakeQueueFull(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.newHost()
		w.load(a)
		c := w.flood(a)
		w.inject(c.junk())
		c.cookies.Consume(wire.AsCookieReply(c.answers(wire.TypeCookieReply)[0].data), a.clock.Now())
		for a.handshakesWaiting() < 4096 {
			if !a.handshakes.push(wire.TypeInitiation, c.junk().data, udp.Endpoint{Addr: elsewhere}, 0) {
				t.Fatal("the queue is full too early")
			}
		}
		w.inject(c.junk())
		a.wantDropped(HandshakeQueueFull, 1)
	})
}

// "Mac2 wrong, stale, from another address or port: as if there were no cookie."
func TestCookieMisused(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.newHost()
		w.load(a)
		c := w.flood(a)
		w.inject(c.junk())
		c.cookies.Consume(wire.AsCookieReply(c.answers(wire.TypeCookieReply)[0].data), a.clock.Now())

		demanded := func(d datagram) bool {
			w.inject(d)
			replies := find(w.sent(), d.from, wire.TypeCookieReply)
			return len(replies) == 1
		}
		from := func(d datagram, a netip.AddrPort) datagram { d.from = a; return d }
		wrong := c.junk()
		wrong.data[wire.SizeInitiation-1] ^= 1
		if !demanded(wrong) {
			t.Error("a wrong mac2 is taken")
		}
		if !demanded(from(c.junk(), netip.AddrPortFrom(elsewhere.Addr(), elsewhere.Port()+1))) {
			t.Error("a cookie is good from another port")
		}
		if !demanded(from(c.junk(), netip.AddrPortFrom(elsewhere.Addr().Next(), elsewhere.Port()))) {
			t.Error("a cookie is good from another address")
		}
		if demanded(c.junk()) {
			t.Error("a good cookie is not taken")
		}
		stale := c.junk()
		w.sleep(cookie.SecretLifetime)
		if !demanded(stale) {
			t.Error("a stale cookie is taken")
		}
	})
}

// While one source floods, others pay one round trip at most, and established sessions nothing.
func TestFloodAndOthers(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		c := w.newHost()
		a.set(peers(c.asPeer(c.outer4())))
		c.set(peers(a.asPeer(a.outer4())))
		release := w.load(a)
		w.flood(a)

		b.deliver(a)
		a.deliver(b)
		w.sent()
		c.send(c.packetTo(a))
		if got := w.kinds(); len(got) != 2 || got[1] != wire.TypeCookieReply {
			t.Fatalf("sent %v, want an initiation and a cookie reply", got)
		}
		w.sleep(rekey.RekeyTimeout - time.Second)
		b.deliver(a)
		w.sleep(time.Second + rekey.RekeyTimeoutJitterMax)
		if got := len(find(w.sent(), c.outer4(), wire.TypeCookieReply)); got != 0 {
			t.Errorf("%d more cookie replies, after the first was used", got)
		}
		release()
		if got := len(a.received()); got != 1 {
			t.Errorf("%d packets arrived once there was time for handshakes, want the one that waited", got)
		}
		a.deliver(c)
	})
}

// A source that has a cookie and spends all it may costs no other source anything.
func TestSpentSourceAndOthers(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.newHost()
		w.load(a)
		c := w.flood(a)
		private := newPrivateKey(t)
		other := newCaller(&private, netip.AddrPortFrom(elsewhere.Addr().Next(), elsewhere.Port()), a)
		for _, each := range []*caller{c, other} {
			w.inject(each.junk())
			each.cookies.Consume(wire.AsCookieReply(each.answers(wire.TypeCookieReply)[0].data), a.clock.Now())
		}
		for range 10 * cookie.LimitBurst {
			w.inject(c.junk())
		}
		a.wantDropped(RateLimited, 9*cookie.LimitBurst)
		waiting := a.handshakesWaiting()
		w.inject(other.junk())
		a.wantDropped(RateLimited, 9*cookie.LimitBurst)
		if got := a.handshakesWaiting(); got != waiting+1 {
			t.Errorf("%d more messages are worked on, want that of the source that has sent nothing before", got-waiting)
		}
	})
}

// A response is demanded a cookie for just as an initiation is.
func TestResponseUnderLoad(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newPair()
		w.setFilter(lose(a.outer4(), wire.TypeResponse))
		a.send(a.packetTo(b))
		response := find(w.sent(), a.outer4(), wire.TypeResponse)[0]
		w.setFilter(nil)
		w.load(a)
		w.flood(a)
		w.inject(response)
		replies := find(w.sent(), b.outer4(), wire.TypeCookieReply)
		if len(replies) != 1 || replies[0].tos != 0 {
			t.Fatalf("%d cookie replies, want one", len(replies))
		}
		w.sleep(rekey.RekeyTimeout)
		b.send(b.packetTo(a))
		initiations := find(w.sent(), a.outer4(), wire.TypeInitiation)
		if len(initiations) != 1 || *wire.AsInitiation(initiations[0].data).MAC2() == [16]byte{} {
			t.Error("the responder did not take the cookie")
		}
	})
}

// Load is over a second after the last time that the queue was long.
func TestLoadEnds(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newPair()
		release := w.load(b)
		w.flood(b)
		a.send(a.packetTo(b)) // is told that there is load
		release()
		w.sent()
		c := newCaller(&a.private, elsewhere, b)
		w.sleep(time.Second - 1)
		w.inject(c.initiation(time.Now()))
		if len(c.answers(wire.TypeCookieReply)) != 1 {
			t.Error("no cookie is demanded within a second")
		}
		w.sleep(1)
		w.inject(c.initiation(time.Now()))
		if len(c.answers(wire.TypeResponse)) != 1 {
			t.Error("a cookie is demanded a second after the load")
		}
	})
}

// "Ignored; accepted once per mac1 sent; never moves the endpoint."
func TestCookieReplies(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newPair()
		release := w.load(b)
		w.flood(b)
		w.setFilter(lose(a.outer4(), wire.TypeCookieReply))
		a.send(a.packetTo(b))
		reply := find(w.sent(), a.outer4(), wire.TypeCookieReply)[0]
		release()

		spoofed := datagram{from: elsewhere, to: a.outer4(), data: append([]byte(nil), reply.data...)}
		spoofed.data[40] ^= 1
		w.inject(spoofed)
		a.wantDropped(BadCookieReply, 1)

		reply.from = elsewhere // a good one, from another address
		w.inject(reply)
		a.wantDropped(BadCookieReply, 1)
		w.inject(reply)
		a.wantDropped(BadCookieReply, 2) // once per mac1
		if a.endpoint(b) != b.outer4() {
			t.Error("a cookie reply has moved the endpoint")
		}
		stray := reply
		stray.data = append([]byte(nil), reply.data...)
		stray.data[4] ^= 1 // the receiver's index
		w.inject(stray)
		a.wantDropped(UnknownIndex, 1)

		w.sleep(rekey.RekeyTimeout + rekey.RekeyTimeoutJitterMax)
		initiations := find(w.sent(), b.outer4(), wire.TypeInitiation)
		if len(initiations) != 1 || *wire.AsInitiation(initiations[0].data).MAC2() == [16]byte{} {
			t.Error("the next initiation has no mac2")
		}
		if len(b.received()) != 1 {
			t.Error("the packet that waited did not arrive")
		}
	})
}
