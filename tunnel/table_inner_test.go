package tunnel

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"vpn/noise/wire"
	"vpn/tunnel/uapi"
)

// Rows of the table about inner packets.

// "Dropped after authentication": the source must belong to the peer by longest prefix, with nested prefixes both ways.
func TestSourceByLongestPrefix(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, wide, narrow := w.newHost(), w.newHost(), w.newHost()
		with := func(h *host, prefixes ...string) {
			c := h.asPeer(h.outer4())
			for _, p := range prefixes {
				c.AllowedIPs = append(c.AllowedIPs, uapi.AllowedIP{Prefix: netip.MustParsePrefix(p)})
			}
			a.set(peers(c))
			h.set(peers(a.asPeer(a.outer4())))
			w.exchange(a, h)
		}
		with(wide, "10.1.0.0/16", "fd01::/32", "0.0.0.0/1")
		with(narrow, "10.1.2.0/24", "fd01:0:1::/48")
		dropped := uint64(0)
		for _, c := range []struct {
			from *host
			src  string
			good bool
		}{
			{wide, "10.1.1.1", true},
			{wide, "10.1.2.1", false}, // the nested subnet is another's
			{wide, "fd01::1", true},
			{wide, "fd01:0:1::1", false},
			{narrow, "10.1.2.1", true},
			{narrow, "10.1.1.1", false}, // the subnet around is another's
			{narrow, "fd01:0:1::1", true},
			{narrow, "fd01::1", false},
			{narrow, "9.9.9.9", false},
			{wide, "9.9.9.9", true},
			{wide, "200.1.1.1", false}, // nobody's
			{narrow, "200.1.1.1", false},
		} {
			p := ip4("10.0.0.1", a.inner4(), protocolUDP, []byte("12345678"))
			if src := netip.MustParseAddr(c.src); src.Is4() {
				copy(p[12:], src.AsSlice())
			} else {
				p = ip6(c.src, a.inner6(), protocolUDP, []byte("12345678"))
			}
			w.inject(c.from.seal(a, p))
			if got := len(a.received()) == 1; got != c.good {
				t.Errorf("host %d sends from %s: arrived %v, want %v", c.from.number, c.src, got, c.good)
			}
			if !c.good {
				dropped++
			}
			a.wantDropped(SourceNotAllowed, dropped)
		}
	})
}

// "Version 4 or 6; header <= IP length <= plaintext; padding trimmed."
func TestInnerLengths(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		whole := ip4(a.inner4(), b.inner4(), protocolUDP, make([]byte, 44))
		whole6 := ip6(a.inner6(), b.inner6(), protocolUDP, make([]byte, 24))
		for n := range 100 {
			// A packet of 64 bytes in n bytes of plaintext, as IPv4 and as IPv6.
			for _, p := range [][]byte{whole, whole6} {
				text := append(bytes.Clone(p), make([]byte, 100)...)[:n]
				w.inject(a.seal(b, text))
				want := [][]byte{p}
				if n < len(p) {
					want = nil
				}
				wantPackets(t, b.received(), want)
			}
			// Lengths that lie.
			for _, claimed := range []int{0, 1, n - 1, n, n + 1, 0x7fff, 0xffff} {
				p := append(bytes.Clone(whole), make([]byte, 100)...)[:max(n, ipv4HeaderLen)]
				binary.BigEndian.PutUint16(p[2:], uint16(claimed))
				w.inject(a.seal(b, p))
				if claimed = int(uint16(claimed)); claimed < ipv4HeaderLen || claimed > len(p) {
					wantPackets(t, b.received(), nil)
				} else {
					wantPackets(t, b.received(), [][]byte{p[:claimed]})
				}
			}
		}
		for version := range 16 {
			p := bytes.Clone(whole)
			p[0] = byte(version<<4 | 5)
			w.inject(a.seal(b, p))
			if got := len(b.received()); version != 4 && got != 0 {
				t.Errorf("a packet of version %d arrived", version)
			}
		}
		if b.dropped(BadInnerPacket) == 0 {
			t.Error("nothing was counted")
		}
	})
}

// "Host unreachable back into the device": from the destination, to the source, at a limited rate.
func TestUnreachableAnswered(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newHost(), w.newHost()
		a.set(peers(b.asPeer(netip.AddrPort{})))
		for name, c := range map[string]struct {
			packet []byte
			why    Reason
			answer bool
		}{
			"no peer":           {ip4(a.inner4(), "10.9.9.9", protocolUDP, make([]byte, 100)), NoPeer, true},
			"no peer, IPv6":     {ip6(a.inner6(), "fd00::99", protocolUDP, make([]byte, 100)), NoPeer, true},
			"no endpoint":       {a.packetTo(b), NoEndpoint, true},
			"no endpoint, IPv6": {ip6(a.inner6(), b.inner6(), protocolUDP, make([]byte, 100)), NoEndpoint, true},
			"multicast":         {ip4(a.inner4(), "224.0.0.251", protocolUDP, make([]byte, 100)), NoPeer, false},
			"IPv6 multicast":    {ip6(a.inner6(), "ff02::fb", protocolUDP, make([]byte, 100)), NoPeer, false},
			"broadcast":         {ip4(a.inner4(), "255.255.255.255", protocolUDP, make([]byte, 100)), NoPeer, false},
			"ICMP error":        {ip4(a.inner4(), "10.9.9.9", protocolICMP, []byte{3, 1, 0, 0, 0, 0, 0, 0}), NoPeer, false},
			"from nobody":       {ip4("0.0.0.0", "10.9.9.9", protocolUDP, make([]byte, 100)), NoPeer, false},
		} {
			w.sleep(time.Second)
			before := a.dropped(c.why)
			a.send(c.packet)
			got := a.received()
			if (len(got) == 1) != c.answer {
				t.Errorf("%s: %d answers, want one: %v", name, len(got), c.answer)
			}
			if len(got) == 1 {
				checkUnreachable(t, got[0], c.packet)
			}
			a.wantDropped(c.why, before+1)
		}
		w.sleep(time.Second)
		const most = 100
		for range 10 * most {
			a.send(ip4(a.inner4(), "10.9.9.9", protocolUDP, nil))
		}
		if got := len(a.received()); got != most {
			t.Errorf("%d answers at once, want %d", got, most)
		}
		if got := w.sent(); len(got) != 0 {
			t.Errorf("sent %v", got)
		}
	})
}

// "Initiation and response with DSCP AF41"; data with the inner packet's ECN bits and no DSCP.
func TestTrafficClassOnTheWire(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newPair()
		a.deliver(b)
		for _, d := range w.sent() {
			want := byte(0x88)
			if d.kind() == wire.TypeData {
				want = 0
			}
			if d.tos != want {
				t.Errorf("%v has traffic class %#x, want %#x", d, d.tos, want)
			}
		}
		for _, dscp := range []byte{0, 46 << 2, 63 << 2} {
			for inner, outer := range map[byte]byte{0: 0, 1: 1, 2: 2, 3: 2} {
				p4 := ip4(a.inner4(), b.inner4(), protocolUDP, make([]byte, 20))
				p4[1] = dscp | inner
				p6 := ip6(a.inner6(), b.inner6(), protocolUDP, make([]byte, 20))
				p6[0], p6[1] = 0x60|(dscp|inner)>>4, (dscp|inner)<<4
				a.send(p4, p6)
				for _, d := range w.sent() {
					if d.tos != outer {
						t.Errorf("inner %#x goes out as %#x, want %#x", dscp|inner, d.tos, outer)
					}
				}
				wantPackets(t, b.received(), [][]byte{p4, p6})
			}
		}
	})
}

// A run of packets that differ in ECN is cut into sends of one traffic class each, in order.
func TestTrafficClassesMixed(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		var ps [][]byte
		for i := range 60 {
			p := a.packetTo(b)
			p[1] = byte(i / 3 % 4)
			ps = append(ps, p)
		}
		a.send(ps...)
		for i, d := range w.sent() {
			if want := outerTOS(byte(i / 3 % 4)); d.tos != want {
				t.Errorf("message %d has traffic class %#x, want %#x", i, d.tos, want)
			}
		}
		wantPackets(t, b.received(), ps)
	})
}

// "On the way in an outer CE marks an ECT inner packet CE, with its IPv4 checksum mended, and drops a not-ECT one."
func TestCongestionMarked(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		dropped := uint64(0)
		for i := range 2 * 4 * 4 {
			v6, ecn, outer := i >= 16, byte(i>>2&3), byte(i&3)
			name := fmt.Sprintf("IPv6 %v, inner %d, outer %d", v6, ecn, outer)
			p := ip6(a.inner6(), b.inner6(), protocolUDP, make([]byte, 20))
			p[1] |= ecn << 4
			if !v6 {
				p = ip4(a.inner4(), b.inner4(), protocolUDP, make([]byte, 20))
				p[1], p[10], p[11] = ecn, 0, 0
				binary.BigEndian.PutUint16(p[10:], ^naiveSum(p[:20]))
			}
			d := a.seal(b, p)
			d.tos = 46<<2 | outer
			w.inject(d)
			got := b.received()
			if outer == ecnCE && ecn == ecnNot {
				dropped++
				if b.wantDropped(Congested, dropped); len(got) != 0 {
					t.Errorf("%s: arrived", name)
				}
				continue
			}
			if len(got) != 1 {
				t.Fatalf("%s: %d packets arrived, want 1", name, len(got))
			}
			want := ecn
			if outer == ecnCE {
				want = ecnCE
			}
			if class := trafficClass(got[0]); class != want {
				t.Errorf("%s: the packet is marked %d, want %d", name, class, want)
			}
			if !v6 && naiveSum(got[0][:20]) != 0xffff {
				t.Errorf("%s: the checksum is wrong", name)
			}
		}
	})
}

// wrap makes an inner packet of a datagram that was sent: what a route to the endpoint that leads into the tunnel does.
func wrap(d datagram) []byte {
	b := make([]byte, udpHeaderLen, udpHeaderLen+len(d.data))
	binary.BigEndian.PutUint16(b, d.from.Port())
	binary.BigEndian.PutUint16(b[2:], d.to.Port())
	binary.BigEndian.PutUint16(b[4:], uint16(cap(b)))
	p := ip4(d.from.Addr().String(), d.to.Addr().String(), protocolUDP, append(b, d.data...))
	if d.ttl != 0 {
		p[8] = d.ttl
	}
	return p
}

// The route to the endpoint leads into the tunnel: our own messages come back, and go no further.
func TestOwnMessagesLoop(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		everything := uapi.AllowedIP{Prefix: netip.MustParsePrefix("0.0.0.0/0")}
		a.set(peers(uapi.PeerConfig{PublicKey: b.public(), AllowedIPs: []uapi.AllowedIP{everything}}))
		w.setFilter(func(d *datagram) bool { return d.from != a.outer4() })
		a.send(a.packetTo(b))
		for range 20 {
			for _, d := range w.sent() {
				a.send(wrap(d))
			}
		}
		a.wantDropped(RoutingLoop, 1)
		w.sent()
		w.sleep(time.Minute) // handshakes are not answered, and come back too
		log := w.sent()
		for _, d := range log {
			a.send(wrap(d))
		}
		if got := w.sent(); len(got) != 0 {
			t.Errorf("sent %v for messages that came back", got)
		}
		a.wantDropped(RoutingLoop, 1+uint64(len(log)))
		a.send(wrap(datagram{from: a.outer4(), to: netip.AddrPortFrom(b.outer4().Addr(), 53), data: make([]byte, 40)}))
		if a.wantDropped(RoutingLoop, 1+uint64(len(log))); len(log) == 0 {
			t.Error("nothing came back")
		}
	})
}

// Two tunnels on one machine carry each other's messages: a ping that loops between them ends before it has cost 70 kB.
func TestNestedMessagesLoop(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		c, d := w.newSession()
		everything := uapi.AllowedIP{Prefix: netip.MustParsePrefix("0.0.0.0/0")}
		a.set(peers(uapi.PeerConfig{PublicKey: b.public(), AllowedIPs: []uapi.AllowedIP{everything}}))
		c.set(peers(uapi.PeerConfig{PublicKey: d.public(), AllowedIPs: []uapi.AllowedIP{everything}}))
		w.setFilter(func(*datagram) bool { return false })
		a.send(ip4(a.inner4(), b.inner4(), protocolICMP, make([]byte, 64)))
		bytes, rounds := 0, 0
		for log := w.sent(); len(log) != 0; rounds++ {
			if rounds > 100 {
				t.Fatal("the loop has no end")
			}
			for _, d := range log {
				bytes += len(d.data)
				if d.from == a.outer4() {
					c.put(wrap(d))
				} else {
					a.put(wrap(d))
				}
			}
			log = w.sent()
		}
		if bytes > 70_000 || rounds < 4 {
			t.Errorf("%d bytes in %d rounds; want at most 70 kB, and a tunnel through three others to work", bytes, rounds)
		}
		if n := a.dropped(RoutingLoop) + c.dropped(RoutingLoop); n != 1 {
			t.Errorf("%d packets were dropped as loops, want 1", n)
		}
	})
}

// A device that has packets before the peers are known is read when they are.
func TestDeviceReadOnceConfigured(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newPair()
		a.configured = make(chan struct{})
		a.restart()
		a.put(a.packetTo(b))
		w.wait()
		a.wantDropped(NoPeer, 0)
		if got := a.received(); len(got) != 0 {
			t.Errorf("answers before there are peers: %x", got)
		}
		a.set(peers(b.asPeer(b.outer4())))
		close(a.configured)
		w.wait()
		if got := b.received(); len(got) != 1 {
			t.Errorf("%d packets arrived, want 1", len(got))
		}
		a.configured = make(chan struct{})
		a.restart()
		if err := a.Close(); err != nil { // never configured
			t.Error(err)
		}
	})
}
