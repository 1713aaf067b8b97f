package offload

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
)

// withVirtio puts a packet behind its virtio header.
func withVirtio(b []byte, g GSO) []byte {
	out := make([]byte, VirtioSize, VirtioSize+len(b))
	PutVirtio(out, g)
	return append(out, b...)
}

func FuzzSuperpacket(f *testing.F) {
	for _, s := range []spec{
		{protocol: 6, flags: 0x19, payload: make([]byte, 300), options: make([]byte, 12)},
		{protocol: 6, v6: true, flags: 0x90, payload: make([]byte, 100), extension: make([]byte, 8)},
		{protocol: 17, payload: make([]byte, 299)},
		{protocol: 17, v6: true, payload: make([]byte, 1)},
		{protocol: 6, ipOptions: make([]byte, 40)},
	} {
		b, g := s.super(100)
		f.Add(withVirtio(b, g))
		g.Type = None
		f.Add(withVirtio(b, g))
	}
	f.Add([]byte{0, 1, 0xff, 0xff, 1, 0, 0xff, 0xff, 0xff, 0xff})
	room := make([]byte, MaxPacket)
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := ParseVirtio(b)
		if err != nil {
			return
		}
		pkt := b[VirtioSize:]
		var s Superpacket
		if s.Init(pkt, g) != nil || len(pkt) > MaxPacket {
			return
		}
		var payload int
		for i := range s.Count() {
			n := s.Segment(i, room)
			if n != s.SegmentLen(i) || n > len(pkt) {
				t.Fatalf("segment %d of %d has %d bytes, not %d, of %d", i, s.Count(), n, s.SegmentLen(i), len(pkt))
			}
			if g.Type == None {
				return
			}
			length := n
			field := binary.BigEndian.Uint16(room[2:])
			if room[0]>>4 == 6 {
				length -= 40
				field = binary.BigEndian.Uint16(room[4:])
			}
			if int(field) != length {
				t.Fatalf("segment %d of %d bytes says %d", i, length, field)
			}
			payload += n - s.header
			if !bytes.Equal(room[s.header:n], pkt[s.header+i*int(g.Size):][:n-s.header]) {
				t.Fatalf("segment %d carries other bytes", i)
			}
		}
		if payload != len(pkt)-s.header {
			t.Fatalf("%d bytes of payload came out of %d", payload, len(pkt)-s.header)
		}
	})
}

func FuzzCoalesce(f *testing.F) {
	join := func(specs []spec) (out []byte) {
		for _, p := range serialize(specs) {
			out = binary.BigEndian.AppendUint16(out, uint16(len(p)))
			out = append(out, p...)
		}
		return out
	}
	for _, s := range []spec{
		{protocol: 6, flags: 0x18, payload: make([]byte, 300), options: make([]byte, 12)},
		{protocol: 6, v6: true, flags: 0x50, payload: make([]byte, 250)},
		{protocol: 17, df: true, payload: make([]byte, 299)},
		{protocol: 17, v6: true, payload: make([]byte, 201)},
	} {
		f.Add(join(s.split(100)), true)
		f.Add(join(s.split(1)), false)
	}
	f.Fuzz(func(t *testing.T, b []byte, udp bool) {
		var pkts [][]byte
		for len(b) >= 2 {
			n := min(int(binary.BigEndian.Uint16(b)), len(b)-2)
			pkts = append(pkts, b[2:2+n])
			b = b[2+n:]
		}
		before := slices.Concat(pkts...)
		var c Coalescer
		c.Coalesce(pkts, udp)
		var seen []int
		for i := range c.Len() {
			checkFuzzedGroup(t, c.Group(i), pkts)
			seen = append(seen, c.Group(i).Index...)
		}
		slices.Sort(seen)
		for i, v := range seen {
			if i != v {
				t.Fatalf("packets written: %v", seen)
			}
		}
		if len(seen) != len(pkts) || !bytes.Equal(before, slices.Concat(pkts...)) {
			t.Fatal("packets lost or changed")
		}
	})
}

// checkFuzzedGroup splits a group and wants its packets back.
func checkFuzzedGroup(t *testing.T, g *Group, pkts [][]byte) {
	if len(g.Index) == 1 {
		if !bytes.Equal(g.Head, pkts[g.Index[0]]) {
			t.Fatal("a single packet was changed")
		}
		return
	}
	whole := slices.Concat(append([][]byte{g.Head}, g.Payloads...)...)
	var s Superpacket
	if err := s.Init(whole, g.GSO); err != nil || s.Count() != len(g.Index) {
		t.Fatalf("%d packets split into %d: %v", len(g.Index), s.Count(), err)
	}
	room := make([]byte, MaxPacket)
	for j, index := range g.Index {
		got, want := room[:s.Segment(j, room)], bytes.Clone(pkts[index])
		if want[0]>>4 == 4 {
			copy(want[4:6], got[4:6]) // identifications that stood still count up
			copy(want[10:12], got[10:12])
		}
		// Of the two zeroes of ones' complement a sender may use either.
		at := s.transport + checkOffset(g.GSO.Type)
		if binary.BigEndian.Uint16(want[at:]) == 0xffff && g.GSO.Type != UDP {
			want[at], want[at+1] = 0, 0
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("packet %d:\n%x\nwant\n%x", index, got, want)
		}
	}
}
