package tunnel

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"

	"vpn/noise/wire"
	"vpn/tun"
	"vpn/tun/offload"
	"vpn/tunnel/udp"
)

// noMessage is a datagram of a length that is no handshake message with a good mac1 and no data of any session: of one of the protocol's
// types, or not, as it comes.
func noMessage(length int, random *rand.Rand, buf []byte) []byte {
	b := buf[:length]
	if length >= 4 {
		copy(b, []byte{byte(random.IntN(6)), 0, 0, 0})
	}
	return b
}

// Datagrams of every length, alone and coalesced, end nothing and move nothing.
func TestGarbageOfEveryLength(t *testing.T) {
	for name, segment := range map[string]func(*rand.Rand, int) int{
		"alone":     func(*rand.Rand, int) int { return 0 },
		"coalesced": func(r *rand.Rand, n int) int { return 1 + r.IntN(n+1) },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				a, b := w.newSession()
				random := rand.New(rand.NewPCG(3, 4))
				buf := make([]byte, udp.MaxBytes)
				for i := range buf {
					buf[i] = byte(random.Uint32())
				}
				socket := b.socket4()
				stride := 1
				for n := 0; n <= udp.MaxBytes; n += stride {
					d := datagram{from: a.outer4(), to: b.outer4(), data: noMessage(n, random, buf)}
					if n > 3000 {
						stride = 7 // there is nothing new about longer ones
					}
					d.segment = segment(random, n)
					d.data = bytes.Clone(d.data)
					if socket.deliver(d); n%256 == 0 {
						w.wait()
					}
				}
				if got := w.sent(); len(got) != 0 {
					t.Errorf("sent %v", got)
				}
				drops := b.Drops()
				if drops[NotAMessage] == 0 || drops[UnknownIndex] == 0 || len(b.received()) != 0 {
					t.Errorf("dropped %d that are no messages and %d of no session", drops[NotAMessage], drops[UnknownIndex])
				}
				w.exchange(a, b)
			})
		})
	}
}

// One message received on two sockets at once is taken once.
func TestReplayRaced(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		const packets = 5000
		recorded := make([]datagram, packets)
		for i := range recorded {
			recorded[i] = a.seal(b, a.numbered(b, i, 28))
		}
		var attack sync.WaitGroup
		for _, s := range []*memSocket{b.socket4(), b.sockets.Load().V6[0].(*memSocket)} {
			attack.Go(func() {
				for _, d := range recorded {
					d.data = bytes.Clone(d.data)
					s.deliver(d)
				}
			})
		}
		attack.Wait()
		seen := make(map[int]bool)
		for _, p := range b.received() {
			if n := packetNumber(p); seen[n] {
				t.Errorf("packet %d arrived twice", n)
			} else {
				seen[n] = true
			}
		}
		if len(seen) != packets {
			t.Errorf("%d of %d packets arrived", len(seen), packets)
		}
		b.wantDropped(ReplayedCounter, packets)
	})
}

// FuzzDatagram gives any datagram, alone or coalesced, to an engine that has a session, a handshake under way, and load. Neither may end,
// and nothing comes out of the device.
func FuzzDatagram(f *testing.F) {
	for kind, size := range map[byte]int{1: wire.SizeInitiation, 2: wire.SizeResponse, 3: wire.SizeCookieReply, 4: wire.MinSizeData, 5: 100, 0: 0} {
		b := make([]byte, size)
		if size > 0 {
			b[0] = kind
		}
		f.Add(b, uint16(0), false)
		f.Add(bytes.Repeat(b, 3), uint16(size), true)
	}
	f.Fuzz(func(t *testing.T, b []byte, segment uint16, known bool) {
		if len(b) > udp.MaxBytes {
			return
		}
		inWorld(t, func(t *testing.T, w *world) {
			a, h := w.newSession()
			k := h.peer(a).machine.Current()
			data := bytes.Clone(b)
			if known && len(data) >= wire.MinSizeData { // for a session that there is, with a tag that is bad
				wire.PutDataHeader(data, k.LocalIndex(), wire.DataCounter(b))
			}
			w.inject(datagram{from: elsewhere, to: h.outer4(), data: data, segment: int(segment)})
			if got := h.received(); len(got) != 0 {
				t.Errorf("%d packets came out", len(got))
			}
			if h.endpoint(a) != a.outer4() || h.peer(a).machine.Current() != k {
				t.Error("garbage has changed something")
			}
			w.exchange(a, h)
		})
	})
}

// FuzzDevicePacket gives any bytes with any virtio header to an engine that has a session. What the other side takes out is a whole packet, and
// the engine goes on.
func FuzzDevicePacket(f *testing.F) {
	f.Add([]byte{}, []byte{})
	f.Add(ip4("10.0.0.1", "10.0.0.2", protocolUDP, make([]byte, 100)), make([]byte, offload.VirtioSize))
	f.Add(ip6("fd00::1", "fd00::2", protocolUDP, make([]byte, 100)), make([]byte, offload.VirtioSize))
	tcp := make([]byte, 3000)
	tcp[12] = 5 << 4
	f.Add(ip4("10.0.0.1", "10.0.0.2", 6, tcp), []byte{0, 1, 40, 0, 100, 0, 0, 0, 0, 0})
	f.Add(ip6("fd00::1", "fd00::2", 6, tcp), []byte{1, 4, 60, 0, 100, 0, 40, 0, 16, 0})
	f.Add(ip4("10.0.0.1", "10.0.0.2", protocolUDP, tcp), []byte{0, 5, 28, 0, 100, 0, 0, 0, 0, 0})
	f.Add(ip4("10.0.0.1", "10.9.9.9", protocolICMP, make([]byte, 8)), []byte{})
	f.Fuzz(func(t *testing.T, b, virtio []byte) {
		g, err := offload.ParseVirtio(virtio)
		if err != nil {
			g = offload.GSO{}
		}
		if len(b) > offload.MaxPacket || g.Size > 0 && len(b)/int(g.Size) > 2000 {
			return
		}
		inWorld(t, func(t *testing.T, w *world) {
			a, h := w.newSession()
			a.putSuper(tun.Packet{Data: bytes.Clone(b), GSO: g})
			for _, p := range h.received() {
				src, _, ok := addresses(p)
				if whole, good := trim(p); !ok || !good || len(whole) != len(p) || src != netip.MustParseAddr(a.inner4()) && src != netip.MustParseAddr(a.inner6()) {
					t.Errorf("%x came out of %x", p, b)
				}
			}
			a.received()
			w.exchange(a, h)
		})
	})
}
