// Package offload splits the superpackets that a Linux TUN device hands out,
// coalesces packets into superpackets that it takes, and computes Internet
// checksums. It works on bytes only and makes no system call.
//
// A superpacket is one IP packet of up to 64 KiB that stands for many segments
// of one flow; a virtio_net_hdr in front of it says how to cut it. One system
// call and one walk through the kernel's stack then carry some 45 packets.
//
//	var s offload.Superpacket
//	if err := s.Init(data, gso); err != nil { ... }      // counted as a drop
//	for i := range s.Count() {
//		n := s.Segment(i, room)                      // a whole packet
//	}
//
// and the other way:
//
//	c.Coalesce(packets, udp)
//	for i := range c.Len() {
//		g := c.Group(i)                              // writev(g.Virtio, g.Head, g.Payloads...)
//	}
package offload

import (
	"encoding/binary"
	"errors"
)

// VirtioSize is the length in bytes of the virtio_net_hdr that stands before
// each packet of a device opened with IFF_VNET_HDR.
const VirtioSize = 10

// MaxPacket is the length in bytes of the longest superpacket there is.
const MaxPacket = 65535

// Type says what a superpacket consists of.
type Type uint8

// The types of superpackets.
const (
	None  Type = iota // a single packet
	TCPv4             // TCP segments over IPv4
	TCPv6             // TCP segments over IPv6
	UDP               // UDP datagrams over either
)

// GSO is a virtio_net_hdr (linux/virtio_net.h), decoded.
type GSO struct {
	Type          Type
	NeedsChecksum bool // the transport checksum is still to be computed from ChecksumStart on
	ECN           bool // the first segment has CWR set
	HeaderLen     uint16
	Size          uint16 // bytes of payload in each segment; the last may have fewer

	// The checksum covers the bytes from ChecksumStart to the end and is stored
	// ChecksumOffset bytes behind ChecksumStart, where the sum of the
	// pseudo-header lies already.
	ChecksumStart, ChecksumOffset uint16
}

// Values of struct virtio_net_hdr in linux/virtio_net.h.
const (
	flagNeedsChecksum = 1

	gsoNone  = 0
	gsoTCPv4 = 1
	gsoTCPv6 = 4
	gsoUDP   = 5    // VIRTIO_NET_HDR_GSO_UDP_L4; 3 is UDP fragmentation, which is never asked for
	gsoECN   = 0x80 // a flag beside one of the above
)

// Errors of ParseVirtio and Superpacket.Init. Each is a reason to drop the
// packet and to go on.
var (
	ErrVirtioHeader = errors.New("virtio header too short or of an unknown type")
	ErrTruncated    = errors.New("superpacket shorter than its headers")
	ErrHeaders      = errors.New("superpacket's headers contradict its virtio header")
)

// ParseVirtio decodes the virtio_net_hdr at the beginning of b. The kernel
// writes it in the machine's own byte order.
func ParseVirtio(b []byte) (GSO, error) {
	if len(b) < VirtioSize {
		return GSO{}, ErrVirtioHeader
	}
	g := GSO{
		NeedsChecksum:  b[0]&flagNeedsChecksum != 0,
		ECN:            b[1]&gsoECN != 0,
		HeaderLen:      binary.NativeEndian.Uint16(b[2:]),
		Size:           binary.NativeEndian.Uint16(b[4:]),
		ChecksumStart:  binary.NativeEndian.Uint16(b[6:]),
		ChecksumOffset: binary.NativeEndian.Uint16(b[8:]),
	}
	switch b[1] &^ gsoECN {
	case gsoNone:
		g.Type = None
	case gsoTCPv4:
		g.Type = TCPv4
	case gsoTCPv6:
		g.Type = TCPv6
	case gsoUDP:
		g.Type = UDP
	default:
		return GSO{}, ErrVirtioHeader
	}
	return g, nil
}

// PutVirtio encodes g into the first VirtioSize bytes of b, all of which it
// sets. It panics if b is shorter.
func PutVirtio(b []byte, g GSO) {
	_ = b[VirtioSize-1]
	b[0], b[1] = 0, [...]byte{None: gsoNone, TCPv4: gsoTCPv4, TCPv6: gsoTCPv6, UDP: gsoUDP}[g.Type]
	if g.NeedsChecksum {
		b[0] |= flagNeedsChecksum
	}
	if g.ECN {
		b[1] |= gsoECN
	}
	binary.NativeEndian.PutUint16(b[2:], g.HeaderLen)
	binary.NativeEndian.PutUint16(b[4:], g.Size)
	binary.NativeEndian.PutUint16(b[6:], g.ChecksumStart)
	binary.NativeEndian.PutUint16(b[8:], g.ChecksumOffset)
}
