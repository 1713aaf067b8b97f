package offload

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// flowOf is the naive twin's idea of a flow.
func flowOf(s *spec) string { return fmt.Sprint(s.v6, s.protocol, s.host) }

// plain reports whether s belongs to a flow at all.
func plain(s *spec) bool {
	return (s.protocol == 6 || s.protocol == 17) && !s.mf && s.offset == 0 &&
		(s.v6 || len(s.ipOptions) == 0) && s.extension == nil
}

// alone reports whether s can be in no group but its own.
func alone(s *spec, udp bool) bool {
	if s.damaged || s.damagedHeader && !s.v6 || len(s.payload) == 0 {
		return true
	}
	if s.protocol == 17 {
		return !udp || s.noChecksum
	}
	return s.flags != 0x10 && s.flags != 0x18 && s.flags != 0x50 && s.flags != 0x58
}

// fits reports whether s may follow the packets of g.
func fits(g []spec, s *spec) bool {
	first, last := &g[0], &g[len(g)-1]
	total := s.headerSize() + len(s.payload)
	for i := range g {
		total += len(g[i].payload)
	}
	switch {
	case first.tos != s.tos, first.ttl != s.ttl, first.df != s.df && !s.v6, first.label != s.label,
		len(s.payload) > len(first.payload), len(last.payload) < len(first.payload), total > 65535:
		return false
	}
	if !s.v6 {
		still := s.df && s.id == last.id && last.id == first.id
		counting := s.id == last.id+1 && (len(g) == 1 || last.id != first.id)
		if !still && !counting {
			return false
		}
	}
	if s.protocol == 17 {
		return len(g) < 64
	}
	return len(g) < 128 && s.seq == last.seq+uint32(len(last.payload)) && s.ack == first.ack && s.window == first.window &&
		s.urg == first.urg && bytes.Equal(s.options, first.options) && last.flags&0x08 == 0 && s.flags&0x40 == first.flags&0x40
}

// naiveCoalesce groups by the rules as the documentation gives them, from specs.
func naiveCoalesce(specs []spec, udp bool) [][]int {
	var groups [][]int
	open := map[string]int{}
	members := func(g []int) (out []spec) {
		for _, i := range g {
			out = append(out, specs[i])
		}
		return out
	}
	for i := range specs {
		s := &specs[i]
		if !plain(s) {
			clear(open)
			groups = append(groups, []int{i})
			continue
		}
		at, ok := open[flowOf(s)]
		if ok && !alone(s, udp) && fits(members(groups[at]), s) {
			groups[at] = append(groups[at], i)
			continue
		}
		groups = append(groups, []int{i})
		delete(open, flowOf(s))
		if !alone(s, udp) {
			open[flowOf(s)] = len(groups) - 1
		}
	}
	return groups
}

// checkGroups holds what c made of pkts against want, and splits each group again.
func checkGroups(t *testing.T, c *Coalescer, pkts [][]byte, specs []spec, want [][]int) {
	t.Helper()
	if c.Len() != len(want) {
		t.Fatalf("%d groups, want %d", c.Len(), len(want))
	}
	var s Superpacket
	for i := range want {
		g := c.Group(i)
		if !slices.Equal(g.Index, want[i]) {
			t.Fatalf("group %d is %v, want %v", i, g.Index, want[i])
		}
		gso, err := ParseVirtio(g.Virtio[:])
		if err != nil || gso != g.GSO {
			t.Fatalf("group %d: %+v and %+v, %v", i, gso, g.GSO, err)
		}
		if len(want[i]) == 1 {
			if gso != (GSO{}) || len(g.Payloads) != 0 || !bytes.Equal(g.Head, pkts[want[i][0]]) {
				t.Fatalf("group %d of one: %+v", i, g)
			}
			continue
		}
		whole := slices.Concat(append([][]byte{g.Head}, g.Payloads...)...)
		for j, p := range g.Payloads {
			if original := pkts[g.Index[j]]; &p[0] != &original[len(original)-len(p)] {
				t.Fatalf("payload %d was copied", j)
			}
		}
		if err := s.Init(whole, gso); err != nil || s.Count() != len(want[i]) {
			t.Fatalf("group %d splits into %d, want %d: %v", i, s.Count(), len(want[i]), err)
		}
		room := make([]byte, MaxPacket)
		for j, index := range want[i] {
			expected := specs[index]
			if specs[want[i][1]].id == specs[want[i][0]].id {
				expected.id += uint16(j) // identifications that stood still count up
			}
			if n := s.Segment(j, room); !bytes.Equal(room[:n], expected.bytes()) {
				t.Fatalf("group %d, packet %d:\n%x\nwant\n%x", i, j, room[:n], expected.bytes())
			}
		}
	}
}

func serialize(specs []spec) (pkts [][]byte) {
	for i := range specs {
		pkts = append(pkts, specs[i].bytes())
	}
	return pkts
}

func TestCoalesceAgainstTwin(t *testing.T) { eachKernel(t, testCoalesceAgainstTwin) }

func testCoalesceAgainstTwin(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	var c Coalescer // one for all: nothing of a batch may show in the next
	merged := map[int]int{}
	for round := range 500 {
		s := newStream(r, 1+r.IntN(6))
		var specs []spec
		for range 1 + r.IntN(100) {
			specs = append(specs, s.next())
		}
		pkts := serialize(specs)
		before := slices.Concat(pkts...)
		want := naiveCoalesce(specs, round%2 == 0)
		c.Coalesce(pkts, round%2 == 0)
		checkGroups(t, &c, pkts, specs, want)
		if !bytes.Equal(before, slices.Concat(pkts...)) {
			t.Fatal("packets were changed")
		}
		for _, g := range want {
			merged[len(g)]++
		}
	}
	// Had nothing been put together, all of the above would be empty.
	if longest := slices.MaxFunc(slices.Collect(keys(merged)), cmp.Compare[int]); longest < 12 {
		t.Errorf("the longest group had %d packets", longest)
	}
}

func keys(m map[int]int) func(func(int) bool) {
	return func(yield func(int) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// TestSplitThenCoalesce takes superpackets apart and puts them together again.
func TestSplitThenCoalesce(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 16))
	var c Coalescer
	for range 500 {
		s := randomSpec(r)
		size := 600 + r.IntN(1000)
		s.payload = randomBytes(r, size+1+r.IntN(50*size))
		if len(s.payload) > MaxPacket-s.headerSize() {
			s.payload = s.payload[:MaxPacket-s.headerSize()]
		}
		b, g := s.super(size)
		pkts := serialize(s.split(size))
		c.Coalesce(pkts, true)
		if c.Len() != 1 {
			t.Fatalf("%d groups of %d packets", c.Len(), len(pkts))
		}
		group := c.Group(0)
		if whole := slices.Concat(append([][]byte{group.Head}, group.Payloads...)...); !bytes.Equal(whole, b) || group.GSO != g {
			t.Fatalf("%+v, want %+v, equal bytes: %v", group.GSO, g, bytes.Equal(whole, b))
		}
	}
}

func TestLimits(t *testing.T) {
	var c Coalescer
	build := func(n, size int, protocol byte) (specs []spec) {
		s := spec{protocol: protocol, flags: 0x10, payload: make([]byte, n*size)}
		return s.split(size)
	}
	for _, test := range []struct {
		specs []spec
		want  []int // sizes of groups
	}{
		{build(100, 1380, 6), []int{47, 47, 6}}, // 47 * 1380 + 40 is the most below 65536
		{build(200, 1, 6), []int{128, 72}},
		{build(100, 100, 17), []int{64, 36}},
		{build(2, 32747, 6), []int{2}},
		{build(2, 32748, 6), []int{1, 1}}, // 65536
		{append(build(1, 32748, 6), spec{protocol: 6, flags: 0x10, id: 1, seq: 32748, payload: make([]byte, 32747)}), []int{2}}, // 65535 exactly
	} {
		pkts := serialize(test.specs)
		c.Coalesce(pkts, true)
		var got []int
		for i := range c.Len() {
			got = append(got, len(c.Group(i).Index))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%d packets of %d bytes: %v, want %v", len(pkts), len(pkts[0]), got, test.want)
		}
	}
}

// TestCoalesceFlags has two segments in a row with every pair of flags.
func TestCoalesceFlags(t *testing.T) {
	const ack, push, ece = 0x10, 0x08, 0x40
	plain := []byte{ack, ack | ece}
	var c Coalescer
	for first := range 256 {
		for second := range 256 {
			s := spec{v6: true, protocol: 6, flags: byte(first), payload: make([]byte, 2)}
			next := s
			next.seq, next.flags = 2, byte(second)
			pkts := [][]byte{s.bytes(), next.bytes()}
			c.Coalesce(pkts, true)
			// PSH ends a group, and so cannot begin one. Both say the same about congestion.
			together := slices.Contains(plain, s.flags) && next.flags&^push == s.flags
			if (c.Len() == 1) != together {
				t.Fatalf("flags %#x, then %#x: %d groups", first, second, c.Len())
			}
			if head := c.Group(0).Head; together && head[40+13] != next.flags {
				t.Fatalf("flags %#x, then %#x: the superpacket has %#x", first, second, head[40+13])
			}
		}
	}
}

// TestUnsummedDatagramsStayAlone has datagrams without a checksum whose sum is right by chance: put together they would be given one.
func TestUnsummedDatagramsStayAlone(t *testing.T) {
	var c Coalescer
	found := false
	for word := range 1 << 16 {
		s := spec{v6: true, protocol: 17, payload: binary.BigEndian.AppendUint16(nil, uint16(word))}
		b := s.bytes()
		if b[46] != 0xff || b[47] != 0xff {
			continue
		}
		found = true
		b[46], b[47] = 0, 0
		c.Coalesce([][]byte{b, b, b}, true)
		if c.Len() != 3 {
			t.Errorf("%d groups of 3 datagrams without a checksum", c.Len())
		}
	}
	if !found {
		t.Error("no datagram has a checksum that comes out as 0")
	}
}

// TestManyFlows has more flows than are followed: each flow stays in order.
func TestManyFlows(t *testing.T) {
	r := rand.New(rand.NewPCG(17, 18))
	var c Coalescer
	s := newStream(r, 3*maxOpen)
	for range 50 {
		var specs []spec
		for range 200 {
			specs = append(specs, s.next())
		}
		pkts := serialize(specs)
		c.Coalesce(pkts, true)
		seen := make([]bool, len(pkts))
		last := map[string]int{}
		for i := range c.Len() {
			for _, index := range c.Group(i).Index {
				if seen[index] {
					t.Fatalf("packet %d is written twice", index)
				}
				seen[index] = true
				flow := flowOf(&specs[index])
				if before, ok := last[flow]; ok && before > index {
					t.Fatalf("packet %d overtakes %d of its flow", before, index)
				}
				last[flow] = index
			}
		}
		if slices.Contains(seen, false) {
			t.Fatal("a packet is not written")
		}
	}
}

// TestLyingLengths changes the length fields: such packets stay alone.
func TestLyingLengths(t *testing.T) {
	var c Coalescer
	for _, v6 := range []bool{false, true} {
		for _, protocol := range []byte{6, 17} {
			s := spec{v6: v6, protocol: protocol, flags: 0x10, payload: make([]byte, 200)}
			for cut := range 99 {
				pkts := serialize(s.split(100))
				pkts[1] = pkts[1][:len(pkts[1])-1-cut]
				c.Coalesce(pkts, true)
				if c.Len() != 2 {
					t.Fatalf("IPv6 %v, protocol %d: coalesced a packet without its last %d bytes", v6, protocol, cut+1)
				}
				pkts = serialize(s.split(100))
				pkts[1] = append(pkts[1], make([]byte, cut+1)...)
				c.Coalesce(pkts, true)
				if c.Len() != 2 {
					t.Fatalf("IPv6 %v, protocol %d: coalesced a packet with %d bytes behind it", v6, protocol, cut+1)
				}
			}
		}
	}
	c.Coalesce([][]byte{nil, {}, {0x45}, {0x60}, make([]byte, 20)}, true)
	if c.Len() != 5 {
		t.Errorf("%d groups of 5 scraps", c.Len())
	}
}
