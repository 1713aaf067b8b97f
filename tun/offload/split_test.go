package offload

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// checkSplit splits b and compares with the specs' bytes.
func checkSplit(t *testing.T, b []byte, g GSO, want []spec) {
	t.Helper()
	var s Superpacket
	if err := s.Init(b, g); err != nil {
		t.Fatalf("%+v: %v", g, err)
	}
	if s.Count() != len(want) {
		t.Fatalf("%d segments, want %d", s.Count(), len(want))
	}
	room := bytes.Repeat([]byte{0xaa}, MaxPacket+1)
	before := bytes.Clone(b)
	for i := len(want) - 1; i >= 0; i-- {
		n := s.Segment(i, room)
		expected := want[i].bytes()
		if n != s.SegmentLen(i) || !bytes.Equal(room[:n], expected) {
			t.Fatalf("segment %d of %d:\n%x, want\n%x", i, len(want), room[:min(n, 100)], expected[:min(len(expected), 100)])
		}
	}
	if !bytes.Equal(b, before) {
		t.Fatal("the superpacket was changed")
	}
}

func TestSplit(t *testing.T) { eachKernel(t, testSplit) }

func testSplit(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 800 {
		s := randomSpec(r)
		if s.protocol == 6 {
			s.flags |= byte(r.Uint32()) & 0xe9 // CWR, ECE, URG, PSH, FIN
			s.urg = uint16(r.Uint32())
		}
		switch {
		case r.IntN(4) > 0:
		case s.v6:
			s.extension = make([]byte, 8*(1+r.IntN(3)))
			s.extension[1] = byte(len(s.extension)/8 - 1)
		default:
			s.ipOptions = randomBytes(r, 4*r.IntN(11))
		}
		size := 1 + r.IntN(1500)
		s.payload = randomBytes(r, 1+r.IntN(min(40*size, 65000-s.headerSize())))
		b, g := s.super(size)
		g.HeaderLen = uint16(r.Uint32()) // cannot be trusted
		checkSplit(t, b, g, s.split(size))
		if s.extension == nil {
			g.NeedsChecksum, g.ChecksumStart, g.ChecksumOffset = false, 0, 0
			checkSplit(t, b, g, s.split(size))
		}
	}
}

func TestSplitLargest(t *testing.T) { eachKernel(t, testSplitLargest) }

func testSplitLargest(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 20 {
		s := randomSpec(r)
		s.payload = randomBytes(r, MaxPacket-s.headerSize())
		b, g := s.super(1380)
		checkSplit(t, b, g, s.split(1380))
	}
}

// TestSplitMany has superpackets of more segments than any send or group can have.
func TestSplitMany(t *testing.T) {
	r := rand.New(rand.NewPCG(29, 30))
	for _, size := range []int{1, 2, 7, 100, 500, 1000} {
		s := randomSpec(r)
		s.id, s.payload = 65500, randomBytes(r, 10_001+50*size)
		b, g := s.super(size)
		checkSplit(t, b, g, s.split(size))
	}
}

// TestSplitFlags is the flags by hand, beside the random ones.
func TestSplitFlags(t *testing.T) {
	s := spec{protocol: 6, flags: 0x80 | 0x40 | 0x10 | 0x08 | 0x01, payload: make([]byte, 300)}
	b, g := s.super(100)
	var p Superpacket
	if err := p.Init(b, g); err != nil {
		t.Fatal(err)
	}
	for i, want := range []byte{0x80 | 0x40 | 0x10, 0x40 | 0x10, 0x40 | 0x10 | 0x08 | 0x01} {
		out := make([]byte, 140)
		p.Segment(i, out)
		if out[33] != want {
			t.Errorf("segment %d has flags %#x, want %#x", i, out[33], want)
		}
	}
}

func TestSinglePackets(t *testing.T) { eachKernel(t, testSinglePackets) }

func testSinglePackets(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	var zeroes int
	for range 2000 {
		s := randomSpec(r)
		s.payload = randomBytes(r, r.IntN(1400))
		b, g := s.super(0)
		g.Type = None
		checkSplit(t, b, g, []spec{s})
		checkSplit(t, s.bytes(), GSO{}, []spec{s}) // after one that needed its checksum
	}
	// A UDP checksum that comes out as 0 is sent as 0xffff.
	for id := range 1 << 16 {
		s := spec{protocol: 17, payload: binary.BigEndian.AppendUint16(nil, uint16(id))}
		if b := s.bytes(); b[26] == 0xff && b[27] == 0xff {
			zeroes++
			b, g := s.super(0)
			g.Type = None
			checkSplit(t, b, g, []spec{s})
			b, g = s.super(2)
			checkSplit(t, b, g, []spec{s})
		}
	}
	if zeroes == 0 {
		t.Error("no checksum came out as 0")
	}
}

func TestInitRefuses(t *testing.T) {
	tcp := spec{protocol: 6, flags: 0x10, payload: make([]byte, 200)}
	udp6 := spec{protocol: 17, v6: true, payload: make([]byte, 200)}
	for name, test := range map[string]struct {
		s      spec
		change func(b []byte, g *GSO) []byte
		want   error
	}{
		"size 0":               {tcp, func(b []byte, g *GSO) []byte { g.Size = 0; return b }, ErrHeaders},
		"IPv6's type":          {tcp, func(b []byte, g *GSO) []byte { g.Type = TCPv6; return b }, ErrHeaders},
		"UDP's type":           {tcp, func(b []byte, g *GSO) []byte { g.Type = UDP; return b }, ErrHeaders},
		"version":              {tcp, func(b []byte, g *GSO) []byte { b[0] = 0x55; return b }, ErrHeaders},
		"short IP header":      {tcp, func(b []byte, g *GSO) []byte { b[0] = 0x44; return b }, ErrHeaders},
		"first fragment":       {tcp, func(b []byte, g *GSO) []byte { b[6] = 0x20; return b }, ErrHeaders},
		"later fragment":       {tcp, func(b []byte, g *GSO) []byte { b[7] = 1; return b }, ErrHeaders},
		"far fragment":         {tcp, func(b []byte, g *GSO) []byte { b[6] = 0x10; return b }, ErrHeaders},
		"IPv6 fragment":        {udp6, func(b []byte, g *GSO) []byte { g.ChecksumStart += 8; return extended(b, []byte{44}, []int{8}) }, ErrHeaders},
		"IPv6 authentication":  {udp6, func(b []byte, g *GSO) []byte { g.ChecksumStart += 8; return extended(b, []byte{51}, []int{8}) }, ErrHeaders},
		"data offset low":      {tcp, func(b []byte, g *GSO) []byte { b[32] = 0x40; return b }, ErrHeaders},
		"data offset high":     {tcp, func(b []byte, g *GSO) []byte { b[32] = 0xf0; return b[:79] }, ErrTruncated},
		"cut in TCP":           {tcp, func(b []byte, g *GSO) []byte { return b[:39] }, ErrTruncated},
		"cut in IP":            {tcp, func(b []byte, g *GSO) []byte { return b[:19] }, ErrTruncated},
		"IP options past end":  {tcp, func(b []byte, g *GSO) []byte { b[0] = 0x4f; return b[:50] }, ErrTruncated},
		"nothing":              {tcp, func(b []byte, g *GSO) []byte { return nil }, ErrTruncated},
		"checksum start":       {tcp, func(b []byte, g *GSO) []byte { g.ChecksumStart++; return b }, ErrHeaders},
		"checksum offset":      {tcp, func(b []byte, g *GSO) []byte { g.ChecksumOffset = 6; return b }, ErrHeaders},
		"too long":             {tcp, func(b []byte, g *GSO) []byte { return append(b, make([]byte, MaxPacket)...) }, ErrHeaders},
		"cut in UDP":           {udp6, func(b []byte, g *GSO) []byte { return b[:47] }, ErrTruncated},
		"cut in IPv6":          {udp6, func(b []byte, g *GSO) []byte { return b[:39] }, ErrTruncated},
		"extension past end":   {udp6, func(b []byte, g *GSO) []byte { b[6], b[40], b[41] = 60, 17, 255; return b }, ErrTruncated},
		"extension at end":     {udp6, func(b []byte, g *GSO) []byte { b[6] = 0; return b[:41] }, ErrTruncated},
		"single, sum past end": {tcp, func(b []byte, g *GSO) []byte { g.Type = None; g.ChecksumOffset = 65535; return b }, ErrTruncated},
	} {
		b, g := test.s.super(100)
		var s Superpacket
		if err := s.Init(test.change(b, &g), g); err != test.want {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}

func TestVirtio(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	for range 1000 {
		g := GSO{Type(r.IntN(4)), r.IntN(2) == 0, r.IntN(2) == 0, uint16(r.Uint32()), uint16(r.Uint32()), uint16(r.Uint32()), uint16(r.Uint32())}
		b := bytes.Repeat([]byte{0xff}, VirtioSize) // what an earlier packet left
		PutVirtio(b, g)
		if got, err := ParseVirtio(b); err != nil || got != g {
			t.Fatalf("%+v became %+v, %v", g, got, err)
		}
	}
	for _, b := range [][]byte{nil, make([]byte, 9), {1: 3, 9: 0}, {1: 0x7f, 9: 0}} {
		if g, err := ParseVirtio(b); err != ErrVirtioHeader {
			t.Errorf("%x: %+v, %v", b, g, err)
		}
	}
}
