package offload

import (
	"encoding/binary"
	"math/rand/v2"
)

// spec says what a packet is to be. The tests' expectations are made from specs,
// never by reading packets, and share no code with what they test.
type spec struct {
	v6            bool
	protocol      byte // 6, 17 or another
	host          byte // the flow: in all addresses and ports
	tos, ttl      byte
	label         uint32
	df, mf        bool
	offset, id    uint16
	ipOptions     []byte // IPv4
	extension     []byte // IPv6: one destination options header
	seq, ack      uint32
	flags         byte
	window, urg   uint16
	options       []byte // TCP
	payload       []byte
	noChecksum    bool // UDP
	damaged       bool // the transport checksum is wrong
	damagedHeader bool // IPv4's is
}

func naiveSum(b []byte) uint32 {
	var sum uint32
	for i, v := range b {
		if i%2 == 0 {
			sum += uint32(v) << 8
		} else {
			sum += uint32(v)
		}
		sum = sum>>16 + sum&0xffff
	}
	return sum
}

func naiveFold(sum uint32) uint16 {
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

func (s *spec) addresses() []byte {
	size := 4
	if s.v6 {
		size = 16
	}
	a := make([]byte, 2*size)
	a[0], a[size] = 10, 10
	a[size-1], a[2*size-1] = s.host, s.host+100
	return a
}

func (s *spec) transport() []byte {
	var b []byte
	check := 16
	switch s.protocol {
	case 6:
		b = make([]byte, 20)
		binary.BigEndian.PutUint32(b[4:], s.seq)
		binary.BigEndian.PutUint32(b[8:], s.ack)
		b[12] = byte(5+len(s.options)/4) << 4
		b[13] = s.flags
		binary.BigEndian.PutUint16(b[14:], s.window)
		binary.BigEndian.PutUint16(b[18:], s.urg)
		b = append(b, s.options...)
	case 17:
		b = make([]byte, 8)
		binary.BigEndian.PutUint16(b[4:], uint16(8+len(s.payload)))
		check = 6
	default:
		return s.payload
	}
	binary.BigEndian.PutUint16(b, 1000+uint16(s.host))
	binary.BigEndian.PutUint16(b[2:], 2000+uint16(s.host))
	b = append(b, s.payload...)
	if s.protocol == 17 && s.noChecksum {
		return b
	}
	c := ^naiveFold(s.pseudo(len(b)) + naiveSum(b))
	if c == 0 && s.protocol == 17 {
		c = 0xffff
	}
	if s.damaged {
		c ^= 0x0100
	}
	binary.BigEndian.PutUint16(b[check:], c)
	return b
}

func (s *spec) pseudo(length int) uint32 {
	return naiveSum(s.addresses()) + uint32(s.protocol) + uint32(length)
}

// bytes serializes the packet.
func (s *spec) bytes() []byte {
	t := s.transport()
	if s.v6 {
		b := make([]byte, 8, 40)
		binary.BigEndian.PutUint32(b, 6<<28|uint32(s.tos)<<20|s.label)
		binary.BigEndian.PutUint16(b[4:], uint16(len(s.extension)+len(t)))
		b[6], b[7] = s.protocol, s.ttl
		b = append(b, s.addresses()...)
		if s.extension != nil {
			b[6] = 60
			b = append(b, s.extension...)
			b[40] = s.protocol
		}
		return append(b, t...)
	}
	b := make([]byte, 12)
	b[0], b[1] = 0x45+byte(len(s.ipOptions)/4), s.tos
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(s.ipOptions)+len(t)))
	binary.BigEndian.PutUint16(b[4:], s.id)
	word := s.offset
	if s.df {
		word |= 0x4000
	}
	if s.mf {
		word |= 0x2000
	}
	binary.BigEndian.PutUint16(b[6:], word)
	b[8], b[9] = s.ttl, s.protocol
	b = append(append(b, s.addresses()...), s.ipOptions...)
	c := ^naiveFold(naiveSum(b))
	if s.damagedHeader {
		c ^= 0x0100
	}
	binary.BigEndian.PutUint16(b[10:], c)
	return append(b, t...)
}

func (s *spec) transportAt() int {
	if s.v6 {
		return 40 + len(s.extension)
	}
	return 20 + len(s.ipOptions)
}

func (s *spec) headerSize() int {
	if s.protocol == 6 {
		return s.transportAt() + 20 + len(s.options)
	}
	return s.transportAt() + 8
}

func (s *spec) checksumOffset() int {
	if s.protocol == 6 {
		return 16
	}
	return 6
}

func (s *spec) kind() Type {
	switch {
	case s.protocol == 17:
		return UDP
	case s.v6:
		return TCPv6
	}
	return TCPv4
}

// super serializes s as the kernel hands out a superpacket, with segments of size
// bytes of payload: the checksum is that of the pseudo-header.
func (s *spec) super(size int) ([]byte, GSO) {
	b := s.bytes()
	at := s.transportAt()
	binary.BigEndian.PutUint16(b[at+s.checksumOffset():], naiveFold(s.pseudo(len(b)-at)))
	return b, GSO{
		Type: s.kind(), NeedsChecksum: true, Size: uint16(size), HeaderLen: uint16(s.headerSize()),
		ChecksumStart: uint16(at), ChecksumOffset: uint16(s.checksumOffset()), ECN: s.flags&0x80 != 0,
	}
}

// split makes the specs of the segments that a superpacket s stands for.
func (s *spec) split(size int) []spec {
	var out []spec
	for from := 0; from == 0 || from < len(s.payload); from += size {
		to := min(from+size, len(s.payload))
		part := *s
		part.payload = s.payload[from:to]
		part.seq = s.seq + uint32(from)
		part.id = s.id + uint16(len(out))
		if from > 0 {
			part.flags &^= 0x80
		}
		if to < len(s.payload) {
			part.flags &^= 0x09
		}
		out = append(out, part)
	}
	return out
}

func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// randomSpec is a packet without payload that is as ordinary as they come.
func randomSpec(r *rand.Rand) spec {
	s := spec{
		v6: r.IntN(2) == 0, protocol: 6, host: byte(r.IntN(200)), tos: byte(r.Uint32()), ttl: byte(1 + r.IntN(255)),
		id: uint16(r.Uint32()), df: r.IntN(2) == 0, seq: r.Uint32(), ack: r.Uint32(), flags: 0x10, window: uint16(r.Uint32()),
	}
	if s.v6 {
		s.label = r.Uint32() & 0xfffff
	}
	if r.IntN(3) == 0 {
		s.protocol = 17
	} else if r.IntN(2) == 0 {
		s.options = randomBytes(r, 4*r.IntN(11))
	}
	return s
}
