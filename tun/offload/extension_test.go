package offload

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
)

// extended puts IPv6 extension headers of these types and lengths in bytes between b's IP header and what is behind it. Their content
// is zero, but for the fields that make a chain of them.
func extended(b []byte, types []byte, lengths []int) []byte {
	var chain []byte
	for i, n := range lengths {
		header := make([]byte, n)
		header[0], header[1] = b[6], byte(n/8-1)
		if i+1 < len(types) {
			header[0] = types[i+1]
		}
		chain = append(chain, header...)
	}
	out := slices.Concat(b[:40], chain, b[40:])
	if len(types) > 0 {
		out[6] = types[0]
	}
	binary.BigEndian.PutUint16(out[4:], uint16(len(out)-40))
	return out
}

// TestSplitExtensionHeaders has superpackets with every chain of extension headers that segments may have.
func TestSplitExtensionHeaders(t *testing.T) {
	const hopByHop, routing, destination = 0, 43, 60
	r := rand.New(rand.NewPCG(27, 28))
	for name, test := range map[string]struct {
		types   []byte
		lengths []int
	}{
		"hop-by-hop":          {[]byte{hopByHop}, []int{8}},
		"routing":             {[]byte{routing}, []int{24}},
		"destination":         {[]byte{destination}, []int{16}},
		"all":                 {[]byte{hopByHop, destination, routing, destination}, []int{8, 24, 40, 8}},
		"the longest":         {[]byte{destination}, []int{256 * 8}},
		"longer than 8 bits":  {[]byte{hopByHop}, []int{33 * 8}},
		"two of the longest":  {[]byte{hopByHop, routing}, []int{256 * 8, 256 * 8}},
		"none, for the twins": {nil, nil},
	} {
		for _, protocol := range []byte{6, 17} {
			t.Run(name, func(t *testing.T) {
				s := spec{v6: true, protocol: protocol, host: 3, ttl: 9, flags: 0x18, payload: randomBytes(r, 4321)}
				const size = 1000
				b, g := s.super(size)
				long := extended(b, test.types, test.lengths)
				g.ChecksumStart += uint16(len(long) - len(b))
				// With a routing header the address in the IP header is not the one in the pseudo-header.
				change := func(b []byte) {
					if slices.Contains(test.types, routing) {
						b[39] ^= 0x55
					}
				}
				change(long)
				var p Superpacket
				if err := p.Init(long, g); err != nil {
					t.Fatal(err)
				}
				room := make([]byte, MaxPacket)
				for i, segment := range s.split(size) {
					want := extended(segment.bytes(), test.types, test.lengths)
					change(want)
					if got := room[:p.Segment(i, room)]; !bytes.Equal(got, want) {
						t.Fatalf("segment %d:\n%x, want\n%x", i, got[:min(len(got), 150)], want[:min(len(want), 150)])
					}
				}
			})
		}
	}
}

// TestExtensionHeadersStayAlone has packets behind each kind of extension header, and each kind of fragment: none is put together.
func TestExtensionHeadersStayAlone(t *testing.T) {
	const fragment, authentication = 44, 51
	var c Coalescer
	for _, kind := range []byte{0, 43, 60, fragment, authentication, 135, 139, 140} {
		for _, protocol := range []byte{6, 17} {
			s := spec{v6: true, protocol: protocol, flags: 0x10, payload: make([]byte, 300)}
			var pkts [][]byte
			for _, segment := range s.split(100) {
				pkts = append(pkts, extended(segment.bytes(), []byte{kind}, []int{8}))
			}
			c.Coalesce(pkts, true)
			if c.Len() != len(pkts) {
				t.Errorf("extension header %d, protocol %d: %d groups of %d packets", kind, protocol, c.Len(), len(pkts))
			}
		}
	}
}
