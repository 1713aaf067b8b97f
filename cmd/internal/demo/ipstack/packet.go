package ipstack

import (
	"encoding/binary"
	"net/netip"

	"vpn/tun/offload"
)

// Sizes in bytes and values of headers: RFC 791 and 768.
const (
	ipv4Size = 20
	udpSize  = 8

	udpProtocol  = 17
	hops         = 64
	dontFragment = 0x4000
)

// appendPacket appends a whole packet to b.
func appendPacket(b []byte, from, to netip.AddrPort, head, rest []byte) []byte {
	start, length := len(b), udpSize+len(head)+len(rest)
	b = append(b, 0x45, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(ipv4Size+length))
	b = append(b, 0, 0) // no fragments, no identification: RFC 6864
	b = binary.BigEndian.AppendUint16(b, dontFragment)
	b = append(b, hops, udpProtocol, 0, 0)
	b, _ = from.Addr().AppendBinary(b) // never fails
	b, _ = to.Addr().AppendBinary(b)
	header := b[start:]
	binary.BigEndian.PutUint16(header[10:], offload.Checksum(header, 0))
	pseudo := offload.PseudoHeader(header[12:], udpProtocol, length)
	transport := len(b)
	b = binary.BigEndian.AppendUint16(b, from.Port())
	b = binary.BigEndian.AppendUint16(b, to.Port())
	b = binary.BigEndian.AppendUint16(b, uint16(length))
	b = append(b, 0, 0)
	b = append(append(b, head...), rest...)
	sum := offload.Checksum(b[transport:], pseudo)
	if sum == 0 {
		sum = 0xffff // 0 stands for no checksum
	}
	binary.BigEndian.PutUint16(b[transport+6:], sum)
	return b
}

// parse returns what a packet is from, for, and about, if it is a whole UDP
// datagram with the right checksums. The payload lies in p.
func parse(p []byte) (from, to netip.AddrPort, payload []byte, ok bool) {
	addresses, payload, ok := parseIPv4(p)
	if !ok || len(payload) < udpSize {
		return from, to, nil, false
	}
	length := int(binary.BigEndian.Uint16(payload[4:]))
	if length < udpSize || length > len(payload) {
		return from, to, nil, false
	}
	payload = payload[:length]
	sent := binary.BigEndian.Uint16(payload[6:]) != 0
	if sent && offload.Checksum(payload, offload.PseudoHeader(addresses, udpProtocol, length)) != 0 {
		return from, to, nil, false
	}
	source, destination := netip.AddrFrom4([4]byte(addresses)), netip.AddrFrom4([4]byte(addresses[4:]))
	from = netip.AddrPortFrom(source, binary.BigEndian.Uint16(payload))
	to = netip.AddrPortFrom(destination, binary.BigEndian.Uint16(payload[2:]))
	return from, to, payload[udpSize:], true
}

// parseIPv4 returns both addresses and what follows the header.
func parseIPv4(p []byte) (addresses, payload []byte, ok bool) {
	if len(p) < ipv4Size || p[0]>>4 != 4 {
		return nil, nil, false
	}
	header, length := int(p[0]&0xf)*4, int(binary.BigEndian.Uint16(p[2:]))
	fragment := binary.BigEndian.Uint16(p[6:])&^dontFragment != 0
	if header < ipv4Size || length < header || length > len(p) || fragment || p[9] != udpProtocol {
		return nil, nil, false
	}
	return p[12:ipv4Size], p[header:length], offload.Checksum(p[:header], 0) == 0
}
