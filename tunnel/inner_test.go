package tunnel

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
)

// ip4 and ip6 make bare packets around a payload.
func ip4(src, dst string, protocol byte, payload []byte) []byte {
	b := make([]byte, ipv4HeaderLen, ipv4HeaderLen+len(payload))
	b[0], b[8], b[9] = 0x45, 64, protocol
	binary.BigEndian.PutUint16(b[2:], uint16(ipv4HeaderLen+len(payload)))
	copy(b[12:], netip.MustParseAddr(src).AsSlice())
	copy(b[16:], netip.MustParseAddr(dst).AsSlice())
	binary.BigEndian.PutUint16(b[10:], ^naiveSum(b))
	return append(b, payload...)
}

func ip6(src, dst string, protocol byte, payload []byte) []byte {
	b := make([]byte, ipv6HeaderLen, ipv6HeaderLen+len(payload))
	b[0], b[6], b[7] = 0x60, protocol, 64
	binary.BigEndian.PutUint16(b[4:], uint16(len(payload)))
	copy(b[8:], netip.MustParseAddr(src).AsSlice())
	copy(b[24:], netip.MustParseAddr(dst).AsSlice())
	return append(b, payload...)
}

// naiveSum is the Internet checksum's sum, two bytes at a time.
func naiveSum(b []byte) uint16 {
	sum := 0
	for i := 0; i < len(b); i += 2 {
		sum += int(b[i]) << 8
		if i+1 < len(b) {
			sum += int(b[i+1])
		}
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return uint16(sum)
}

// wantTrim is trim written down as the rule has it, in wide integers.
func wantTrim(b []byte) int64 {
	if len(b) == 0 {
		return -1
	}
	var header, n int64
	switch b[0] >> 4 {
	case 4:
		if len(b) < 20 {
			return -1
		}
		header, n = int64(b[0]%16)*4, int64(b[2])*256+int64(b[3])
		if header < 20 {
			return -1
		}
	case 6:
		if len(b) < 40 {
			return -1
		}
		header, n = 40, 40+int64(b[4])*256+int64(b[5])
	default:
		return -1
	}
	if n < header || n > int64(len(b)) {
		return -1
	}
	return n
}

func TestTrimEveryLength(t *testing.T) {
	backing := make([]byte, 1<<16+64)
	for _, version := range []byte{0, 1, 4, 5, 6, 7, 15} {
		for claimed := range 1 << 16 {
			n := rand.IntN(len(backing))
			switch claimed % 4 { // near the edges, where the truth changes
			case 0:
				n = min(claimed+rand.IntN(3), len(backing))
			case 1:
				n = min(claimed+39+rand.IntN(3), len(backing))
			case 2:
				n = rand.IntN(64)
			}
			b := backing[:n]
			if n > 0 {
				b[0] = version<<4 | byte(rand.IntN(16))
			}
			if n > 5 {
				binary.BigEndian.PutUint16(b[2:], uint16(claimed))
				binary.BigEndian.PutUint16(b[4:], uint16(claimed))
			}
			got, ok := trim(b)
			if want := wantTrim(b); ok != (want >= 0) || ok && int64(len(got)) != want {
				t.Fatalf("version %d, %d bytes, claims %d: got %d bytes, %v, want %d", version, n, claimed, len(got), ok, want)
			}
		}
	}
}

func FuzzInner(f *testing.F) {
	f.Add(ip4("10.0.0.1", "10.0.0.2", 17, make([]byte, 40)))
	f.Add(ip6("fd00::1", "fd00::2", 58, make([]byte, 40)))
	f.Add(ip6("fd00::1", "fd00::2", 44, make([]byte, 8)))
	f.Add([]byte{0x4f, 0, 0, 20})
	f.Add([]byte{0x60})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, ok := trim(b)
		if want := wantTrim(b); ok != (want >= 0) || ok && int64(len(got)) != want {
			t.Fatalf("got %d bytes, %v, want %d", len(got), ok, want)
		}
		if ipVersion(b) == 0 {
			return
		}
		addresses(b)
		if _, datagram, ok := innerUDP(b); ok {
			isDataMessage(datagram)
		}
		unreachable(b)
		markCongestion(b)
	})
}

func TestPaddedLen(t *testing.T) {
	for _, c := range []struct{ n, mtu, want int }{
		{1, 1420, 16}, {16, 1420, 16}, {17, 1420, 32}, {84, 1420, 96},
		{1408, 1420, 1408}, {1409, 1420, 1420}, {1420, 1420, 1420}, // never past the MTU
		{1421, 1420, 1436}, {1430, 1280, 1440}, {2840, 1420, 2840}, // the MTU shrank
		{100, 0, 112}, {1500, 1500, 1500}, {65535, 65535, 65535},
	} {
		if got := paddedLen(c.n, c.mtu); got != c.want {
			t.Errorf("paddedLen(%d, %d) = %d, want %d", c.n, c.mtu, got, c.want)
		}
	}
}

func TestNesting(t *testing.T) {
	data := make([]byte, udpHeaderLen+32)
	data[udpHeaderLen] = 4
	initiation := make([]byte, udpHeaderLen+148)
	initiation[udpHeaderLen] = 1
	later := ip4("192.0.2.1", "192.0.2.2", protocolUDP, data)
	binary.BigEndian.PutUint16(later[6:], 100)
	for name, c := range map[string]struct {
		packet []byte
		nested bool
	}{
		"data message":            {ip4("192.0.2.1", "192.0.2.2", protocolUDP, data), true},
		"data message, IPv6":      {ip6("2001:db8::1", "2001:db8::2", protocolUDP, data), true},
		"initiation":              {ip4("192.0.2.1", "192.0.2.2", protocolUDP, initiation), false},
		"same bytes, not UDP":     {ip4("192.0.2.1", "192.0.2.2", 6, data), false},
		"later fragment":          {later, false},
		"too short for a message": {ip4("192.0.2.1", "192.0.2.2", protocolUDP, data[:udpHeaderLen+16]), false},
	} {
		_, datagram, ok := innerUDP(c.packet)
		if nested := ok && isDataMessage(datagram); nested != c.nested {
			t.Errorf("%s: nested %v, want %v", name, nested, c.nested)
		}
	}

	rounds := 0
	for ttl := byte(255); ; rounds++ {
		if ttl = nestedTTL(ttl); ttl == 0 {
			break
		}
	}
	if rounds != 7 {
		t.Errorf("a message is nested %d times before it is dropped, want 7", rounds)
	}
}
