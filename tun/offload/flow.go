package offload

import (
	"bytes"
	"encoding/binary"
)

// segment is what the coalescer needs to know of one packet.
type segment struct {
	kind      Type   // None: not plain TCP or UDP, or its lengths lie
	mergeable bool   // may be part of a superpacket if its checksums are right
	push      bool   // TCP's PSH is set
	transport uint8  // where the TCP or UDP header begins
	header    uint8  // where the payload begins
	id        uint16 // IPv4's identification
	df        bool   // IPv4's "don't fragment"
	hash      uint32 // of addresses and ports
	seq       uint32 // TCP's sequence number
}

// parse reads the headers of pkt, any bytes at all. What the kernel's GRO leaves
// alone has no kind here: fragments, IPv4 options, IPv6 extension headers,
// anything but TCP and UDP. Nor has a packet whose lengths are not exactly so.
func parse(pkt []byte) (s segment) {
	if len(pkt) < ipv4Size {
		return segment{}
	}
	var protocol uint8
	switch {
	case pkt[0] == 0x45:
		flags := binary.BigEndian.Uint16(pkt[ipv4Flags:])
		const df = 0x4000
		if int(binary.BigEndian.Uint16(pkt[ipv4Length:])) != len(pkt) || flags&^df != 0 {
			return segment{}
		}
		s.transport, protocol = ipv4Size, pkt[9]
		s.id, s.df = binary.BigEndian.Uint16(pkt[ipv4ID:]), flags == df
		s.kind = TCPv4
	case pkt[0]>>4 == 6 && len(pkt) >= ipv6Size:
		if int(binary.BigEndian.Uint16(pkt[ipv6Length:])) != len(pkt)-ipv6Size {
			return segment{}
		}
		s.transport, protocol = ipv6Size, pkt[6]
		s.kind = TCPv6
	default:
		return segment{}
	}
	transport := pkt[s.transport:]
	switch {
	case protocol == protocolTCP && len(transport) >= tcpSize:
		size := int(transport[tcpOffset]>>4) * 4
		if size < tcpSize || size > len(transport) {
			return segment{}
		}
		s.header = s.transport + uint8(size)
		s.seq = binary.BigEndian.Uint32(transport[tcpSeq:])
		flags := transport[tcpFlags]
		s.push = flags&flagPSH != 0
		// SYN, FIN, RST, URG and CWR say something at one place in the stream.
		s.mergeable = flags&^(flagPSH|flagECE) == flagACK && size < len(transport)
	case protocol == protocolUDP && len(transport) >= udpSize:
		if int(binary.BigEndian.Uint16(transport[udpLength:])) != len(transport) {
			return segment{}
		}
		s.kind = UDP
		s.header = s.transport + udpSize
		// Without a checksum nothing can be said about the datagram, and a
		// superpacket would give it one that its sender did not want.
		s.mergeable = len(transport) > udpSize && binary.BigEndian.Uint16(transport[udpCheck:]) != 0
	default:
		return segment{}
	}
	s.hash = hashFlow(pkt, s.transport)
	return s
}

// hashFlow mixes what sameFlow compares. It only has to tell the few flows of
// one batch apart most of the time: a collision costs a comparison.
func hashFlow(pkt []byte, transport uint8) uint32 {
	ports := uint64(binary.BigEndian.Uint32(pkt[transport:]))
	var a uint64
	if transport == ipv4Size {
		a = binary.LittleEndian.Uint64(pkt[ipv4Sources:])
	} else {
		a = binary.LittleEndian.Uint64(pkt[ipv6Sources+8:]) ^ binary.LittleEndian.Uint64(pkt[ipv6Sources+24:])
	}
	h := (a ^ ports<<16) * 0x9e3779b97f4a7c15
	return uint32(h >> 32)
}

// sameFlow reports whether two packets of one kind have the same addresses and
// ports.
func sameFlow(a, b []byte, transport uint8) bool {
	from := ipv4Sources
	if transport == ipv6Size {
		from = ipv6Sources
	}
	// The ports lie right behind the addresses in both versions.
	return bytes.Equal(a[from:transport+4], b[from:transport+4])
}

// sameHeaders reports whether packet b of the same flow differs from a in
// nothing but what a superpacket can carry: lengths, checksums, IPv4's
// identification, TCP's sequence number and PSH.
func sameHeaders(a, b []byte, transport, header uint8) bool {
	if transport == ipv4Size {
		// TOS; flags; TTL.
		if a[1] != b[1] || a[ipv4Flags] != b[ipv4Flags] || a[8] != b[8] {
			return false
		}
	} else if !bytes.Equal(a[:4], b[:4]) || a[7] != b[7] { // class and flow label; hop limit
		return false
	}
	if header == transport+udpSize {
		return true
	}
	a, b = a[transport:header], b[transport:header]
	return bytes.Equal(a[tcpAck:tcpFlags], b[tcpAck:tcpFlags]) &&
		(a[tcpFlags]^b[tcpFlags])&^flagPSH == 0 &&
		bytes.Equal(a[tcpWindow:tcpCheck], b[tcpWindow:tcpCheck]) &&
		bytes.Equal(a[tcpUrgent:], b[tcpUrgent:])
}

// intact reports whether all checksums of a packet that parse found mergeable
// are right.
func intact(pkt []byte, transport uint8, kind Type) bool {
	protocol, from := uint8(protocolTCP), ipv4Sources
	if kind == UDP {
		protocol = protocolUDP
	}
	if transport == ipv6Size {
		from = ipv6Sources
	} else if Checksum(pkt[:ipv4Size], 0) != 0 {
		return false
	}
	return Checksum(pkt[transport:], PseudoHeader(pkt[from:transport], protocol, len(pkt)-int(transport))) == 0
}
