package udp

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// control is what control messages say of a datagram that was received.
type control struct {
	source  netip.Addr // local address; invalid if unknown or not one to send from
	iface   uint32
	segment int // size of the coalesced datagrams, or 0
	tos     byte
}

const (
	controlHeader = unix.SizeofCmsghdr
	wordSize      = unsafe.Sizeof(uintptr(0))
)

// align rounds up to where the next control message begins.
func align(n int) int { return (n + int(wordSize) - 1) &^ (int(wordSize) - 1) }

// parseControl reads the control messages of one datagram. It reports false,
// with what it has read until then, if they are not well formed. Messages of
// other kinds are passed over.
func parseControl(b []byte) (c control, ok bool) {
	for len(b) > 0 {
		if len(b) < controlHeader {
			return c, false
		}
		var h unix.Cmsghdr
		copy(unsafe.Slice((*byte)(unsafe.Pointer(&h)), controlHeader), b)
		n := int(h.Len) // negative if it is more than an int holds
		if n < controlHeader || n > len(b) {
			return c, false
		}
		c.take(h.Level, h.Type, b[controlHeader:n])
		b = b[min(align(n), len(b)):]
	}
	return c, true
}

// take reads one control message. One that is too short says nothing.
func (c *control) take(level, kind int32, data []byte) {
	switch {
	case level == unix.IPPROTO_IP && kind == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
		// struct in_pktinfo: interface, local address, destination in the header.
		c.iface = binary.NativeEndian.Uint32(data)
		c.source = sendable(netip.AddrFrom4([4]byte(data[4:8])))
	case level == unix.IPPROTO_IPV6 && kind == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
		// struct in6_pktinfo: destination in the header, interface.
		c.source = sendable(netip.AddrFrom16([16]byte(data[:16])))
		c.iface = binary.NativeEndian.Uint32(data[16:])
	case level == unix.IPPROTO_IP && kind == unix.IP_TOS && len(data) >= 1:
		c.tos = data[0]
	case level == unix.IPPROTO_IPV6 && kind == unix.IPV6_TCLASS && len(data) >= 4:
		c.tos = byte(binary.NativeEndian.Uint32(data))
	case level == unix.SOL_UDP && kind == unix.UDP_GRO && len(data) >= 4:
		c.segment = max(int(int32(binary.NativeEndian.Uint32(data))), 0)
	}
}

// sendable is a, or no address if a datagram cannot be sent from a.
func sendable(a netip.Addr) netip.Addr {
	if a.IsUnspecified() || a.IsMulticast() || a.Is4In6() {
		return netip.Addr{}
	}
	return a
}

// controlRoom is for the control messages of one datagram to send: packet
// information, traffic class, hop limit, segment size.
const controlRoom = 128

// controlWords is that room, aligned as struct cmsghdr must be.
type controlWords [controlRoom / wordSize]uintptr

func bytesOf(w *controlWords) *[controlRoom]byte { return (*[controlRoom]byte)(unsafe.Pointer(w)) }

// controlWriter lays out control messages, one behind the other.
type controlWriter struct {
	buf *[controlRoom]byte // of controlWords
	n   int
}

// message begins a control message and returns where its data goes.
func (w *controlWriter) message(level, kind int32, size int) []byte {
	h := (*unix.Cmsghdr)(unsafe.Pointer(&w.buf[w.n]))
	h.Level, h.Type = level, kind
	h.SetLen(controlHeader + size)
	data := w.buf[w.n+controlHeader : w.n+controlHeader+size]
	w.n += align(controlHeader + size)
	return data
}

func (w *controlWriter) int(level, kind int32, v int) {
	binary.NativeEndian.PutUint32(w.message(level, kind, 4), uint32(v))
}

func (w *controlWriter) segment(size int) {
	binary.NativeEndian.PutUint16(w.message(unix.SOL_UDP, unix.UDP_SEGMENT, 2), uint16(size))
}

// source asks for a source address. The interface is named only where the
// address alone says nothing about the way out; zero leaves it to the route.
func (w *controlWriter) source(e *Endpoint) {
	if e.Source.Is4() {
		data := w.message(unix.IPPROTO_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo)
		clear(data)
		a := e.Source.As4()
		copy(data[4:8], a[:])
		return
	}
	data := w.message(unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, unix.SizeofInet6Pktinfo)
	a := e.Source.As16()
	copy(data, a[:])
	var iface uint32
	if e.Source.IsLinkLocalUnicast() {
		iface = e.Interface
	}
	binary.NativeEndian.PutUint32(data[16:], iface)
}
