package udp

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// maxHeaders is the most sends that one sendmmsg is asked for.
	maxHeaders = 64

	// fewSegments is what every kernel with UDP_SEGMENT takes in one send.
	fewSegments = 64

	// maxReports bounds how often a Send tries again since an ICMP error came in its way.
	maxReports = 8
)

// header is struct mmsghdr.
type header struct {
	unix.Msghdr
	_ uint32 // msg_len: a datagram goes out whole or not at all
}

// end is where a send ends, in the messages that Send was given.
type end struct {
	message   int // whose data it is
	offset    int // in that data
	segmented int // datagrams in the send if it is a segmented one, else 0
}

// sender is what one Send needs, made once and used again.
type sender struct {
	socket *socket

	messages []Outgoing
	at       end       // what has gone out
	segments int       // most in one segmented send
	refused  *Endpoint // whose source address is not to be used

	n        int // headers in use
	headers  [maxHeaders]header
	iovs     [maxHeaders]unix.Iovec
	names    [maxHeaders]unix.RawSockaddrInet6
	controls [maxHeaders]controlWords
	ends     [maxHeaders]end

	try   func(fd uintptr)      // for RawConn.Control
	wait  func(fd uintptr) bool // for RawConn.Write
	sent  int                   // by the last try
	errno unix.Errno            // of the last try

	reports int // ICMP errors that a Send has met
}

func newSender(s *socket) *sender {
	w := &sender{socket: s}
	for i := range w.headers {
		h := &w.headers[i]
		h.Name = (*byte)(unsafe.Pointer(&w.names[i]))
		h.Iov = &w.iovs[i]
		h.SetIovlen(1)
		h.Control = (*byte)(unsafe.Pointer(&w.controls[i]))
	}
	w.try = func(fd uintptr) {
		for {
			// Raw: the call never blocks, but it is long enough for the runtime's watchdog to take the processor away and hand
			// it to another thread, which costs two switches and keeps the watchdog awake.
			n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&w.headers)), uintptr(w.n), unix.MSG_DONTWAIT, 0, 0)
			if reported(errno) && w.reports < maxReports && s.drain(fd) > 0 {
				w.reports++
				continue // it was for a datagram before this one; if not, it comes again
			}
			if errno != unix.EINTR {
				w.sent, w.errno = int(n), errno
				return
			}
		}
	}
	w.wait = func(fd uintptr) bool {
		w.try(fd)
		return w.errno != unix.EAGAIN
	}
	return w
}

// sender takes an idle sender or makes one.
func (s *socket) sender() *sender {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last := len(s.senders) - 1; last >= 0 {
		w := s.senders[last]
		s.senders = s.senders[:last]
		return w
	}
	return newSender(s)
}

// release makes a sender idle, and lets go of what belongs to the caller.
func (s *socket) release(w *sender) {
	w.messages, w.refused, w.at, w.reports = nil, nil, end{}, 0
	s.mu.Lock()
	defer s.mu.Unlock()
	s.senders = append(s.senders, w)
}

func (s *socket) Send(ms []Outgoing) (int, error) {
	w := s.sender()
	defer s.release(w)
	w.messages, w.segments = ms, int(s.segments.Load())
	for w.at.message < len(ms) {
		if err := w.send(); err != nil {
			return w.at.message, err
		}
	}
	return len(ms), nil
}

// send sends some more of the messages, or fails with the reason why the next
// one does not go out.
func (w *sender) send() error {
	if err := w.fill(); err != nil {
		return err
	}
	// Control, unlike Write, lets several senders into the kernel at once.
	closed := w.socket.raw.Control(w.try)
	if closed == nil && w.errno == unix.EAGAIN && !w.messages[w.at.message].NoWait {
		closed = w.socket.raw.Write(w.wait)
	}
	for i := range w.n {
		w.iovs[i].Base = nil
	}
	if closed != nil {
		return net.ErrClosed
	}
	if w.errno != 0 {
		return w.refuse(w.errno)
	}
	if w.ends[0].segmented > 0 && w.segments < int(w.socket.segments.Load()) {
		w.socket.segments.Store(int32(w.segments)) // what was refused before was the number
	}
	w.at = w.ends[w.sent-1]
	if w.at.offset == len(w.messages[w.at.message].Data) {
		w.at.message, w.at.offset = w.at.message+1, 0
	}
	return nil
}

// refuse decides what to do about an error of the first send: nothing if there
// is another way to try it.
func (w *sender) refuse(errno unix.Errno) error {
	m := &w.messages[w.at.message]
	first := &w.ends[0]
	if sourceRefused(errno) && m.To.Source.IsValid() && w.refused != m.To {
		w.refused = m.To
		return nil
	}
	if errno == unix.EINVAL && first.segmented > fewSegments {
		// Either the kernel takes no more than 64, or there is another reason
		// and we shall hear of it again. The source was not the reason.
		w.segments, w.refused = fewSegments, nil
		return nil
	}
	m.SourceRefused = false
	return &SendError{Segmented: first.segmented > 0, Err: os.NewSyscallError("sendmmsg", errno)}
}

// sourceRefused reports whether an error may mean that the host does not have,
// or not there, the source address that it was asked to use.
func sourceRefused(errno unix.Errno) bool {
	switch errno {
	case unix.EINVAL, unix.ENODEV, unix.EADDRNOTAVAIL, unix.ENETUNREACH, unix.EHOSTUNREACH:
		return true
	}
	return false
}

// fill lays out the next sends, as many as one system call takes. It fails if
// the first of them has an address that cannot be sent to.
func (w *sender) fill() error {
	w.n = 0
	at := w.at
	for w.n < maxHeaders && at.message < len(w.messages) {
		m := &w.messages[at.message]
		size, segmented := w.next(m, len(m.Data)-at.offset)
		if err := w.lay(m, m.Data[at.offset:at.offset+size], segmented > 0); err != nil {
			if w.n > 0 {
				return nil // the turn of this one comes
			}
			return &SendError{Err: err}
		}
		at.offset, at.segmented = at.offset+size, segmented
		w.ends[w.n] = at
		w.n++
		if at.offset == len(m.Data) {
			at.message, at.offset = at.message+1, 0
		}
	}
	return nil
}

// next is how many bytes of a message, of which left are left, go into one
// send, and how many datagrams these are if it is a segmented one.
func (w *sender) next(m *Outgoing, left int) (size, segmented int) {
	if m.Segment <= 0 || left <= m.Segment {
		return left, 0
	}
	n := min(w.segments, MaxBytes/m.Segment)
	if m.Plain || w.socket.noSegment || n < 2 {
		return m.Segment, 0
	}
	size = min(left, n*m.Segment)
	return size, (size + m.Segment - 1) / m.Segment
}

// lay lays out one send.
func (w *sender) lay(m *Outgoing, data []byte, segmented bool) error {
	h := &w.headers[w.n]
	if err := w.address(h, &w.names[w.n], m.To.Addr); err != nil {
		return err
	}
	iov := &w.iovs[w.n]
	iov.Base = unsafe.SliceData(data)
	iov.SetLen(len(data))

	level, tos, ttl := int32(unix.IPPROTO_IP), int32(unix.IP_TOS), int32(unix.IP_TTL)
	if w.socket.v6 {
		level, tos, ttl = unix.IPPROTO_IPV6, unix.IPV6_TCLASS, unix.IPV6_HOPLIMIT
	}
	c := controlWriter{buf: bytesOf(&w.controls[w.n])}
	c.int(level, tos, int(m.TOS))
	if m.TTL != 0 {
		c.int(level, ttl, int(m.TTL))
	}
	source := m.To.Source.IsValid() && m.To.Source.Is6() == w.socket.v6
	m.SourceRefused = source && m.To == w.refused
	if source && !m.SourceRefused {
		c.source(m.To)
	}
	if segmented {
		c.segment(m.Segment)
	}
	h.SetControllen(c.n)
	return nil
}

// address lays out where a send goes.
func (w *sender) address(h *header, name *unix.RawSockaddrInet6, to netip.AddrPort) error {
	a := to.Addr().Unmap()
	if !a.IsValid() || a.Is6() != w.socket.v6 {
		return os.NewSyscallError("sendmmsg", unix.EAFNOSUPPORT)
	}
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&name.Port))[:], to.Port())
	if !w.socket.v6 {
		name.Family = unix.AF_INET
		(*unix.RawSockaddrInet4)(unsafe.Pointer(name)).Addr = a.As4()
		h.Namelen = unix.SizeofSockaddrInet4
		return nil
	}
	scope, err := w.socket.scopeOf(a.Zone())
	if err != nil {
		return err
	}
	name.Family, name.Addr, name.Scope_id = unix.AF_INET6, a.As16(), scope
	h.Namelen = unix.SizeofSockaddrInet6
	return nil
}

// scopeOf is the number of the interface that a zone names. Numbers are quick;
// names ask the kernel, and are only to be met until the peer has answered. The
// socket itself is asked: whoever sends may be left no other.
func (s *socket) scopeOf(zone string) (uint32, error) {
	if zone == "" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n), nil
	}
	request, err := unix.NewIfreq(zone)
	if err == nil {
		err = onDescriptor(s.raw, func(fd int) error { return unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, request) })
	}
	if err != nil {
		return 0, &net.OpError{Op: "route", Net: "ip+net", Err: unix.ENODEV}
	}
	return request.Uint32(), nil
}
