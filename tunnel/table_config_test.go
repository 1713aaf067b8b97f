package tunnel

import (
	"bytes"
	"errors"
	"net/netip"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"vpn/noise/key"
	"vpn/noise/wire"
	"vpn/rekey"
	"vpn/tunnel/uapi"
)

// Rows of the table about configuration of a tunnel that runs.

// A late response to a peer that was removed is dropped, and the peer does not come back.
func TestPeerRemovedInHandshake(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newPair()
		w.setFilter(lose(a.outer4(), wire.TypeResponse))
		a.send(a.packetTo(b))
		response := find(w.sent(), a.outer4(), wire.TypeResponse)[0]
		a.set(peers(uapi.PeerConfig{PublicKey: b.public(), Remove: true}))
		a.wantDropped(NoSession, 1)
		w.setFilter(nil)
		w.inject(response)
		w.sleep(time.Hour)
		if got := w.sent(); len(got) != 0 {
			t.Errorf("sent %v after the peer was removed", got)
		}
		if _, all := a.Get(); len(collect(all)) != 0 || a.index.len() != 0 {
			t.Error("the peer is still there")
		}
		a.wantDropped(UnknownIndex, 1)
		a.wantKeys(0)
	})
}

// A peer that is removed while its initiation is in a worker's hands gets no answer.
func TestPeerRemovedWhileItCalls(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newPair()
		p := b.peer(a)
		p.mu.Lock()
		p.removed = true // and whoever looked it up before still has it
		p.mu.Unlock()
		w.inject(newCaller(&a.private, a.outer4(), b).initiation(time.Now()))
		if got := w.sent(); len(got) != 0 {
			t.Errorf("sent %v to a peer that was removed", got)
		}
		b.wantKeys(0)
		p.mu.Lock()
		p.removed = false
		p.mu.Unlock()
	})
}

// To be removed and added again lets nobody initiate sooner.
func TestPeerAddedAgainKeepsItsDistance(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newPair()
		w.setFilter(lose(a.outer4(), wire.TypeResponse))
		for range 10 {
			a.set(peers(uapi.PeerConfig{PublicKey: b.public(), Remove: true}))
			a.set(peers(b.asPeer(b.outer4())))
			a.send(a.packetTo(b))
		}
		w.sleep(rekey.RekeyTimeout - 1)
		if got := len(find(w.sent(), b.outer4(), wire.TypeInitiation)); got != 1 {
			t.Errorf("%d initiations, want one", got)
		}
		w.sleep(rekey.RekeyTimeoutJitterMax + 1)
		if got := len(find(w.sent(), b.outer4(), wire.TypeInitiation)); got != 1 {
			t.Errorf("%d initiations after RekeyTimeout, want one", got)
		}
	})
}

func collect(all func(func(uapi.Peer) bool)) (ps []uapi.Peer) {
	for p := range all {
		ps = append(ps, p)
	}
	return ps
}

// A recorded initiation stays dead when its peer is removed and added again.
func TestPeerAddedAgain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newPair()
		a.deliver(b)
		recorded := find(w.sent(), b.outer4(), wire.TypeInitiation)[0]
		for range 2 {
			b.set(peers(uapi.PeerConfig{PublicKey: a.public(), Remove: true}))
			b.set(peers(a.asPeer(netip.AddrPort{})))
		}
		w.setFilter(lose(b.outer4(), wire.TypeInitiation))
		w.sleep(time.Minute)
		w.setFilter(nil)
		w.sent()
		recorded.from = elsewhere
		w.inject(recorded)
		b.wantDropped(ReplayedInitiation, 1)
		if got := w.sent(); len(got) != 0 || b.endpoint(a).IsValid() {
			t.Errorf("a recorded initiation is answered by %v", got)
		}
		w.sleep(rekey.RejectAfterTime)
		a.deliver(b) // a new one is
	})
}

// What is remembered of removed peers is bounded.
func TestGravesBounded(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.newHost()
		const most = 4096
		for i := range 2 * most {
			public := key.Public{byte(i), byte(i >> 8), 1}
			a.set(peers(uapi.PeerConfig{PublicKey: public}))
			p := a.peers.get(public)
			p.mu.Lock()
			p.talking().lastTimestamp[0] = 1
			p.mu.Unlock()
			a.set(peers(uapi.PeerConfig{PublicKey: public, Remove: true}))
		}
		if n := len(a.peers.graves); n != most {
			t.Errorf("%d removed peers are remembered, want %d", n, most)
		}
	})
}

// "A peer equal to self is dropped, all sessions end; each peer shakes hands at its next packet, not all at once."
func TestPrivateKeyChanged(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.newHost()
		others := make([]*host, 5)
		for i := range others {
			b := w.newHost()
			others[i] = b
			a.set(peers(b.asPeer(b.outer4())))
			b.set(peers(a.asPeer(a.outer4())))
			a.deliver(b)
		}
		became := others[4]
		next := newPrivateKey(t)
		for _, b := range others {
			c := a.asPeer(a.outer4())
			c.PublicKey, c.AllowedIPs, c.ReplaceAllowedIPs = next.Public(), []uapi.AllowedIP{{Prefix: netip.MustParsePrefix("10.0.0.1/32")}}, false
			b.set(peers(c))
		}
		w.sent()

		a.set(&uapi.Config{PrivateKey: &next})
		a.wantKeys(0)
		w.sleep(rekey.RekeyTimeout + rekey.RekeyTimeoutJitterMax)
		if got := w.sent(); len(got) != 0 {
			t.Errorf("sent %v when the key changed", got)
		}
		a.deliver(others[0])
		if got := w.kinds(); len(got) != 3 {
			t.Errorf("sent %v for one packet, want one handshake and the packet", got)
		}
		if d, _ := a.Get(); d.PublicKey != next.Public() {
			t.Error("get tells another public key")
		}
		w.sleep(time.Minute)
		a.happened()

		a.set(&uapi.Config{PrivateKey: &next}) // the same key changes nothing
		if a.wantKeys(2); len(a.happened()) != 0 {
			t.Error("the same key again has ended a session")
		}
		a.set(&uapi.Config{PrivateKey: &became.private}) // the key of a peer
		_, all := a.Get()
		if ps := collect(all); len(ps) != len(others)-1 {
			t.Errorf("%d peers are left, want %d: all but the one that we became", len(ps), len(others)-1)
		}
		a.set(peers(became.asPeer(became.outer4())))
		if _, all := a.Get(); len(collect(all)) != len(others)-1 {
			t.Error("a peer with our own key was added")
		}
	})
}

// A handshake that was begun with one private key does not end with another.
func TestPrivateKeyChangedInHandshake(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newPair()
		w.setFilter(lose(a.outer4(), wire.TypeResponse))
		a.send(a.packetTo(b))
		response := find(w.sent(), a.outer4(), wire.TypeResponse)[0]
		next := newPrivateKey(t)
		a.set(&uapi.Config{PrivateKey: &next})
		a.wantDropped(NoSession, 1)
		a.wantDropped(NoAnswer, 0)
		w.inject(response)
		a.wantKeys(0)
		if got := w.sent(); len(got) != 0 {
			t.Errorf("sent %v", got)
		}
	})
}

// As wg has it, get gives the key as it is used: clamped. The zero key stays zero: it means none.
func TestPrivateKeyClamped(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.newHost()
		loose, err := key.PrivateFromBytes(bytes.Repeat([]byte{0xff}, key.Size))
		if err != nil {
			t.Fatal(err)
		}
		clamped := loose.Clone()
		clamped.Clamp()
		a.set(&uapi.Config{PrivateKey: &loose})
		d, _ := a.Get()
		if !d.PrivateKey.Equal(&clamped) || loose.Equal(&clamped) {
			t.Error("the key is not clamped, or the caller's is")
		}
		b := w.newHost()
		b.private, a.private = b.private.Clone(), clamped
		a.set(peers(b.asPeer(b.outer4())))
		b.set(peers(a.asPeer(a.outer4())))
		a.deliver(b)
		a.set(&uapi.Config{PrivateKey: &loose})
		a.wantKeys(2) // it is the same key
		a.set(&uapi.Config{PrivateKey: new(key.Private)})
		if d, _ := a.Get(); !d.PrivateKey.IsZero() || d.PublicKey != (key.Public{}) {
			t.Error("the zero key is not none")
		}
		a.wantKeys(0)
	})
}

// A change is done whole or not at all.
func TestSetWholeOrNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		port, mark, after, packets := uint16(7777), uint32(7), rekey.RekeyAfterTime, uint64(9)
		other := newPrivateKey(t)
		whole := func() *uapi.Config {
			return &uapi.Config{PrivateKey: &other, ListenPort: &port, FwMark: &mark, RekeyAfterPackets: &packets, ReplacePeers: true}
		}
		unchanged := func(when string) {
			t.Helper()
			d, all := a.Get()
			if !d.PrivateKey.Equal(&a.private) || d.ListenPort != 51820 || d.FwMark != 0 || d.RekeyAfterPackets != 0 || len(collect(all)) != 1 {
				t.Errorf("%s something has changed", when)
			}
			v4, v6 := a.sockets.Load().V4[0].(*memSocket), a.sockets.Load().V6[0].(*memSocket)
			if v4.mark != 0 || v6.mark != 0 {
				t.Errorf("%s the marks are %d and %d", when, v4.mark, v6.mark)
			}
			a.deliver(b)
			b.deliver(a)
		}

		a.opener.setFail(syscall.EADDRINUSE)
		if err := a.Set(whole()); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("a port that is taken gives %v", err)
		}
		unchanged("after a port was taken")
		a.opener.setFail(nil)

		after++
		c := whole()
		c.RekeyAfterTime = &after
		if err := a.Set(c); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("a limit that is too high gives %v", err)
		}
		unchanged("after a limit was too high")

		c = whole()
		c.ListenPort = nil
		a.sockets.Load().V6[0].(*memSocket).refuseMark = syscall.EPERM
		if err := a.Set(c); !errors.Is(err, syscall.EPERM) {
			t.Errorf("a mark that is not permitted gives %v", err)
		}
		unchanged("after a mark was not permitted")
		a.sockets.Load().V6[0].(*memSocket).refuseMark = nil

		a.set(whole())
		if d, all := a.Get(); d.ListenPort != port || d.FwMark != mark || d.RekeyAfterPackets != packets || len(collect(all)) != 0 {
			t.Error("the same change is not done when nothing stands against it")
		}
	})
}

// Allowed IPs that move, or are replaced by themselves, are never without an owner.
func TestAllowedIPsSwapped(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		c := w.newHost()
		a.set(peers(c.asPeer(c.outer4())))
		shared := netip.MustParsePrefix("10.7.0.0/16")
		owner := func(h *host) uapi.PeerConfig {
			return uapi.PeerConfig{PublicKey: h.public(), AllowedIPs: []uapi.AllowedIP{{Prefix: shared}}}
		}
		a.set(peers(owner(b)))
		var swapping sync.WaitGroup
		stop := make(chan struct{})
		swapping.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				var err error
				switch i % 4 {
				case 0:
					err = a.Set(peers(owner(c)))
				case 1:
					again := owner(c)
					again.ReplaceAllowedIPs = true
					err = a.Set(peers(again))
				case 2:
					err = a.Set(peers(owner(b)))
				case 3:
					err = a.Set(peers(b.asPeer(b.outer4()), owner(b)))
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
		for range 2000 {
			a.put(ip4(a.inner4(), "10.7.1.1", protocolUDP, make([]byte, 20)))
			for a.device.outstanding() != 0 {
				runtime.Gosched()
			}
		}
		close(stop)
		swapping.Wait()
		a.wantDropped(NoPeer, 0)
	})
}

// A prefix can be taken from the peer that has it, and only from that one; and all of a peer's can be replaced.
func TestAllowedIPTaken(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		c := w.newHost()
		a.set(peers(c.asPeer(c.outer4())))
		one, other := netip.MustParsePrefix("10.7.0.0/16"), netip.MustParsePrefix("10.8.0.0/16")
		change := func(h *host, replace bool, ps ...uapi.AllowedIP) {
			a.set(peers(uapi.PeerConfig{PublicKey: h.public(), ReplaceAllowedIPs: replace, AllowedIPs: ps}))
		}
		owned := func(want1, want2 *host) {
			t.Helper()
			for p, want := range map[netip.Prefix]*host{one: want1, other: want2} {
				owner, _ := a.allowed.Lookup(p.Addr())
				if want == nil && owner != nil || want != nil && owner != a.peer(want) {
					t.Errorf("%v has another owner than host %v", p, want)
				}
			}
		}
		change(b, false, uapi.AllowedIP{Prefix: one}, uapi.AllowedIP{Prefix: other})
		owned(b, b)
		change(b, false, uapi.AllowedIP{Prefix: one, Remove: true})
		owned(nil, b)
		change(c, false, uapi.AllowedIP{Prefix: one}, uapi.AllowedIP{Prefix: other, Remove: true}) // which is not c's
		owned(c, b)
		change(b, true, uapi.AllowedIP{Prefix: one})
		owned(b, nil)
		change(b, true)
		owned(nil, nil)
	})
}

// An update changes only what is there.
func TestUpdateOnly(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newHost(), w.newHost()
		c := b.asPeer(b.outer4())
		c.UpdateOnly = true
		a.set(peers(c))
		if _, all := a.Get(); len(collect(all)) != 0 {
			t.Error("update_only has added a peer")
		}
		c.UpdateOnly = false
		a.set(peers(c))
		seconds := uint16(5)
		a.set(peers(uapi.PeerConfig{PublicKey: b.public(), UpdateOnly: true, Keepalive: &seconds}))
		if _, all := a.Get(); len(collect(all)) != 1 || collect(all)[0].Keepalive != 5 {
			t.Error("update_only has not changed the peer that is there")
		}
	})
}
