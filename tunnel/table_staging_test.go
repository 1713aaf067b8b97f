package tunnel

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"vpn/noise/wire"
	"vpn/rekey"
	"vpn/tun"
	"vpn/tun/offload"
	"vpn/tunnel/uapi"
)

// Rows of the table about packets that wait for a session, and about the order of packets.

// numbered makes a packet of a length with a number.
func (h *host) numbered(to *host, n, length int) []byte {
	payload := make([]byte, length-ipv4HeaderLen)
	binary.BigEndian.PutUint64(payload[len(payload)-8:], uint64(n))
	return ip4(h.inner4(), to.inner4(), protocolUDP, payload)
}

func packetNumber(p []byte) int { return int(binary.BigEndian.Uint64(p[len(p)-8:])) }

// superTCP makes a superpacket with a payload of n bytes, to be cut into segments of a size.
func (h *host) superTCP(to *host, n, size int) tun.Packet {
	const header = 20
	payload := make([]byte, header+n)
	payload[12], payload[13] = header/4<<4, 0x10
	for i := range n {
		payload[header+i] = byte(rand.Uint32())
	}
	p := ip4(h.inner4(), to.inner4(), 6, payload)
	return tun.Packet{Data: p, GSO: offload.GSO{Type: offload.TCPv4, Size: uint16(size), HeaderLen: ipv4HeaderLen + header}}
}

// segments are what a superpacket has to arrive as.
func segments(t *testing.T, p tun.Packet) (all [][]byte) {
	t.Helper()
	var s offload.Superpacket
	if err := s.Init(p.Data, p.GSO); err != nil {
		t.Fatal(err)
	}
	for i := range s.Count() {
		b := make([]byte, s.SegmentLen(i))
		s.Segment(i, b)
		all = append(all, b)
	}
	return all
}

func TestStagedSegmentsBounded(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newPair()
		w.setFilter(lose(b.outer4(), wire.TypeInitiation))
		const packets, kept = 3 * 128, 128
		var all [][]byte
		for i := range packets {
			all = append(all, a.numbered(b, i, 100))
			a.put(all[i])
		}
		a.wantDropped(StagingFull, packets-kept)
		w.setFilter(nil)
		w.sleep(rekey.RekeyTimeout + rekey.RekeyTimeoutJitterMax)
		wantPackets(t, b.received(), all[packets-kept:]) // the oldest went
		a.deliver(b)
	})
}

// A superpacket counts as its segments, and goes or stays as a whole.
func TestStagedSuperpackets(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newPair()
		w.setFilter(lose(b.outer4(), wire.TypeInitiation))
		first, second := a.superTCP(b, 45*1380, 1380), a.superTCP(b, 45*1380, 1380)
		small := a.packetTo(b)
		third := a.superTCP(b, 44*1380+7, 1380)
		a.putSuper(first)
		a.putSuper(second)
		a.send(small)
		a.putSuper(third)
		a.wantDropped(StagingFull, 45)
		w.setFilter(nil)
		w.sleep(rekey.RekeyTimeout + rekey.RekeyTimeoutJitterMax)
		wantPackets(t, b.received(), append(append(segments(t, second), small), segments(t, third)...))
	})
}

func TestStagedBytesBounded(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newPair()
		w.setFilter(lose(b.outer4(), wire.TypeInitiation))
		const length, most = 50_000, 256 << 10
		var all [][]byte
		put := func(length int, dropped uint64) {
			t.Helper()
			all = append(all, a.numbered(b, len(all), length))
			a.send(all[len(all)-1])
			a.wantDropped(StagingFull, dropped)
		}
		for range most / length {
			put(length, 0)
		}
		put(most%length, 0) // there is room for just that
		if got := a.stagedBytes.Load(); got != most {
			t.Errorf("%d bytes wait", got)
		}
		put(28, 1)
		put(length, 2)
		put(length, 3)
		w.setFilter(nil)
		w.sleep(rekey.RekeyTimeout + rekey.RekeyTimeoutJitterMax)
		wantPackets(t, b.received(), all[3:])
		if got := a.stagedBytes.Load(); got != 0 {
			t.Errorf("%d bytes wait, and nothing does", got)
		}
	})
}

// "Staging cannot take them": many dead peers have all the memory for packets that wait, and a live peer still gets its session.
func TestDeadPeersStarveNobody(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newPair()
		const all, each = 8 << 20, 256 << 10
		const dead = all/each + 8
		hosts := make([]*host, dead)
		for i := range hosts {
			private := newPrivateKey(t)
			hosts[i] = &host{w: w, number: 10 + i, private: private}
			a.set(peers(hosts[i].asPeer(hosts[i].outer4())))
			for range each >> 15 {
				a.put(a.numbered(hosts[i], 0, 1<<15))
			}
			w.wait()
		}
		if got := a.stagedBytes.Load(); got != all {
			t.Fatalf("%d bytes wait, want %d", got, all)
		}
		a.send(a.packetTo(b)) // there is no room for it, but it says that a session is wanted
		if a.peer(b).machine.Sending() == nil {
			t.Fatal("a live peer gets no session")
		}
		b.received()
		w.exchange(a, b)
		w.sleep(rekey.RekeyAttemptTime)
		if got := a.stagedBytes.Load(); got != 0 {
			t.Errorf("%d bytes wait after all was given up", got)
		}
	})
}

// A hundred dead peers that are to be called do not hold up who calls, and a queue full of forged calls does not hold up our own.
func TestHandshakesTakeTurns(t *testing.T) {
	const dead, turns = 100, 5
	inWorld(t, func(t *testing.T, w *world) {
		a, c := w.newPair()
		release := w.load(a)
		for i := range dead {
			private := newPrivateKey(t)
			h := &host{w: w, number: 10 + i, private: private}
			a.set(peers(h.asPeer(h.outer4())))
			a.put(a.packetTo(h))
			w.wait()
		}
		c.send(c.packetTo(a))
		w.sent()
		release()
		called := 0
		for _, d := range w.sent() {
			if d.to == c.outer4() && d.kind() == wire.TypeResponse {
				break
			}
			if d.from == a.outer4() && d.kind() == wire.TypeInitiation {
				called++
			}
		}
		if called > turns {
			t.Errorf("%d dead peers were called before the one who had called was answered", called)
		}
	})
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newPair()
		release := w.load(a)
		w.flood(a)
		a.put(a.packetTo(b))
		w.wait()
		before := ^uint64(0)
		w.setFilter(func(d *datagram) bool {
			if d.from == a.outer4() && d.kind() == wire.TypeInitiation {
				before = min(before, a.Drops()[BadHandshake])
			}
			return true
		})
		release()
		w.setFilter(nil)
		if before > turns {
			t.Errorf("%d forged calls were worked on before our own went out", before)
		}
		w.sleep(rekey.RekeyTimeout + rekey.RekeyTimeoutJitterMax) // the answer may have been asked for a cookie
		if got := len(b.received()); got != 1 {
			t.Errorf("%d packets arrived, want the one that waited", got)
		}
	})
}

// No packet overtakes another: not what waits for a session, not at the change of one, not with lanes at work on several batches.
func TestOrderKept(t *testing.T) {
	for _, latency := range []time.Duration{0, 3 * time.Millisecond} {
		t.Run(latency.String(), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				a, b := w.newPair()
				w.latency = latency
				limit, random := uint64(100), rand.New(rand.NewPCG(1, 2))
				a.set(&uapi.Config{RekeyAfterPackets: &limit})
				sent := make(map[*host]int)
				next := make(map[*host]int)
				check := func(h *host) {
					t.Helper()
					for _, p := range h.received() {
						if n := packetNumber(p); n != next[h] {
							t.Fatalf("host %d: packet %d after %d", h.number, n, next[h]-1)
						}
						next[h]++
					}
				}
				for range 300 {
					for _, pair := range [][2]*host{{a, b}, {b, a}} {
						from, to := pair[0], pair[1]
						for range random.IntN(60) { // so few that all may wait for a session
							from.put(from.numbered(to, sent[from], 28+random.IntN(1300)))
							sent[from]++
						}
					}
					w.sleep(time.Duration(random.IntN(400)) * time.Millisecond)
					if latency == 0 {
						check(a)
						check(b)
					}
				}
				w.sleep(time.Second)
				check(a)
				check(b)
				if next[a] != sent[b] || next[b] != sent[a] {
					t.Errorf("%d of %d and %d of %d packets arrived", next[a], sent[b], next[b], sent[a])
				}
				if sessions := count(w.sent(), wire.TypeResponse); sessions < 5 {
					t.Errorf("%d sessions, want several", sessions)
				}
			})
		})
	}
}

// Packets go on coming at the very moment that a session is there and what waited for it is being sent.
func TestNothingOvertakesWhatWaits(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		for range 50 {
			w.sleep(rekey.RejectAfterTime)
			for n := 0; n < 5000 && b.device.delivered() < 1000; n++ {
				a.put(a.numbered(b, n, 28))
			}
			last := -1
			for _, p := range b.received() { // of those that waited, the first may have made room for others
				n := packetNumber(p)
				if n <= last {
					t.Fatalf("packet %d after %d", n, last)
				}
				last = n
			}
		}
	})
}

// Superpackets and single packets arrive in the order read, with several lanes at work on them.
func TestSuperpacketsInOrder(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		for range 20 {
			var all []tun.Packet
			var want [][]byte
			for i := range 50 {
				p := tun.Packet{Data: a.packetTo(b)}
				if i%3 != 0 {
					p = a.superTCP(b, 1+rand.IntN(60_000), 1380)
				}
				all, want = append(all, p), append(want, segments(t, p)...)
			}
			a.putSuper(all...)
			wantPackets(t, b.received(), want)
		}
	})
}
