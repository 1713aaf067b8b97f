package tunnel

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"vpn/noise/aead"
	"vpn/noise/wire"
	"vpn/tun"
	"vpn/tunnel/udp"
)

// Rows of the table about messages that leave together: which do, and that all arrive in order.

// A segmentedSend is an Outgoing as a test sees it.
type segmentedSend struct{ bytes, segment int }

// recordSends notes what a host hands to its socket from now on. What it returns gives that, and forgets it.
func (h *host) recordSends() (sends func() []segmentedSend) {
	var mu sync.Mutex
	var all []segmentedSend
	h.socket4().setRefuse(func(m *udp.Outgoing) error {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, segmentedSend{len(m.Data), m.Segment})
		return nil
	})
	return func() []segmentedSend {
		h.w.wait()
		mu.Lock()
		defer mu.Unlock()
		recorded := all
		all = nil
		return recorded
	}
}

// wantSends is the rule written down: a segmented send has messages of one size, of which the last may be shorter, as many as the
// kernel takes.
func wantSends(sizes []int) (sends []segmentedSend) {
	for len(sizes) > 0 {
		n, bytes := 1, sizes[0]
		for n < len(sizes) && n < udp.MaxSegments && sizes[n-1] == sizes[0] && sizes[n] <= sizes[0] && bytes+sizes[n] <= udp.MaxBytes {
			bytes += sizes[n]
			n++
		}
		send := segmentedSend{bytes: bytes}
		if n > 1 {
			send.segment = sizes[0]
		}
		sends, sizes = append(sends, send), sizes[n:]
	}
	return sends
}

// messageSizes are those of the messages that carry packets.
func messageSizes(packets [][]byte, mtu int) (sizes []int) {
	for _, p := range packets {
		sizes = append(sizes, wire.MinSizeData+paddedLen(len(p), mtu))
	}
	return sizes
}

// Packets of sizes that grow, shrink and repeat are one run, and go out in as few sends as the sizes allow.
func TestMixedSizesInOneRun(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		sends := a.recordSends()
		random := rand.New(rand.NewPCG(3, 4))
		for range 100 {
			var ps [][]byte
			size := 100
			for i := range 1 + random.IntN(60) {
				if random.IntN(3) == 0 {
					size = 28 + random.IntN(900)
				}
				ps = append(ps, a.numbered(b, i, size))
			}
			a.send(ps...)
			wantPackets(t, b.received(), ps)
			if got, want := sends(), wantSends(messageSizes(ps, 1420)); !slices.Equal(got, want) {
				t.Fatalf("sent %v, want %v", got, want)
			}
		}
	})
}

// Superpackets of more segments than one send can have, and of one more than a send has room for, with a short last segment or none.
func TestManySegments(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		sends := a.recordSends()
		const mss = 1380
		for _, c := range []struct{ payload, size int }{
			{63 * 500, 500}, {64 * 500, 500}, {65 * 500, 500}, {65*500 + 1, 500},
			{128 * 100, 100}, {129 * 100, 100}, {128*100 + 1, 100}, {60_000, 88}, {10_001, 2},
			{45 * mss, mss}, {46 * mss, mss}, {47 * mss, mss}, {45*mss + 1, mss}, {46*mss + 700, mss},
			{1, mss}, {mss, mss}, {mss + 1, mss},
		} {
			var all []tun.Packet
			var want [][]byte
			var wantSent []segmentedSend
			for range 3 { // the second's counters begin where the first's end
				p := a.superTCP(b, c.payload, c.size)
				cut := segments(t, p)
				all, want = append(all, p), append(want, cut...)
				wantSent = append(wantSent, wantSends(messageSizes(cut, 1420))...)
			}
			for _, p := range all {
				a.putSuper(p)
				w.wait()
			}
			wantPackets(t, b.received(), want)
			if got := sends(); !slices.Equal(got, wantSent) {
				t.Errorf("%d bytes in segments of %d: sent %v, want %v", c.payload, c.size, got, wantSent)
			}
		}
	})
}

// The device's MTU shrinks while packets and superpackets of the old one are on the way: they still arrive, and from then on nothing is
// padded past the new one.
func TestMTUShrinksInMidFlow(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		for _, mtu := range []int32{1420, 1280, 576, 1420} {
			a.device.mtu.Store(mtu)
			a.device.events <- tun.MTUChanged
			super := a.superTCP(b, 10*1380+5, 1380) // made before the change
			want := segments(t, super)
			a.putSuper(super)
			for _, n := range []int{int(mtu) - 1, int(mtu), 1420, 1275, 570} {
				p := a.numbered(b, n, n)
				a.put(p)
				want = append(want, p)
			}
			wantPackets(t, b.received(), want)
		}
	})
}

// Padding is zeros, and no rest of another packet: not even of one for another peer, which had the same place in memory.
func TestPaddingIsZeros(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		k := b.peer(a).machine.Current()
		w.setFilter(func(*datagram) bool { return false })
		for n := 28; n < 60; n++ {
			full := bytes.Repeat([]byte{0xff}, 1400)
			copy(full, ip4(a.inner4(), b.inner4(), protocolUDP, full[:1380]))
			a.send(full)
			w.sent()
			a.send(a.numbered(b, n, n))
			for _, d := range w.sent() {
				text := d.data[wire.SizeDataHeader:]
				if !k.ReceiveKey().Open(text, wire.DataCounter(d.data)) {
					t.Fatal("the message can't be opened")
				}
				if rest := text[n : len(text)-aead.Overhead]; !bytes.Equal(rest, make([]byte, len(rest))) {
					t.Errorf("behind a packet of %d bytes there is %x", n, rest)
				}
			}
		}
	})
}

// What fits the device's MTU makes no message that is larger than one of the MTU.
func TestPaddingKeepsToTheMTU(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		for _, mtu := range []int{1420, 1275, 570, 1420} {
			a.device.mtu.Store(int32(mtu))
			for n := mtu - 20; n <= mtu; n++ {
				a.send(a.numbered(b, n, n))
				for _, d := range w.sent() {
					if want := wire.MinSizeData + min((n+15)&^15, mtu); len(d.data) != want {
						t.Errorf("MTU %d: a packet of %d bytes makes a message of %d, want %d", mtu, n, len(d.data), want)
					}
				}
			}
		}
		if got := len(b.received()); got != 4*21 {
			t.Errorf("%d packets arrived", got)
		}
	})
}
