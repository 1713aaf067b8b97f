package udp

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// receiveControlRoom is for the control messages that the options of a socket
// ask for, three times over.
const receiveControlRoom = 256

// reader is what a batch needs to be read into, made once.
type reader struct {
	fill     func(fd uintptr) bool // for RawConn.Read
	socket   *socket               // that is read from
	failures int                   // in a row

	header  unix.Msghdr
	iov     unix.Iovec
	name    unix.RawSockaddrInet6 // or an Inet4, which is shorter
	control [receiveControlRoom]byte

	// The zone of the last link-local sender: making one allocates.
	scope uint32
	zone  string
}

func (r *reader) init(b *Batch) {
	r.fill = func(fd uintptr) bool { return r.fillFrom(fd, b) }
	r.header.Name = (*byte)(unsafe.Pointer(&r.name))
	r.header.Iov = &r.iov
	r.header.SetIovlen(1)
	r.header.Control = &r.control[0]
}

func (s *socket) Receive(b *Batch) error {
	b.Reset()
	r := &b.reader
	r.socket, r.failures = s, 0
	for {
		// Only a closed socket makes Read itself fail.
		if err := s.raw.Read(r.fill); err != nil {
			return net.ErrClosed
		}
		if len(b.Messages) > 0 {
			return nil
		}
		select {
		case <-time.After(pause(r.failures)):
		case <-s.closed:
			return net.ErrClosed
		}
	}
}

// fillFrom reads until the batch is full or there is no more. It reports false
// when there is nothing yet and the poller shall wait. It gives up, with an
// empty batch, after an error: whether there is more to read is then unknown
// and the poller may never say.
func (r *reader) fillFrom(fd uintptr, b *Batch) bool {
	for !b.Full() {
		n, errno := r.read(fd, b.Room())
		switch errno {
		case 0:
			r.failures = 0
			r.take(n, b)
		case unix.EINTR:
		case unix.EAGAIN:
			return len(b.Messages) > 0
		default:
			if reported(errno) && r.socket.drain(fd) > 0 {
				continue // which says nothing about what is to be read
			}
			r.socket.errors.Add(1)
			r.failures++
			return true
		}
	}
	return true
}

func (r *reader) read(fd uintptr, room []byte) (int, unix.Errno) {
	r.header.Namelen = uint32(unsafe.Sizeof(r.name))
	r.header.SetControllen(len(r.control))
	r.header.Flags = 0
	r.iov.Base = &room[0]
	r.iov.SetLen(len(room))
	// Raw, as in sender.try: the call never blocks.
	n, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&r.header)), unix.MSG_DONTWAIT)
	return int(n), errno
}

// take makes a message of what was read.
func (r *reader) take(n int, b *Batch) {
	const cut = unix.MSG_TRUNC | unix.MSG_CTRUNC
	c, whole := parseControl(r.control[:min(int(r.header.Controllen), len(r.control))])
	from, known := r.from()
	if !whole || !known || r.header.Flags&cut != 0 {
		r.socket.malformed.Add(1)
		return
	}
	b.Add(n, c.segment, Endpoint{Addr: from, Source: c.source, Interface: c.iface}, c.tos)
}

// from is the sender's address.
func (r *reader) from() (netip.AddrPort, bool) {
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&r.name.Port))[:])
	switch {
	case r.name.Family == unix.AF_INET && r.header.Namelen >= unix.SizeofSockaddrInet4:
		name := (*unix.RawSockaddrInet4)(unsafe.Pointer(&r.name))
		return netip.AddrPortFrom(netip.AddrFrom4(name.Addr), port), true
	case r.name.Family == unix.AF_INET6 && r.header.Namelen >= unix.SizeofSockaddrInet6:
		a := netip.AddrFrom16(r.name.Addr)
		if r.name.Scope_id != 0 {
			a = a.WithZone(r.zoneOf(r.name.Scope_id))
		}
		return netip.AddrPortFrom(a, port), !a.Is4In6()
	}
	return netip.AddrPort{}, false
}

func (r *reader) zoneOf(scope uint32) string {
	if scope != r.scope {
		r.scope, r.zone = scope, strconv.FormatUint(uint64(scope), 10)
	}
	return r.zone
}
