package tunnel

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"vpn/noise"
	"vpn/noise/wire"
	"vpn/rekey"
	"vpn/tun"
	"vpn/tunnel/uapi"
)

// Rows of the table about the life of sessions.

// wantKeys checks how many keys are in memory; a session has two on each side.
func (h *host) wantKeys(n int) {
	h.w.t.Helper()
	h.w.wait()
	if got := h.arena.Live(); got != n {
		h.w.t.Errorf("host %d has %d keys in memory, want %d", h.number, got, n)
	}
}

// Keys are forgotten as soon as they can no longer be used: at 180 s, on both sides, whatever is going on.
func TestKeysErasedAtRejectAfterTime(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newPair()
		a.deliver(b)
		w.setFilter(func(d *datagram) bool { return d.kind() == wire.TypeData }) // no new session
		for range 17 {
			w.sleep(10 * time.Second)
			a.deliver(b)
		}
		recorded := a.seal(b, a.packetTo(b))
		w.sleep(10*time.Second - 1)
		a.wantKeys(2)
		b.wantKeys(2)
		a.deliver(b)
		w.sleep(1)
		a.wantKeys(0)
		b.wantKeys(0)
		w.inject(recorded)
		if got := b.received(); len(got) != 0 {
			t.Error("a message on an expired session is taken")
		}
		w.sent()
		a.send(a.packetTo(b))
		if got := w.sent(); count(got, wire.TypeData) != 0 {
			t.Errorf("sent %v on an expired session", got)
		}
		if n := a.index.len(); n != 1 {
			t.Errorf("%d indices are in use, want that of the handshake", n)
		}
	})
}

func TestKeysErased(t *testing.T) {
	for name, end := range map[string]func(w *world, a, b *host){
		"peer removed":   func(_ *world, a, b *host) { a.set(peers(uapi.PeerConfig{PublicKey: b.public(), Remove: true})) },
		"peers replaced": func(_ *world, a, _ *host) { a.set(&uapi.Config{ReplacePeers: true}) },
		"link down":      func(_ *world, a, _ *host) { a.link(tun.Down) },
		"key changed": func(w *world, a, _ *host) {
			k := newPrivateKey(w.t)
			a.set(&uapi.Config{PrivateKey: &k})
		},
		"closed":      func(_ *world, a, _ *host) { a.Close() },
		"device gone": func(_ *world, a, _ *host) { a.device.Close(); <-a.Done() },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				a, b := w.newSession()
				w.setFilter(lose(a.outer4(), wire.TypeResponse))
				w.sleep(rekey.RekeyAfterTime)
				a.send(a.packetTo(b)) // a handshake is under way, too
				if a.index.len() != 2 {
					t.Fatalf("%d indices are in use, want a session's and a handshake's", a.index.len())
				}
				late := find(w.sent(), a.outer4(), wire.TypeResponse)
				a.wantKeys(2)
				end(w, a, b)
				a.wantKeys(0)
				if got := a.index.len(); got != 0 {
					t.Errorf("%d indices are still in use", got)
				}
				w.setFilter(nil)
				w.sent()
				for _, d := range late {
					w.inject(d)
				}
				if got := w.sent(); len(got) != 0 {
					t.Errorf("sent %v after the end", got)
				}
				a.wantKeys(0)
			})
		})
	}
}

// Beyond the last counter nothing is sent; a new session is asked for long before, and the old one goes on until it is there.
func TestCounterLimits(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		k := a.peer(b).machine.Sending()
		skipTo := func(counter uint64) {
			for k.SentPackets() < counter {
				if _, ok := k.Reserve(int(min(counter-k.SentPackets(), math.MaxInt))); !ok {
					t.Fatalf("counter %d can't be had", counter)
				}
			}
		}
		w.setFilter(lose(b.outer4(), wire.TypeInitiation))
		skipTo(rekey.RekeyAfterMessages - 2)
		a.deliver(b)
		if n := count(w.sent(), wire.TypeInitiation); n != 0 {
			t.Fatal("a new session is asked for before RekeyAfterMessages")
		}
		a.deliver(b)
		if n := count(w.sent(), wire.TypeInitiation); n != 1 {
			t.Errorf("%d initiations at RekeyAfterMessages, want 1", n)
		}
		skipTo(rekey.RejectAfterMessages - 2)
		a.deliver(b)
		a.deliver(b)
		b.received()
		w.sent()
		a.send(a.packetTo(b), a.packetTo(b))
		if got := w.sent(); count(got, wire.TypeData) != 0 {
			t.Errorf("sent %v past the last counter", got)
		}
		w.setFilter(nil)
		w.sleep(rekey.RekeyTimeout + rekey.RekeyTimeoutJitterMax)
		if got := len(b.received()); got != 2 {
			t.Errorf("%d packets arrived on the new session, want the 2 that waited", got)
		}
		if a.peer(b).machine.Sending() == k {
			t.Error("the session is still the old one")
		}
	})
}

// A run that doesn't fit below the last counter as a whole waits as a whole.
func TestCounterLimitWithinRun(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		k := a.peer(b).machine.Sending()
		k.Reserve(math.MaxInt)
		k.Reserve(math.MaxInt)
		k.Reserve(int(rekey.RejectAfterMessages - k.SentPackets() - 3))
		ps := [][]byte{a.packetTo(b), a.packetTo(b), a.packetTo(b), a.packetTo(b)}
		a.send(ps...)
		wantPackets(t, b.received(), ps)
	})
}

// "A changed preshared key is ignored" elsewhere; here the next handshake uses it.
func TestPresharedKeyChangedLive(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		psk := newPreshared(t)
		a.set(peers(uapi.PeerConfig{PublicKey: b.public(), Preshared: &psk}))
		a.deliver(b) // the session goes on
		w.sleep(rekey.RejectAfterTime)
		a.send(a.packetTo(b))
		if len(b.received()) != 0 || a.dropped(BadHandshake) != 1 {
			t.Error("a handshake succeeds with different preshared keys")
		}
		b.set(peers(uapi.PeerConfig{PublicKey: a.public(), Preshared: &psk}))
		w.sleep(rekey.RekeyTimeout + rekey.RekeyTimeoutJitterMax)
		if len(b.received()) != 1 {
			t.Error("a handshake fails with the same preshared key")
		}
	})
}

// Keys that aged in sleep are dead on waking, and a handshake starts at once.
func TestSuspend(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		a.time.sleep(rekey.RejectAfterTime - rekey.KeepaliveTimeout - 1)
		a.wantKeys(2)
		a.time.sleep(1)
		a.wantKeys(0)
		a.deliver(b)
		if got := w.kinds(); len(got) != 3 || got[0] != wire.TypeInitiation {
			t.Errorf("sent %v, want a handshake and the packet", got)
		}
	})
}

// Traffic that finds a session too old does not wait for the timer to say so.
func TestSuspendBeforeTimer(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		recorded := b.seal(a, b.packetTo(a))
		a.time.slept.Store(int64(rekey.RejectAfterTime)) // and no timer has ticked yet
		w.inject(recorded)
		a.wantDropped(KeyExpired, 1)
		a.deliver(b)
		if got := w.kinds(); len(got) != 3 || got[0] != wire.TypeInitiation {
			t.Errorf("sent %v, want a handshake and the packet", got)
		}
	})
}

// "Staged packets and keys go, timers stop; on up, persistent keepalives start."
func TestDownAndUp(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		c := w.newHost()
		c.set(peers(a.asPeer(a.outer4())))
		seconds := uint16(25)
		withKeepalive := b.asPeer(b.outer4())
		withKeepalive.Keepalive = &seconds
		a.set(peers(withKeepalive, c.asPeer(c.outer4())))
		w.setFilter(lose(a.outer4(), wire.TypeResponse))
		a.send(a.packetTo(c))
		w.sent()

		a.link(tun.Down)
		a.wantDropped(NoSession, 1)
		a.send(a.packetTo(b))
		a.wantDropped(NoSession, 2)
		w.sleep(time.Hour)
		if got := find(w.sent(), b.outer4(), wire.TypeData); len(got) != 0 {
			t.Errorf("sent %v while down", got)
		}
		if d, _ := a.Get(); d.ListenPort != 51820 {
			t.Errorf("the port is %d after down", d.ListenPort)
		}

		w.setFilter(nil)
		a.link(tun.Up)
		if got := w.kinds(); len(got) != 3 || got[2] != wire.TypeData {
			t.Errorf("sent %v on up, want a handshake and a keepalive", got)
		}
		a.deliver(b)
		a.deliver(c)
	})
}

// The device goes away underneath: all ends, and the port is free.
func TestDeviceGone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		psk := newPreshared(t)
		a.set(peers(uapi.PeerConfig{PublicKey: b.public(), Preshared: &psk}))
		before, c := a.identity.Load(), newCaller(&b.private, b.outer4(), a)
		a.device.Close()
		<-a.Done()
		a.wantKeys(0)
		w.mu.Lock()
		_, v4 := w.sockets[a.outer4()]
		_, v6 := w.sockets[a.outer6()]
		w.mu.Unlock()
		if v4 || v6 {
			t.Error("a socket is still open")
		}
		if err := a.Set(&uapi.Config{}); err == nil {
			t.Error("Set succeeds after the end")
		}
		d, all := a.Get()
		if !d.PrivateKey.IsZero() {
			t.Error("the private key is left")
		}
		for p := range all {
			if !p.Preshared.IsZero() {
				t.Error("a preshared key is left")
			}
		}
		if _, err := noise.Accept(before.local, wire.AsInitiation(c.initiation(time.Now()).data)); !errors.Is(err, noise.ErrNoPrivateKey) {
			t.Errorf("handshakes still find the private key: %v", err)
		}
		b.send(b.packetTo(a))
	})
}

// A session's name is random: it is made of no key, and two sides of a session don't have the same one.
func TestNamesAreNoFingerprints(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newPair()
		random := new(recordedRandom)
		a.Tunnel.rand, a.Tunnel.index.rand = random, random
		for range 3 {
			a.deliver(b)
			k := a.peer(b).machine.Current()
			if !random.gave(k.ID()) {
				t.Errorf("%s comes from something else than randomness", k.Name())
			}
			if k.Name() == b.peer(a).machine.Current().Name() {
				t.Errorf("both sides call a session %s", k.Name())
			}
			w.sleep(rekey.RejectAfterTime)
		}
	})
}

// recordedRandom notes the 64-bit numbers that were read from it.
type recordedRandom struct {
	mu      sync.Mutex
	numbers []uint64
}

func (r *recordedRandom) Read(b []byte) (int, error) {
	n, err := rand.Read(b)
	if len(b) == 8 {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.numbers = append(r.numbers, binary.LittleEndian.Uint64(b))
	}
	return n, err
}

func (r *recordedRandom) gave(number uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Contains(r.numbers, number)
}
