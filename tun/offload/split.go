package offload

import "encoding/binary"

// Numbers and offsets of the headers that are touched here (RFC 791, RFC 8200,
// RFC 9293, RFC 768).
const (
	protocolTCP = 6
	protocolUDP = 17

	ipv4Size    = 20
	ipv6Size    = 40
	ipv4Length  = 2
	ipv4ID      = 4
	ipv4Flags   = 6
	ipv4Check   = 10
	ipv4Sources = 12 // source address, destination address behind it
	ipv6Length  = 4
	ipv6Sources = 8

	tcpSize    = 20
	tcpMaxSize = 60
	tcpSeq     = 4
	tcpAck     = 8
	tcpOffset  = 12
	tcpFlags   = 13
	tcpWindow  = 14
	tcpCheck   = 16
	tcpUrgent  = 18
	udpSize    = 8
	udpLength  = 4
	udpCheck   = 6

	flagFIN = 0x01
	flagPSH = 0x08
	flagACK = 0x10
	flagECE = 0x40
	flagCWR = 0x80
)

// Superpacket is a checked view of one packet as the kernel handed it out: a
// superpacket, a single packet whose checksum is still to be completed, or a
// single packet that is complete. It is made ready by Init, borrows the packet's
// bytes until the next Init, never changes them, and may be used by several
// goroutines once Init has returned. It holds no memory of its own.
type Superpacket struct {
	pkt       []byte
	gso       GSO
	transport int // where the TCP or UDP header begins
	header    int // where the payload begins
	count     int // segments

	// Sums without what differs from segment to segment: of the IPv4 header, and of the pseudo-header with the transport's.
	ipSum, transportSum uint64
}

// Init takes pkt and what its virtio header said, and checks every length that
// Segment will rely on. It fails with ErrTruncated or ErrHeaders, and then the
// packet is to be dropped.
//
// The header length in g is not used: for a forwarded packet the kernel gives
// the length of what happened to be linear in its memory.
func (s *Superpacket) Init(pkt []byte, g GSO) error {
	*s = Superpacket{pkt: pkt, gso: g, header: len(pkt), count: 1}
	if g.Type == None {
		if g.NeedsChecksum && int(g.ChecksumStart)+int(g.ChecksumOffset)+2 > len(pkt) {
			return ErrTruncated
		}
		return nil
	}
	if len(pkt) > MaxPacket || g.Size == 0 {
		return ErrHeaders
	}
	protocol := uint8(protocolTCP)
	if g.Type == UDP {
		protocol = protocolUDP
	}
	var err error
	if s.transport, err = transportOffset(pkt, protocol); err != nil {
		return err
	}
	v6 := pkt[0]>>4 == 6
	if v6 && g.Type == TCPv4 || !v6 && g.Type == TCPv6 {
		return ErrHeaders
	}
	rest := pkt[s.transport:]
	if g.Type == UDP {
		if len(rest) < udpSize {
			return ErrTruncated
		}
		s.header = s.transport + udpSize
	} else {
		if len(rest) < tcpSize {
			return ErrTruncated
		}
		size := int(rest[tcpOffset]>>4) * 4
		if size < tcpSize {
			return ErrHeaders
		}
		s.header = s.transport + size
	}
	if s.header > len(pkt) {
		return ErrTruncated
	}
	if payload := len(pkt) - s.header; payload > int(g.Size) {
		s.count = (payload + int(g.Size) - 1) / int(g.Size)
	}

	checksum := checkOffset(g.Type)
	var pseudo uint64
	if g.NeedsChecksum {
		if int(g.ChecksumStart) != s.transport || int(g.ChecksumOffset) != checksum {
			return ErrHeaders
		}
		// The sum of the pseudo-header is there, made with the length of the whole.
		// The kernel's own segmentation starts from it too, and it is right where
		// the addresses in the IP header are not the ones to sum (RFC 8200 section
		// 8.1: with a routing header it is the final destination).
		pseudo = without(uint64(binary.BigEndian.Uint16(rest[checksum:])), uint16(len(rest)))
	} else {
		addresses := pkt[ipv4Sources:ipv4Size]
		if v6 {
			addresses = pkt[ipv6Sources:ipv6Size]
		}
		pseudo = PseudoHeader(addresses, protocol, 0)
	}
	s.prepare(pseudo, v6)
	return nil
}

// prepare sums what all segments have in common.
func (s *Superpacket) prepare(pseudo uint64, v6 bool) {
	if !v6 {
		s.ipSum = Sum(s.pkt[:s.transport], 0)
		for _, at := range [...]int{ipv4Length, ipv4ID, ipv4Check} {
			s.ipSum = without(s.ipSum, binary.BigEndian.Uint16(s.pkt[at:]))
		}
	}
	header := s.pkt[s.transport:s.header]
	s.transportSum = Sum(header, pseudo)
	changing := []int{tcpSeq, tcpSeq + 2, tcpOffset, tcpCheck}
	if s.gso.Type == UDP {
		changing = []int{udpLength, udpCheck}
	}
	for _, at := range changing {
		s.transportSum = without(s.transportSum, binary.BigEndian.Uint16(header[at:]))
	}
}

// without takes a word out of a sum. RFC 1624 section 3
func without(sum uint64, word uint16) uint64 { return sum + uint64(^word) }

// transportOffset finds the TCP or UDP header of an unfragmented IP packet,
// behind IPv4 options or IPv6 extension headers.
func transportOffset(pkt []byte, protocol uint8) (int, error) {
	if len(pkt) < ipv4Size {
		return 0, ErrTruncated
	}
	switch pkt[0] >> 4 {
	case 4:
		at := int(pkt[0]&0x0f) * 4
		// The fragment offset and "more fragments", without DF and the reserved bit.
		fragment := binary.BigEndian.Uint16(pkt[ipv4Flags:]) & 0x3fff
		if at < ipv4Size || pkt[9] != protocol || fragment != 0 {
			return 0, ErrHeaders
		}
		return at, lengthBehind(pkt, at)
	case 6:
		if len(pkt) < ipv6Size {
			return 0, ErrTruncated
		}
		const hopByHop, routing, destination = 0, 43, 60
		at, next := ipv6Size, pkt[6]
		for next == hopByHop || next == routing || next == destination {
			if len(pkt) < at+2 {
				return 0, ErrTruncated
			}
			// RFC 8200 section 4.3: "length ... in 8-octet units, not including
			// the first 8 octets".
			next, at = pkt[at], at+8+int(pkt[at+1])*8
		}
		if next != protocol {
			return 0, ErrHeaders
		}
		return at, lengthBehind(pkt, at)
	}
	return 0, ErrHeaders
}

func lengthBehind(pkt []byte, at int) error {
	if at > len(pkt) {
		return ErrTruncated
	}
	return nil
}

// Count returns how many packets Segment makes of it: at least 1.
func (s *Superpacket) Count() int { return s.count }

// SegmentLen returns the length in bytes of packet i, which must be below Count.
func (s *Superpacket) SegmentLen(i int) int {
	if i < s.count-1 {
		return s.header + int(s.gso.Size)
	}
	return len(s.pkt) - i*int(s.gso.Size)
}

// Segment writes packet i, whole and with all its checksums, to the beginning
// of dst and returns its length. It panics unless i is below Count and dst has
// room for SegmentLen(i) bytes. It may be called in any order, dst must not
// overlap the packet given to Init.
func (s *Superpacket) Segment(i int, dst []byte) int {
	n := s.SegmentLen(i)
	dst = dst[:n]
	if s.gso.Type == None {
		if s.gso.NeedsChecksum {
			copyComplete(dst, s.pkt, int(s.gso.ChecksumStart), int(s.gso.ChecksumOffset))
		} else {
			copy(dst, s.pkt)
		}
		return n
	}
	copy(dst, s.pkt[:s.header])
	s.fixIP(i, dst)
	transport := dst[s.transport:]
	sum := s.transportSum + uint64(len(transport))
	if s.gso.Type == UDP {
		binary.BigEndian.PutUint16(transport[udpLength:], uint16(len(transport)))
		sum += uint64(len(transport))
	} else {
		sum += s.fixTCP(i, transport)
	}
	payload := s.header + i*int(s.gso.Size)
	c := ^Fold(copySum(dst[s.header:], s.pkt[payload:payload+n-s.header], sum))
	if c == 0 && s.gso.Type == UDP {
		c = 0xffff // RFC 768: "an all zero transmitted checksum value means that the transmitter generated no checksum"
	}
	binary.BigEndian.PutUint16(transport[checkOffset(s.gso.Type):], c)
	return n
}

// fixIP gives segment i its own length, identification and header checksum.
func (s *Superpacket) fixIP(i int, dst []byte) {
	if dst[0]>>4 == 6 {
		binary.BigEndian.PutUint16(dst[ipv6Length:], uint16(len(dst)-ipv6Size))
		return
	}
	id := binary.BigEndian.Uint16(dst[ipv4ID:]) + uint16(i)
	binary.BigEndian.PutUint16(dst[ipv4Length:], uint16(len(dst)))
	binary.BigEndian.PutUint16(dst[ipv4ID:], id)
	binary.BigEndian.PutUint16(dst[ipv4Check:], ^Fold(s.ipSum+uint64(len(dst))+uint64(id)))
}

// fixTCP gives segment i its own sequence number and flags, and returns their sum.
func (s *Superpacket) fixTCP(i int, tcp []byte) uint64 {
	seq := binary.BigEndian.Uint32(tcp[tcpSeq:]) + uint32(i)*uint32(s.gso.Size)
	binary.BigEndian.PutUint32(tcp[tcpSeq:], seq)
	if i > 0 {
		// RFC 3168 section 6.1.2: CWR answers once, on the first new data packet.
		tcp[tcpFlags] &^= flagCWR
	}
	if i < s.count-1 {
		tcp[tcpFlags] &^= flagFIN | flagPSH
	}
	return uint64(seq) + uint64(binary.BigEndian.Uint16(tcp[tcpOffset:]))
}

// copyComplete copies a single packet to dst, of the same length, and finishes its checksum: start and offset have been checked. The
// field already holds the sum of the pseudo-header.
func copyComplete(dst, pkt []byte, start, offset int) {
	copy(dst, pkt[:start])
	c := ^Fold(copySum(dst[start:], pkt[start:], 0))
	if c == 0 {
		c = 0xffff // the same number to TCP, and to UDP it must not be 0
	}
	binary.BigEndian.PutUint16(dst[start+offset:], c)
}

// checkOffset is where the checksum lies in the transport header of a superpacket.
func checkOffset(t Type) int {
	if t == UDP {
		return udpCheck
	}
	return tcpCheck
}

func putIPv4Checksum(header []byte) {
	header[ipv4Check], header[ipv4Check+1] = 0, 0
	binary.BigEndian.PutUint16(header[ipv4Check:], Checksum(header, 0))
}
