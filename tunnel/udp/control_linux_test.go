package udp

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// message lays out a control message independently of controlWriter.
func message(level, kind uint32, data []byte, pad bool) []byte {
	b := make([]byte, 0, 64)
	if wordSize == 8 {
		b = binary.NativeEndian.AppendUint64(b, uint64(16+len(data)))
	} else {
		b = binary.NativeEndian.AppendUint32(b, uint32(12+len(data)))
	}
	b = binary.NativeEndian.AppendUint32(b, level)
	b = binary.NativeEndian.AppendUint32(b, kind)
	b = append(b, data...)
	for pad && len(b)%int(wordSize) != 0 {
		b = append(b, 0xee)
	}
	return b
}

func native(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

func join(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// controls are control messages as the kernel gives them, and what they say.
func controls() map[string]struct {
	b    []byte
	want control
} {
	source4, source6 := netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")
	info4 := func(a netip.Addr) []byte {
		return join(native(3), a.AsSlice(), []byte{192, 0, 2, 255})
	}
	info6 := func(a netip.Addr) []byte { return join(a.AsSlice(), native(4)) }
	return map[string]struct {
		b    []byte
		want control
	}{
		"nothing": {},
		"IPv4": {
			join(message(0, 8, info4(source4), true), message(0, 1, []byte{0xb9}, true), message(17, 104, native(1452), false)),
			control{source4, 3, 1452, 0xb9},
		},
		"IPv6": {
			join(message(41, 67, native(0xb9), true), message(41, 50, info6(source6), true), message(17, 104, native(1452), true)),
			control{source6, 4, 1452, 0xb9},
		},
		"strange ones": {
			join(message(1, 29, make([]byte, 16), true), message(0, 1, []byte{2}, true), message(99, 99, nil, false)),
			control{tos: 2},
		},
		"too short to say anything": {
			join(message(0, 8, info4(source4)[:11], true), message(41, 50, info6(source6)[:19], true), message(0, 1, nil, true),
				message(41, 67, native(1)[:3], true), message(17, 104, native(1)[:3], true)),
			control{},
		},
		"no address to send from": {message(41, 50, info6(netip.MustParseAddr("ff02::1")), false), control{iface: 4}},
		"unspecified":             {message(0, 8, info4(netip.IPv4Unspecified()), false), control{iface: 3}},
		"negative size":           {message(17, 104, native(0xffffffff), false), control{}},
	}
}

func TestParseControl(t *testing.T) {
	for name, c := range controls() {
		if got, ok := parseControl(c.b); !ok || got != c.want {
			t.Errorf("%s: %+v, %v, want %+v", name, got, ok, c.want)
		}
	}
}

// Cut anywhere, control messages say what they say up to there and no more,
// and are taken for whole only where one of them ends.
func TestParseControlCut(t *testing.T) {
	for name, c := range controls() {
		whole := map[int]bool{}
		for n := 0; n < len(c.b); {
			whole[n] = true
			size := int(binary.NativeEndian.Uint32(c.b[n:]))
			for end := n + size; end <= min(n+align(size), len(c.b)); end++ {
				whole[end] = true
			}
			n += align(size)
		}
		whole[len(c.b)] = true
		for n := range c.b {
			b := append([]byte(nil), c.b[:n]...) // so that reading on would be caught
			got, ok := parseControl(b[:n:n])
			if ok != whole[n] {
				t.Errorf("%s cut to %d of %d: well formed is %v", name, n, len(c.b), ok)
			}
			if got.source.IsValid() && got.source != c.want.source || got.segment != 0 && got.segment != c.want.segment {
				t.Errorf("%s cut to %d: %+v", name, n, got)
			}
		}
	}
}

// Each length that a header can claim, with the bytes that there are.
func TestParseControlLength(t *testing.T) {
	b := message(17, 104, native(1000), true)
	for size := range 4 * len(b) {
		binary.NativeEndian.PutUint32(b, uint32(size))
		got, ok := parseControl(b)
		wantOK := size >= controlHeader && size <= len(b) && (align(size) >= len(b))
		if ok != wantOK {
			t.Errorf("length %d: well formed is %v", size, ok)
		}
		if want := size >= controlHeader+4 && size <= len(b); (got.segment == 1000) != want {
			t.Errorf("length %d: segment %d", size, got.segment)
		}
	}
	for _, huge := range []uint32{1 << 31, 1<<32 - 1} {
		binary.NativeEndian.PutUint32(b, huge)
		if _, ok := parseControl(b); ok {
			t.Errorf("length %d is well formed", huge)
		}
	}
}

// What is written can be read: the two agree where the kinds are the same.
func TestControlWriter(t *testing.T) {
	var room controlWords
	for _, s := range []string{"192.0.2.7", "2001:db8::7", "fe80::7"} {
		e := Endpoint{Source: netip.MustParseAddr(s), Interface: 5}
		w := controlWriter{buf: bytesOf(&room)}
		level, kind := int32(unix.IPPROTO_IP), int32(unix.IP_TTL)
		if e.Source.Is6() {
			level, kind = unix.IPPROTO_IPV6, unix.IPV6_HOPLIMIT
			w.int(level, unix.IPV6_TCLASS, 0xb9)
		} else {
			w.int(level, unix.IP_TOS, 0xb9)
		}
		w.int(level, kind, 64)
		w.source(&e)
		w.segment(1452)
		got, ok := parseControl(w.buf[:w.n])
		want := control{source: e.Source}
		want.tos = 0xb9
		if e.Source.IsLinkLocalUnicast() {
			want.iface = 5
		}
		if !ok || got != want {
			t.Errorf("%s: read back %+v, %v, want %+v", s, got, ok, want)
		}
	}
}

func FuzzParseControl(f *testing.F) {
	for _, c := range controls() {
		f.Add(c.b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, ok := parseControl(b)
		if c.segment < 0 || c.source.IsValid() && sendable(c.source) != c.source {
			t.Errorf("%+v", c)
		}
		if !ok {
			return
		}
		// Well-formed messages twice over, the second at a word boundary, say
		// the same.
		for len(b)%int(wordSize) != 0 {
			b = append(b, 0)
		}
		if again, ok := parseControl(append(b[:len(b):len(b)], b...)); !ok || again != c {
			t.Errorf("twice: %+v, %v, once %+v", again, ok, c)
		}
	})
}
