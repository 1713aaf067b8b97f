package udp

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// maxRefusals is how many are read from the error queue at a time, and maxQuoted how much of each datagram is of interest.
	maxRefusals = 32
	maxQuoted   = 64
)

func (s *socket) watch(f func(Refusal)) { s.watcher.Store(&f) }

// drain empties the error queue of a socket (ip(7), IP_RECVERR), and returns how many refusals lay there. The queue counts against the
// receive buffer, so it has to be emptied whoever listens.
func (s *socket) drain(fd uintptr) (n int) {
	f := s.watcher.Load()
	for ; n < maxRefusals; n++ {
		r, ok := s.refusal(fd)
		if !ok {
			break
		}
		if f != nil && r.To.IsValid() {
			(*f)(r)
		}
	}
	return n
}

// refusal takes one from the error queue.
func (s *socket) refusal(fd uintptr) (r Refusal, ok bool) {
	var name unix.RawSockaddrInet6
	var control [receiveControlRoom]byte
	quoted := make([]byte, maxQuoted)
	iov := unix.Iovec{Base: &quoted[0]}
	iov.SetLen(len(quoted))
	h := unix.Msghdr{Name: (*byte)(unsafe.Pointer(&name)), Namelen: uint32(unsafe.Sizeof(name)), Iov: &iov, Control: &control[0]}
	h.SetIovlen(1)
	h.SetControllen(len(control))
	n, _, errno := unix.Syscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&h)), unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
	if errno != 0 {
		return r, false
	}
	r.Quoted = quoted[:min(int(n), len(quoted))]
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&name.Port))[:])
	switch name.Family {
	case unix.AF_INET:
		r.To = netip.AddrPortFrom(netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(&name)).Addr), port)
	case unix.AF_INET6:
		a := netip.AddrFrom16(name.Addr)
		if name.Scope_id != 0 {
			a = a.WithZone(strconv.FormatUint(uint64(name.Scope_id), 10))
		}
		r.To = netip.AddrPortFrom(a, port)
	}
	messages, err := unix.ParseSocketControlMessage(control[:min(int(h.Controllen), len(control))])
	if err != nil {
		return Refusal{}, true
	}
	for i := range messages {
		m := &messages[i]
		if m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_RECVERR || m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_RECVERR {
			r.extended(m.Data)
			return r, true
		}
	}
	return Refusal{}, true
}

// extended reads struct sock_extended_err, behind which the address of who sent the error lies.
func (r *Refusal) extended(b []byte) {
	const size = 16
	if len(b) < size {
		return
	}
	r.Errno = syscall.Errno(binary.NativeEndian.Uint32(b))
	info := binary.NativeEndian.Uint32(b[8:])
	switch origin := b[4]; origin {
	case unix.SO_EE_ORIGIN_ICMP:
		r.ICMP, r.Type, r.Code = 4, b[5], b[6]
	case unix.SO_EE_ORIGIN_ICMP6:
		r.ICMP, r.Type, r.Code = 6, b[5], b[6]
	}
	if r.Errno == unix.EMSGSIZE {
		r.MTU = info
	}
	offender := b[size:]
	switch {
	case len(offender) >= unix.SizeofSockaddrInet4 && binary.NativeEndian.Uint16(offender) == unix.AF_INET:
		r.From = netip.AddrFrom4([4]byte(offender[4:8]))
	case len(offender) >= unix.SizeofSockaddrInet6 && binary.NativeEndian.Uint16(offender) == unix.AF_INET6:
		r.From = netip.AddrFrom16([16]byte(offender[8:24])).Unmap()
	}
}

// reported says whether an error of a system call may be an ICMP error's, which the kernel hands to whoever uses the socket next: then
// it says nothing about that datagram.
func reported(errno unix.Errno) bool {
	switch errno {
	case unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EPROTO, unix.EMSGSIZE, unix.ENOPROTOOPT, unix.EHOSTDOWN, unix.ENONET,
		unix.EOPNOTSUPP, unix.EACCES:
		return true
	}
	return false
}
