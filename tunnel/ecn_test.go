package tunnel

import (
	"encoding/binary"
	"testing"
)

// The whole table of RFC 6040: what leaves, and what is made of an outer mark.
func TestECN(t *testing.T) {
	const ect1 = 0b01
	for _, c := range []struct{ inner, outer byte }{
		{ecnNot, ecnNot}, {ecnECT0, ecnECT0}, {ect1, ect1}, {ecnCE, ecnECT0},
	} {
		const dscp = 46 << 2
		if got := outerTOS(dscp | c.inner); got != c.outer {
			t.Errorf("inner %02b: outer TOS %#02x, want %#02x: ECN and no DSCP", c.inner, got, c.outer)
		}
	}
	for _, inner := range []byte{ecnNot, ecnECT0, ect1, ecnCE} {
		for name, b := range map[string][]byte{
			"IPv4": ip4("10.0.0.1", "10.0.0.2", 17, make([]byte, 20)),
			"IPv6": ip6("fd00::1", "fd00::2", 17, make([]byte, 20)),
		} {
			const dscp = 0xb8
			if name == "IPv4" {
				b[1] = dscp | inner
				binary.BigEndian.PutUint16(b[10:], 0)
				binary.BigEndian.PutUint16(b[10:], ^naiveSum(b[:ipv4HeaderLen]))
			} else {
				b[0], b[1] = 0x60|dscp>>4, (dscp|inner)<<4&0xf0
			}
			ok := markCongestion(b)
			if ok != (inner != ecnNot) {
				t.Errorf("%s, inner %02b: kept %v", name, inner, ok)
			}
			want := byte(dscp | ecnCE)
			if !ok {
				want = dscp
			}
			if got := trafficClass(b); got != want {
				t.Errorf("%s, inner %02b: traffic class %#02x, want %#02x", name, inner, got, want)
			}
			if name == "IPv4" && naiveSum(b[:ipv4HeaderLen]) != 0xffff {
				t.Errorf("inner %02b: the header's checksum is wrong", inner)
			}
		}
	}
}

// Mending a checksum must agree with computing it, also where sums wrap.
func TestMarkCongestionChecksum(t *testing.T) {
	b := ip4("10.0.0.1", "10.0.0.2", 17, nil)
	for id := range 1 << 16 {
		b[1] = ecnECT0
		binary.BigEndian.PutUint16(b[4:], uint16(id))
		binary.BigEndian.PutUint16(b[10:], 0)
		binary.BigEndian.PutUint16(b[10:], ^naiveSum(b))
		if !markCongestion(b) || naiveSum(b) != 0xffff {
			t.Fatalf("id %d: sum %#04x", id, naiveSum(b))
		}
	}
}
