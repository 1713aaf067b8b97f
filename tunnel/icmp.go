package tunnel

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"time"

	"vpn/tun/offload"
)

// unreachableLimit bounds the ICMP errors that go back into the device, per second; bursts of as many are let through.
const unreachableLimit = 100

// tokenBucket lets limit events a second through. The zero value is full.
type tokenBucket struct {
	mu   sync.Mutex
	full time.Duration // when it is full again if nothing is taken
}

// allow takes a token, if there is one.
func (b *tokenBucket) allow(now time.Duration, limit int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	each := time.Second / time.Duration(limit)
	b.full = max(b.full, now) + each
	if b.full > now+time.Second {
		b.full -= each
		return false
	}
	return true
}

// unreachableQueueLen bounds the ICMP errors that wait for the device.
const unreachableQueueLen = 16

// unreachables are the ICMP errors on their way back into the device. They have a goroutine of their own, since who reads from a device can't
// always write to it: a stack that answers in the same breath waits for the reader.
type unreachables struct {
	limit tokenBucket
	queue chan []byte
}

// tellUnreachable tells the sender of a packet that nobody can take it: "host unreachable", or "address unreachable" for IPv6.
func (t *Tunnel) tellUnreachable(packet []byte, now time.Duration) {
	if !t.unreachable.limit.allow(now, unreachableLimit) {
		return
	}
	if b := unreachable(packet); b != nil {
		select {
		case t.unreachable.queue <- b:
		default:
		}
	}
}

// answerUnreachable writes ICMP errors into the device until the end.
func (t *Tunnel) answerUnreachable() {
	for {
		select {
		case <-t.stop:
			return
		case b := <-t.unreachable.queue:
			// The device may be gone or down; then there is nobody to tell.
			_, _ = t.queues[0].Write([][]byte{b})
		}
	}
}

// unreachable makes the ICMP error for a packet that has a whole IP header, or nil if none may be sent for it (RFC 1122, section 3.2.2;
// RFC 4443, section 2.4). It comes from the address that could not be reached: one of our own would be a martian to the host we
// are on.
func unreachable(packet []byte) []byte {
	src, dst, _ := addresses(packet)
	if !answerable(src) || dst.IsMulticast() {
		return nil
	}
	if src.Is4() {
		return unreachableIPv4(packet, src, dst)
	}
	return unreachableIPv6(packet, src, dst)
}

func answerable(src netip.Addr) bool {
	return !src.IsUnspecified() && !src.IsMulticast() && src != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

func unreachableIPv4(packet []byte, src, dst netip.Addr) []byte {
	const (
		icmpLen  = 8
		maxLen   = 576
		typeDest = 3
		codeHost = 1
	)
	header := int(packet[0]&0x0f) * 4
	if header < ipv4HeaderLen || len(packet) < header || dst == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return nil
	}
	if binary.BigEndian.Uint16(packet[6:])&0x1fff != 0 { // a later fragment
		return nil
	}
	if packet[9] == protocolICMP && (len(packet) == header || isICMPError(packet[header])) {
		return nil
	}
	packet = packet[:min(len(packet), maxLen-ipv4HeaderLen-icmpLen)]
	b := make([]byte, ipv4HeaderLen+icmpLen, maxLen)
	b[0], b[1], b[8], b[9] = 0x45, 0xc0, 64, protocolICMP // internetwork control, as routers send it
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)+len(packet)))
	copy(b[12:], dst.AsSlice())
	copy(b[16:], src.AsSlice())
	binary.BigEndian.PutUint16(b[10:], offload.Checksum(b[:ipv4HeaderLen], 0))
	b[ipv4HeaderLen], b[ipv4HeaderLen+1] = typeDest, codeHost
	b = append(b, packet...)
	binary.BigEndian.PutUint16(b[ipv4HeaderLen+2:], offload.Checksum(b[ipv4HeaderLen:], 0))
	return b
}

// isICMPError reports whether an ICMP type is an error, for which no error is ever sent.
func isICMPError(kind byte) bool {
	switch kind {
	case 0, 8, 9, 10, 13, 14, 15, 16, 17, 18, 42, 43: // echo, router discovery, timestamp, information, address mask, extended echo
		return false
	}
	return true
}

func unreachableIPv6(packet []byte, src, dst netip.Addr) []byte {
	const (
		icmpLen     = 8
		maxLen      = 1280
		typeDest    = 1
		codeAddress = 3
		fragment    = 44
	)
	switch packet[6] {
	case 0, 43, 50, 51, 60, 135, 139, 140:
		return nil // behind an extension header there may be an error
	case protocolICMPv6:
		if len(packet) == ipv6HeaderLen || packet[ipv6HeaderLen] < 128 { // errors have the high bit clear
			return nil
		}
	case fragment:
		if len(packet) < ipv6HeaderLen+8 || binary.BigEndian.Uint16(packet[ipv6HeaderLen+2:])&^7 != 0 {
			return nil
		}
	}
	packet = packet[:min(len(packet), maxLen-ipv6HeaderLen-icmpLen)]
	b := make([]byte, ipv6HeaderLen+icmpLen, maxLen)
	b[0], b[6], b[7] = 0x60, protocolICMPv6, 64
	n := icmpLen + len(packet)
	binary.BigEndian.PutUint16(b[4:], uint16(n))
	copy(b[8:], dst.AsSlice())
	copy(b[24:], src.AsSlice())
	b[ipv6HeaderLen], b[ipv6HeaderLen+1] = typeDest, codeAddress
	b = append(b, packet...)
	pseudo := offload.PseudoHeader(b[8:40], protocolICMPv6, n)
	binary.BigEndian.PutUint16(b[ipv6HeaderLen+2:], offload.Checksum(b[ipv6HeaderLen:], pseudo))
	return b
}
