package sim

import (
	"encoding/binary"
	"net/netip"

	"vpn/tun"
	"vpn/tun/offload"
)

// Headers of the packets that nodes are given (RFC 791, RFC 8200, RFC 9293, RFC 768).
const (
	ipv4Len, ipv6Len, tcpLen, udpLen = 20, 40, 20, 8
	tcp, udpProtocol                 = 6, 17
	experimental                     = 253 // RFC 3692: a protocol that nobody knows
	tcpACK, tcpPSH                   = 0x10, 0x08
	tcpCheck, udpCheck               = 16, 6
	numberLen                        = 8 // of what a packet carries first: its number
)

// ip makes a packet of a protocol, with an empty payload of n bytes, which begins at the offset that is returned.
func ip(source, destination netip.Addr, protocol byte, id, n int) (b []byte, payload int) {
	if source.Is4() {
		b = make([]byte, ipv4Len+n)
		b[0], b[8], b[9] = 0x45, 64, protocol
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
		binary.BigEndian.PutUint16(b[4:], uint16(id))
		copy(b[12:], source.AsSlice())
		copy(b[16:], destination.AsSlice())
		binary.BigEndian.PutUint16(b[10:], ^sum(b[:ipv4Len]))
		return b, ipv4Len
	}
	b = make([]byte, ipv6Len+n)
	b[0], b[6], b[7] = 0x60, protocol, 64
	binary.BigEndian.PutUint16(b[4:], uint16(n))
	copy(b[8:], source.AsSlice())
	copy(b[24:], destination.AsSlice())
	return b, ipv6Len
}

// sum is the Internet checksum, not complemented, word by word.
func sum(parts ...[]byte) uint16 {
	s := uint32(0)
	for _, b := range parts {
		for i := 0; i < len(b); i += 2 {
			word := uint32(b[i]) << 8
			if i+1 < len(b) {
				word |= uint32(b[i+1])
			}
			s += word
		}
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

// pseudoHeader is what a transport's checksum covers first.
func pseudoHeader(source, destination netip.Addr, protocol byte, n int) []byte {
	b := append(source.AsSlice(), destination.AsSlice()...)
	return append(b, 0, protocol, byte(n>>8), byte(n))
}

// putTransport writes the header of a segment whose payload begins at an offset of its flow. The checksum is zero yet.
func putTransport(b []byte, protocol byte, offset int, last bool) {
	binary.BigEndian.PutUint16(b, 1000)
	binary.BigEndian.PutUint16(b[2:], 2000)
	if protocol == udpProtocol {
		binary.BigEndian.PutUint16(b[4:], uint16(len(b)))
		return
	}
	binary.BigEndian.PutUint32(b[4:], uint32(offset))
	b[12], b[13] = tcpLen/4<<4, tcpACK
	if last {
		b[13] |= tcpPSH
	}
	b[14], b[15] = 0xff, 0xff // window
}

// numberOf is the number of a packet that the referee knows.
func numberOf(p []byte) (number int, ok bool) {
	at, protocol := ipv4Len, byte(0)
	switch {
	case len(p) >= ipv6Len && p[0]>>4 == 6:
		at, protocol = ipv6Len, p[6]
	case len(p) >= ipv4Len:
		protocol = p[9]
	}
	switch protocol {
	case experimental:
	case tcp:
		at += tcpLen
	case udpProtocol:
		at += udpLen
	default:
		return 0, false
	}
	if len(p) < at+numberLen {
		return 0, false
	}
	return int(binary.BigEndian.Uint64(p[at:])), true
}

// packet makes a packet that the referee knows, from one of the sender's addresses.
func (w *world) packet(from, to int) []byte { return w.packetOf(from, to, w.anInner(from)) }

// packetOf makes one from any source.
func (w *world) packetOf(from, to int, source netip.Addr) []byte {
	destination := innerOf(to, familyOf(source))
	b, at := ip(source, destination, experimental, 0, numberLen+w.random.IntN(100))
	w.fill(b[at:])
	w.known(from, source, destination, b)
	return b
}

// fill writes a payload: the number that the next packet will be known by, noise, and a few zeros.
func (w *world) fill(b []byte) {
	binary.BigEndian.PutUint64(b, uint64(len(w.referee.payloads)))
	for b = b[numberLen:]; len(b) >= 8; b = b[8:] {
		binary.LittleEndian.PutUint64(b, w.random.Uint64())
	}
}

// known tells the referee of a packet. Whose the destination is decides the sender's configuration.
func (w *world) known(from int, source, destination netip.Addr, b []byte) {
	owner, ok := w.nodes[from].owner[destination]
	if !ok {
		owner = nobody
	}
	w.referee.payloads = append(w.referee.payloads, payload{from: from, to: owner, source: source, data: b})
}

// nobody is who owns an address that a node was told nothing of.
const nobody = -1

// A superpacket is one packet for a device that stands for many, and what those look like.
type superpacket struct {
	whole    tun.Packet
	segments [][]byte
}

// superpacket makes one of TCP or UDP. Each of its segments is made as a host without segmentation offload would, and is known to the referee.
func (w *world) superpacket(from, to int) (s superpacket) {
	source := w.anInner(from)
	destination := innerOf(to, familyOf(source))
	g := offload.GSO{Type: offload.UDP, NeedsChecksum: true, Size: uint16(numberLen + w.random.IntN(pick(w, 60, 1350))), ChecksumOffset: udpCheck}
	protocol, header := byte(udpProtocol), udpLen
	if w.chance(0.5) {
		protocol, header, g.ChecksumOffset = tcp, tcpLen, tcpCheck
		g.Type = []offload.Type{v4: offload.TCPv4, v6: offload.TCPv6}[familyOf(source)]
	}
	n, id := 2+w.random.IntN(pick(w, 4, 4, 4, 40)), w.random.IntN(1<<16)
	var payloads []byte
	for i := range n {
		size := int(g.Size)
		if i == n-1 {
			size = numberLen + w.random.IntN(size-numberLen+1)
		}
		b, at := ip(source, destination, protocol, id+i, header+size)
		transport := b[at:]
		w.fill(transport[header:])
		payloads = append(payloads, transport[header:]...)
		putTransport(transport, protocol, len(payloads)-size, i == n-1)
		check := ^sum(pseudoHeader(source, destination, protocol, len(transport)), transport)
		if check == 0 && protocol == udpProtocol {
			check = 0xffff
		}
		binary.BigEndian.PutUint16(transport[g.ChecksumOffset:], check)
		w.known(from, source, destination, b)
		w.referee.payloads[len(w.referee.payloads)-1].segment = true
		s.segments = append(s.segments, b)
	}
	b, at := ip(source, destination, protocol, id, header+len(payloads))
	putTransport(b[at:], protocol, 0, true)
	binary.BigEndian.PutUint16(b[at+int(g.ChecksumOffset):], sum(pseudoHeader(source, destination, protocol, header+len(payloads))))
	copy(b[at+header:], payloads)
	g.HeaderLen, g.ChecksumStart = uint16(at+header), uint16(at)
	s.whole = tun.Packet{Data: b, GSO: g}
	return s
}
