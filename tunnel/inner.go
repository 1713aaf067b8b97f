package tunnel

import (
	"encoding/binary"
	"net/netip"

	"vpn/noise/wire"
)

// Header facts of RFC 791, RFC 8200 and RFC 768.
const (
	ipv4HeaderLen = 20
	ipv6HeaderLen = 40
	udpHeaderLen  = 8

	protocolICMP   = 1
	protocolUDP    = 17
	protocolICMPv6 = 58
)

// ipVersion returns 4 or 6 if b holds at least a whole header of that version, else 0.
func ipVersion(b []byte) int {
	switch {
	case len(b) >= ipv4HeaderLen && b[0]>>4 == 4:
		return 4
	case len(b) >= ipv6HeaderLen && b[0]>>4 == 6:
		return 6
	}
	return 0
}

// addresses returns an inner packet's source and destination; ok is false if it has no whole IP header.
func addresses(b []byte) (src, dst netip.Addr, ok bool) {
	switch ipVersion(b) {
	case 4:
		return netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20])), true
	case 6:
		return netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40])), true
	}
	return src, dst, false
}

// trim cuts a decrypted packet to the length its IP header gives, dropping the padding. ok is false unless
// header <= IP length <= plaintext. Lengths are computed in ints: 40 plus an IPv6 payload length may exceed 16 bits.
func trim(b []byte) (packet []byte, ok bool) {
	var n int
	switch ipVersion(b) {
	case 4:
		n = int(binary.BigEndian.Uint16(b[2:]))
		header := int(b[0]&0x0f) * 4
		if header < ipv4HeaderLen || n < header {
			return nil, false
		}
	case 6:
		n = ipv6HeaderLen + int(binary.BigEndian.Uint16(b[4:]))
	default:
		return nil, false
	}
	if n > len(b) {
		return nil, false
	}
	return b[:n], true
}

// paddedLen is the length of the plaintext that carries n bytes of packet.
//
// Packets are padded with zeros to a multiple of 16 bytes (section 5.4.6), but never past the MTU, which would make the largest message
// too large for the path. A packet longer than the MTU (it shrank just now) is padded as its last MTU-sized part would be.
func paddedLen(n, mtu int) int {
	last := n
	if mtu > 0 && n > mtu {
		last = n % mtu
	}
	padded := (last + 15) &^ 15
	if mtu > 0 {
		padded = min(padded, mtu)
	}
	return n - last + padded
}

// innerUDP returns the time-to-live and the UDP header with what follows of a packet which has a whole IP header; ok is false if there is
// no UDP header directly behind the IP header.
func innerUDP(b []byte) (ttl byte, datagram []byte, ok bool) {
	if b[0]>>4 == 4 {
		header := int(b[0]&0x0f) * 4
		if b[9] != protocolUDP || header < ipv4HeaderLen || len(b) < header || binary.BigEndian.Uint16(b[6:])&0x1fff != 0 {
			return 0, nil, false
		}
		ttl, datagram = b[8], b[header:]
	} else {
		if b[6] != protocolUDP {
			return 0, nil, false
		}
		ttl, datagram = b[7], b[ipv6HeaderLen:]
	}
	return ttl, datagram, len(datagram) >= udpHeaderLen
}

// isDataMessage reports whether a UDP datagram looks like a data message, as in a tunnel through a tunnel.
func isDataMessage(datagram []byte) bool {
	t, ok := wire.Classify(datagram[udpHeaderLen:])
	return ok && t == wire.TypeData
}

// Every tunnel that a message is nested in takes nestedTTLStep from the outer time-to-live. A message that a routing loop
// feeds back into the tunnel is dropped after a few rounds, long before fragments of it would double at each; a tunnel through a tunnel
// through a tunnel still reaches across the Internet.
const (
	outerTTL      = 64
	nestedTTLStep = 8
)

// nestedTTL is the outer time-to-live for a data message that was read with ttl; 0 means that it was nested too often.
func nestedTTL(ttl byte) byte {
	ttl = min(ttl, outerTTL)
	if ttl <= nestedTTLStep {
		return 0
	}
	return ttl - nestedTTLStep
}
