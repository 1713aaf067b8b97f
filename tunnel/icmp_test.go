package tunnel

import (
	"bytes"
	"testing"
	"time"
)

func TestUnreachable(t *testing.T) {
	v4 := func(f func(b []byte)) []byte {
		b := ip4("10.0.0.1", "10.9.9.9", 17, make([]byte, 100))
		if f != nil {
			f(b)
		}
		return b
	}
	icmpFragment := ip4("10.0.0.1", "10.9.9.9", 1, []byte{3, 1, 0, 0, 0, 0, 0, 0})
	icmpFragment[6] = 0x20
	for name, c := range map[string]struct {
		packet []byte
		answer bool
	}{
		"UDP":                  {v4(nil), true},
		"first fragment":       {v4(func(b []byte) { b[6] = 0x20 }), true},
		"later fragment":       {v4(func(b []byte) { b[7] = 1 }), false},
		"echo":                 {ip4("10.0.0.1", "10.9.9.9", 1, []byte{8, 0, 0, 0, 0, 1, 0, 1}), true},
		"ICMP error":           {ip4("10.0.0.1", "10.9.9.9", 1, []byte{3, 1, 0, 0, 0, 0, 0, 0}), false},
		"empty ICMP":           {ip4("10.0.0.1", "10.9.9.9", 1, nil), false},
		"error in a fragment":  {icmpFragment, false},
		"multicast":            {ip4("10.0.0.1", "224.0.0.5", 17, make([]byte, 8)), false},
		"broadcast":            {ip4("10.0.0.1", "255.255.255.255", 17, make([]byte, 8)), false},
		"from nobody":          {ip4("0.0.0.0", "10.9.9.9", 17, make([]byte, 8)), false},
		"from multicast":       {ip4("224.0.0.5", "10.9.9.9", 17, make([]byte, 8)), false},
		"from broadcast":       {ip4("255.255.255.255", "10.9.9.9", 17, make([]byte, 8)), false},
		"IPv6":                 {ip6("fd00::1", "fd00::99", 17, make([]byte, 2000)), true},
		"IPv6 echo":            {ip6("fd00::1", "fd00::99", 58, []byte{128, 0, 0, 0, 0, 0, 0, 0}), true},
		"IPv6 ICMP error":      {ip6("fd00::1", "fd00::99", 58, []byte{1, 0, 0, 0, 0, 0, 0, 0}), false},
		"IPv6 multicast":       {ip6("fd00::1", "ff02::1", 17, make([]byte, 8)), false},
		"IPv6 from nobody":     {ip6("::", "fd00::99", 17, make([]byte, 8)), false},
		"IPv6 first fragment":  {ip6("fd00::1", "fd00::99", 44, []byte{17, 0, 0, 1, 0, 0, 0, 0}), true},
		"IPv6 later fragment":  {ip6("fd00::1", "fd00::99", 44, []byte{17, 0, 0, 8, 0, 0, 0, 0}), false},
		"IPv6 cut in fragment": {ip6("fd00::1", "fd00::99", 44, []byte{17, 0}), false},
	} {
		t.Run(name, func(t *testing.T) {
			got := unreachable(c.packet)
			if (got != nil) != c.answer {
				t.Fatalf("answer %x, want one: %v", got, c.answer)
			}
			if got != nil {
				checkUnreachable(t, got, c.packet)
			}
		})
	}
	// Behind an extension header there may be an error, which is not looked for: hop-by-hop, routing, ESP, AH, destination, mobility, HIP, shim6.
	for _, header := range []byte{0, 43, 50, 51, 60, 135, 139, 140} {
		if got := unreachable(ip6("fd00::1", "fd00::99", header, []byte{58, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0})); got != nil {
			t.Errorf("an answer to what may be an ICMP error behind a header of type %d", header)
		}
	}
}

func checkUnreachable(t *testing.T, got, packet []byte) {
	t.Helper()
	src, dst, _ := addresses(packet)
	from, to, ok := addresses(got)
	if !ok || from != dst || to != src {
		t.Errorf("from %v to %v, want from the unreachable %v to %v", from, to, dst, src)
	}
	if whole, ok := trim(got); !ok || len(whole) != len(got) {
		t.Errorf("the answer is no whole packet")
	}
	if src.Is4() {
		if naiveSum(got[:20]) != 0xffff || naiveSum(got[20:]) != 0xffff {
			t.Errorf("checksums are wrong")
		}
		if got[20] != 3 || got[21] != 1 || len(got) > 576 || !bytes.HasPrefix(packet, got[28:]) {
			t.Errorf("not a host unreachable for this packet: %x", got)
		}
		return
	}
	pseudo := append(bytes.Clone(got[8:40]), 0, 0, byte(len(got[40:])>>8), byte(len(got[40:])), 0, 0, 0, 58)
	if naiveSum(append(pseudo, got[40:]...)) != 0xffff {
		t.Errorf("the checksum is wrong")
	}
	if got[40] != 1 || got[41] != 3 || len(got) > 1280 || !bytes.HasPrefix(packet, got[48:]) {
		t.Errorf("not an address unreachable for this packet: %x", got[:48])
	}
}

func TestTokenBucket(t *testing.T) {
	var b tokenBucket
	now := time.Hour
	count := func() (n int) {
		for b.allow(now, 100) {
			n++
		}
		return n
	}
	if n := count(); n != 100 {
		t.Errorf("a full bucket lets %d through, want 100", n)
	}
	now += 10 * time.Millisecond
	if n := count(); n != 1 {
		t.Errorf("10 ms later %d, want 1", n)
	}
	now += time.Hour
	if n := count(); n != 100 {
		t.Errorf("an hour later %d, want 100", n)
	}
}
