package tunnel

import "encoding/binary"

// The two ECN bits of the IPv4 TOS and IPv6 traffic class bytes (RFC 3168).
const (
	ecnMask = 0b11
	ecnNot  = 0b00
	ecnECT0 = 0b10
	ecnCE   = 0b11
)

// dscpAF41 marks handshake messages, as the kernel module does, so that they get through where data queues.
const dscpAF41 = 0x88

// trafficClass returns an inner packet's TOS or traffic class byte. b has a whole IP header.
func trafficClass(b []byte) byte {
	if b[0]>>4 == 4 {
		return b[1]
	}
	return b[0]<<4 | b[1]>>4
}

// outerTOS is what a data message carries for an inner packet with the given traffic class: its ECN bits and no DSCP. A packet that was
// marked before it entered the tunnel keeps its mark inside; outside, marking starts anew.
func outerTOS(class byte) byte {
	ecn := class & ecnMask
	if ecn == ecnCE {
		return ecnECT0
	}
	return ecn
}

// markCongestion carries an outer CE mark over to the inner packet, which has a whole IP header. It reports false if the packet can't
// carry one and has to be dropped (RFC 6040, section 4.2).
func markCongestion(b []byte) bool {
	switch trafficClass(b) & ecnMask {
	case ecnNot:
		return false
	case ecnCE:
		return true
	}
	if b[0]>>4 == 6 {
		b[1] |= ecnCE << 4
		return true
	}
	// RFC 1624, equation 3: HC' = ~(~HC + ~m + m'), m the 16-bit word that changes.
	before := uint32(binary.BigEndian.Uint16(b))
	b[1] |= ecnCE
	after := uint32(binary.BigEndian.Uint16(b))
	sum := uint32(^binary.BigEndian.Uint16(b[10:])) + (before ^ 0xffff) + after
	sum = sum&0xffff + sum>>16
	sum = sum&0xffff + sum>>16
	binary.BigEndian.PutUint16(b[10:], ^uint16(sum))
	return true
}
