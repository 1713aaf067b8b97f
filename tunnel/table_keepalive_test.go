package tunnel

import (
	"net/netip"
	"testing"
	"time"

	"vpn/noise/key"
	"vpn/noise/wire"
	"vpn/rekey"
	"vpn/tun"
	"vpn/tunnel/uapi"
)

// Rows of the table about keepalives, and about silence.

// "Silent until up; silent without a key."
func TestSilentUntilUpWithKey(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.newHost()
		a := w.newSilentHost()
		b.set(peers(a.asPeer(a.outer4())))
		seconds := uint16(25)
		c := b.asPeer(b.outer4())
		c.Keepalive = &seconds
		a.set(peers(c))
		silent := func(when string) {
			t.Helper()
			a.send(a.packetTo(b))
			w.sleep(time.Minute)
			if got := w.sent(); len(got) != 0 {
				t.Errorf("sent %v %s", got, when)
			}
		}
		silent("with neither link nor key")
		a.link(tun.Up)
		silent("with link and no key")
		w.inject(newCaller(&b.private, b.outer4(), a).initiation(time.Now()))
		a.wantDropped(NoPrivateKey, 1)
		a.link(tun.Down)
		a.set(&uapi.Config{PrivateKey: &a.private})
		silent("with key and no link")
		a.link(tun.Up)
		if got := w.kinds(); len(got) != 3 {
			t.Errorf("sent %v, want handshake and keepalive", got)
		}
		a.deliver(b)
		a.set(&uapi.Config{PrivateKey: new(key.Private)})
		a.wantKeys(0)
		w.sent()
		w.setFilter(func(d *datagram) bool { return d.from != b.outer4() }) // who goes on trying
		a.send(a.packetTo(b))
		w.sleep(time.Minute)
		for _, d := range w.sent() {
			if d.from == a.outer4() {
				t.Errorf("sent %v after the key was taken away", d)
			}
		}
	})
}

// A pair that says nothing falls silent.
func TestIdlePairSilent(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newPair()
		for range 10 {
			w.exchange(a, b)
			w.sleep(time.Second)
		}
		w.sleep(rekey.KeepaliveTimeout)
		w.sent()
		w.sleep(time.Hour)
		if got := w.sent(); len(got) != 0 {
			t.Errorf("an idle pair sent %v", got)
		}
		a.wantKeys(0)
		b.wantKeys(0)
	})
}

func TestPersistentKeepalive(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		set := func(seconds uint16) {
			a.set(peers(uapi.PeerConfig{PublicKey: b.public(), Keepalive: &seconds}))
		}
		want := func(n int, when string) {
			t.Helper()
			if got := find(w.sent(), b.outer4(), wire.TypeData); len(got) != n {
				t.Errorf("%d messages %s, want %d", len(got), when, n)
			}
		}
		set(7)
		want(1, "when it is switched on")
		w.sleep(7*time.Second - 1)
		want(0, "before the interval is over")
		w.sleep(1)
		want(1, "after the interval")
		w.sleep(5 * time.Second)
		b.deliver(a)
		w.sleep(7*time.Second - 1)
		want(0, "within the interval after something was received")
		w.sleep(1)
		want(1, "an interval after something was received")
		w.sleep(5 * time.Second)
		a.deliver(b)
		want(1, "that are data")
		w.sleep(7*time.Second - 1)
		want(0, "within the interval after something was sent")
		w.sleep(1)
		want(1, "an interval after something was sent")
		w.sleep(5 * time.Second)
		w.inject(newCaller(&b.private, b.outer4(), a).initiation(time.Now()))
		w.sleep(7*time.Second - 1)
		want(0, "within the interval after an initiation")
		w.sleep(1)
		want(1, "an interval after an initiation")
		set(0)
		w.sleep(time.Minute)
		want(0, "after it is switched off")
	})
}

// A peer that is to be kept alive, and whose endpoint becomes known later, is called as soon as it is.
func TestEndpointComesLate(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newHost(), w.newHost()
		known, seconds := b.asPeer(netip.AddrPort{}), uint16(25)
		known.Keepalive = &seconds
		a.set(peers(known))
		b.set(peers(a.asPeer(a.outer4())))
		w.sleep(7 * time.Second)
		if log := w.sent(); len(log) > 0 {
			t.Fatalf("sent %v, and nobody knows where to", log)
		}
		a.set(peers(uapi.PeerConfig{PublicKey: b.public(), Endpoint: b.outer4()}))
		if got := w.kinds(); len(got) == 0 || got[0] != wire.TypeInitiation {
			t.Errorf("sent %v, want an initiation at once", got)
		}
		a.set(peers(uapi.PeerConfig{PublicKey: b.public(), Endpoint: b.outer4()}))
		w.sleep(rekey.RekeyTimeout)
		if got := find(w.sent(), b.outer4(), wire.TypeInitiation); len(got) > 0 {
			t.Error("a second initiation")
		}
	})
}

// A keepalive needs a session, and keeps it for ever.
func TestPersistentKeepaliveRekeys(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newPair()
		seconds := uint16(25)
		a.set(peers(uapi.PeerConfig{PublicKey: b.public(), Keepalive: &seconds}))
		w.sent()
		w.sleep(time.Hour)
		initiations := count(w.sent(), wire.TypeInitiation)
		if lo, hi := 3600/(120+25)-1, 3600/120; initiations < lo || initiations > hi {
			t.Errorf("%d handshakes in an hour, want %d to %d", initiations, lo, hi)
		}
		b.deliver(a)
	})
}
