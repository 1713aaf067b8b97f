package tunnel

import (
	"bytes"
	"crypto/rand"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"vpn/noise/aead"
	"vpn/noise/cookie"
	"vpn/noise/wire"
	"vpn/rekey"
	"vpn/tun"
	"vpn/tunnel/uapi"
	"vpn/tunnel/udp"
)

// Rows of the table about reasons for drops.

// Each reason there is has something here that a host, a, drops for it: what it returns is whose loss it is, nil if nobody can be named.
var drops = map[Reason]func(w *world, a, b *host) (whose *host){
	NotIP: func(_ *world, a, _ *host) *host { a.send([]byte{0x45}); return nil },
	NoPeer: func(_ *world, a, _ *host) *host {
		a.send(ip4(a.inner4(), "10.9.9.9", protocolUDP, nil))
		return nil
	},
	NoEndpoint: func(_ *world, a, b *host) *host {
		a.set(peers(uapi.PeerConfig{PublicKey: b.public(), Remove: true}, b.asPeer(netip.AddrPort{})))
		a.send(a.packetTo(b))
		return b
	},
	StagingFull: func(w *world, a, b *host) *host {
		w.setFilter(lose(b.outer4(), wire.TypeInitiation))
		for range maxStagedSegments + 1 {
			a.send(a.packetTo(b))
		}
		return b
	},
	NoAnswer: func(w *world, a, b *host) *host {
		w.setFilter(lose(b.outer4(), wire.TypeInitiation))
		a.send(a.packetTo(b))
		w.sleep(rekey.RekeyAttemptTime)
		return b
	},
	NoSession: func(w *world, a, b *host) *host {
		w.setFilter(lose(b.outer4(), wire.TypeInitiation))
		a.send(a.packetTo(b))
		a.link(tun.Down)
		return b
	},
	RoutingLoop: func(_ *world, a, b *host) *host {
		everything := uapi.AllowedIP{Prefix: netip.MustParsePrefix("0.0.0.0/0")}
		a.set(peers(uapi.PeerConfig{PublicKey: b.public(), AllowedIPs: []uapi.AllowedIP{everything}}))
		a.send(wrap(a.seal(b, nil)))
		return b
	},
	SendFailed: func(_ *world, a, b *host) *host {
		a.socket4().setRefuse(func(*udp.Outgoing) error { return &udp.SendError{Err: syscall.EPERM} })
		a.send(a.packetTo(b))
		return b
	},
	LinkDown: func(w *world, a, b *host) *host {
		a.opener.v6 = netip.Addr{}
		a.link(tun.Down)
		a.link(tun.Up)
		a.set(peers(b.asPeer(b.outer6())))
		a.send(a.packetTo(b))
		return b
	},
	NotAMessage: inject(func(w *world, a, b *host) datagram { return datagram{data: make([]byte, 100)} }, false),
	BadMAC1: inject(func(w *world, a, b *host) datagram {
		d := newCaller(&b.private, b.outer4(), a).initiation(time.Now())
		d.data[20] ^= 1
		return d
	}, false),
	CookieDemanded: inject(func(w *world, a, _ *host) datagram { w.load(a); return w.flood(a).junk() }, false),
	RateLimited: func(w *world, a, _ *host) *host {
		w.load(a)
		c := w.flood(a)
		c.takeCookie()
		for range cookie.LimitBurst + 1 {
			w.inject(c.junk())
		}
		return nil
	},
	HandshakeQueueFull: func(w *world, a, _ *host) *host {
		w.load(a)
		c := w.flood(a)
		c.takeCookie()
		for a.handshakes.push(wire.TypeInitiation, c.junk().data, udp.Endpoint{Addr: elsewhere}, 0) {
		}
		w.inject(c.junk())
		return nil
	},
	BadHandshake: inject(func(w *world, a, b *host) datagram {
		w.sleep(rekey.RejectAfterTime)
		w.setFilter(lose(a.outer4(), wire.TypeResponse))
		a.send(a.packetTo(b))
		d := find(w.sent(), a.outer4(), wire.TypeResponse)[0]
		wire.AsResponse(d.data).Empty()[0] ^= 1
		newCaller(&b.private, b.outer4(), a).sign(d.data)
		return d
	}, true),
	UnknownPeer: inject(func(w *world, a, _ *host) datagram {
		private := newPrivateKey(w.t)
		return newCaller(&private, elsewhere, a).initiation(time.Now())
	}, false),
	ReplayedInitiation: func(w *world, a, b *host) *host {
		d := newCaller(&b.private, b.outer4(), a).initiation(time.Now())
		w.inject(d)
		w.inject(d)
		return b
	},
	InitiationFlood: func(w *world, a, b *host) *host {
		c := newCaller(&b.private, b.outer4(), a)
		w.inject(c.initiation(time.Now()))
		w.inject(c.initiation(time.Now().Add(time.Second)))
		return b
	},
	BadCookieReply: inject(func(w *world, a, b *host) datagram {
		m := new(wire.CookieReply)
		m.SetHeader(a.peer(b).machine.Sending().LocalIndex())
		return datagram{data: m[:]}
	}, true),
	NoPrivateKey: inject(func(w *world, a, b *host) datagram {
		d := newCaller(&b.private, b.outer4(), a).initiation(time.Now())
		a.private.Erase()
		a.set(&uapi.Config{PrivateKey: &a.private})
		return d
	}, false),
	UnknownIndex: inject(func(w *world, a, b *host) datagram {
		d := b.seal(a, nil)
		d.data[4] ^= 1
		return d
	}, false),
	KeyExpired: inject(func(w *world, a, b *host) datagram {
		d := b.seal(a, nil)
		a.time.slept.Store(int64(rekey.RejectAfterTime)) // and no timer has ticked yet
		return d
	}, true),
	BadTag: inject(func(w *world, a, b *host) datagram {
		d := b.seal(a, nil)
		d.data[20] ^= 1
		return d
	}, true),
	ReplayedCounter: func(w *world, a, b *host) *host {
		d := b.seal(a, nil)
		w.inject(datagram{to: d.to, from: d.from, data: bytes.Clone(d.data)})
		w.inject(d)
		return b
	},
	BadInnerPacket: inject(func(_ *world, a, b *host) datagram { return b.seal(a, make([]byte, 32)) }, true),
	SourceNotAllowed: inject(func(_ *world, a, b *host) datagram {
		return b.seal(a, ip4("10.9.9.9", a.inner4(), protocolUDP, nil))
	}, true),
	Congested: inject(func(_ *world, a, b *host) datagram {
		d := b.seal(a, b.packetTo(a))
		d.tos = ecnCE
		return d
	}, true),
	DeviceRefused: func(w *world, a, b *host) *host {
		a.device.refuse = func([]byte) error { return syscall.EINVAL }
		b.send(b.packetTo(a))
		return nil
	},
	OutOfMemory: func(w *world, a, b *host) *host {
		a.Tunnel.arena = aead.NewArena(func(int) ([]byte, error) { return nil, syscall.ENOMEM })
		w.inject(newCaller(&b.private, b.outer4(), a).initiation(time.Now()))
		return b
	},
}

// takeCookie gives the caller a cookie that was never on the network.
func (c *caller) takeCookie() {
	c.t.Helper()
	var reply wire.CookieReply
	now := c.to.clock.Now()
	if err := c.to.identity.Load().cookies.Reply(c.junk().data, c.from, now, rand.Reader, &reply); err != nil || !c.cookies.Consume(&reply, now) {
		c.t.Fatalf("no cookie: %v", err)
	}
}

// inject makes a cause of a drop of a datagram to a, which is b's loss or nobody's.
func inject(d func(w *world, a, b *host) datagram, known bool) func(w *world, a, b *host) *host {
	return func(w *world, a, b *host) *host {
		made := d(w, a, b)
		made.to = a.outer4()
		if !made.from.IsValid() {
			made.from = b.outer4()
		}
		w.inject(made)
		if known {
			return b
		}
		return nil
	}
}

// "Every drop has a named reason and a counter per interface (and per peer where the peer is known)": each of them, once, and nothing else
// is counted beside it.
func TestEveryDropIsCounted(t *testing.T) {
	staged := map[Reason]bool{StagingFull: true, NoAnswer: true, NoSession: true}
	for _, why := range Reasons() {
		t.Run(why.String(), func(t *testing.T) {
			cause := drops[why]
			if cause == nil {
				t.Fatal("nothing here is dropped for this reason")
			}
			inWorld(t, func(t *testing.T, w *world) {
				a, b := w.newPair()
				if !staged[why] { // those need packets that wait for a session
					w.exchange(a, b)
					w.sleep(rekey.KeepaliveTimeout)
					w.sent()
				}
				var want, peer Drops
				want[why] = 1
				if cause(w, a, b) == b {
					peer[why] = 1
				}
				w.wait()
				if got := a.Drops(); got != want {
					t.Errorf("the interface has dropped %v, want %v", got, want)
				}
				if got := a.PeerDrops(b.public()); got != peer {
					t.Errorf("the peer's are %v, want %v", got, peer)
				}
			})
		})
	}
}
