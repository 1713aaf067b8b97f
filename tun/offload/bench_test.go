package offload

import (
	"math/rand/v2"
	"strconv"
	"testing"
)

// testSuper is a superpacket as TCP at an MTU of 1420 makes it, with timestamps.
func testSuper(v6 bool, protocol byte) (spec, []byte, GSO) {
	s := spec{v6: v6, protocol: protocol, flags: 0x18, df: true, options: make([]byte, 12)}
	s.payload = randomBytes(rand.New(rand.NewPCG(1, 2)), 45*1348)
	b, g := s.super(1348)
	return s, b, g
}

func TestNothingIsAllocated(t *testing.T) {
	s, b, g := testSuper(false, 6)
	pkts := serialize(s.split(1348))
	room := make([]byte, 2048)
	var p Superpacket
	var c Coalescer
	c.Coalesce(pkts, true)
	c.Group(0)
	if n := testing.AllocsPerRun(100, func() {
		if p.Init(b, g) != nil {
			t.Fatal("refused")
		}
		for i := range p.Count() {
			p.Segment(i, room)
		}
	}); n != 0 {
		t.Errorf("splitting allocates %v times", n)
	}
	if n := testing.AllocsPerRun(100, func() {
		c.Coalesce(pkts, true)
		for i := range c.Len() {
			c.Group(i)
		}
	}); n != 0 {
		t.Errorf("coalescing allocates %v times", n)
	}
}

func BenchmarkChecksum(b *testing.B) {
	for _, n := range []int{20, 64, 1420, 65535} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			buf := make([]byte, n)
			b.SetBytes(int64(n))
			for b.Loop() {
				Checksum(buf, 1)
			}
		})
	}
}

func benchmarkKinds(b *testing.B, f func(b *testing.B, s spec, super []byte, g GSO)) {
	for name, kind := range map[string]struct {
		v6       bool
		protocol byte
	}{"TCPv4": {false, 6}, "TCPv6": {true, 6}, "UDPv4": {false, 17}} {
		b.Run(name, func(b *testing.B) {
			s, super, g := testSuper(kind.v6, kind.protocol)
			b.SetBytes(int64(len(super)))
			b.ReportAllocs()
			f(b, s, super, g)
		})
	}
}

// BenchmarkSplit splits one superpacket of 45 segments into one buffer, at the stride of
// messages.
func BenchmarkSplit(b *testing.B) {
	benchmarkKinds(b, func(b *testing.B, _ spec, super []byte, g GSO) {
		room := make([]byte, 1<<17)
		var p Superpacket
		for b.Loop() {
			if err := p.Init(super, g); err != nil {
				b.Fatal(err)
			}
			for i := range p.Count() {
				p.Segment(i, room[i*1452+16:])
			}
		}
	})
}

// BenchmarkCoalesce puts 45 packets together.
func BenchmarkCoalesce(b *testing.B) {
	benchmarkKinds(b, func(b *testing.B, s spec, _ []byte, _ GSO) {
		pkts := serialize(s.split(1348))
		var c Coalescer
		for b.Loop() {
			c.Coalesce(pkts, true)
			for i := range c.Len() {
				c.Group(i)
			}
		}
	})
}

// BenchmarkCoalesceMixed has 64 packets of 16 flows in turn.
func BenchmarkCoalesceMixed(b *testing.B) {
	var pkts [][]byte
	var total int
	for i := range 64 {
		s := spec{protocol: 6, flags: 0x10, host: byte(i % 16), seq: uint32(i/16) * 1380, id: uint16(i / 16), payload: make([]byte, 1380)}
		pkts = append(pkts, s.bytes())
		total += len(pkts[i])
	}
	b.SetBytes(int64(total))
	var c Coalescer
	for b.Loop() {
		c.Coalesce(pkts, true)
		for i := range c.Len() {
			c.Group(i)
		}
	}
}
