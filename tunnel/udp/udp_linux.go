package udp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// System opens the sockets of the machine.
func System() Opener { return systemOpener{} }

// Loopback opens sockets that nobody outside of this machine reaches.
func Loopback() Opener { return systemOpener{loopback: true} }

// systemOpener can do without what older kernels lack.
type systemOpener struct {
	sockets   int  // of each family; 0 is 1
	joins     bool // a port that others of ours have
	noGRO     bool // do not ask for coalesced reads
	noSegment bool // make no segmented sends
	loopback  bool
}

func (o systemOpener) Open(port uint16, mark uint32) (*Sockets, error) {
	s, err := openBoth(o, port, mark)
	if err == nil && o.sockets > 1 {
		o.spread(s, mark)
	}
	return s, err
}

func (o systemOpener) listen(network string, port uint16, mark uint32) (Socket, uint16, error) {
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		return onDescriptor(raw, func(fd int) error { return o.configure(fd, network == "udp6", mark) })
	}}
	c, err := config.ListenPacket(context.Background(), network, listenAddress(network, o.loopback, port))
	if err != nil {
		return nil, 0, err
	}
	s, err := o.wrap(c.(*net.UDPConn))
	if err != nil {
		c.Close()
		return nil, 0, err
	}
	return s, c.LocalAddr().(*net.UDPAddr).AddrPort().Port(), nil
}

// familyMissing reports whether an error of listen means that the host does
// without an address family.
func familyMissing(err error) bool {
	return errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL)
}

// configure sets the options of a socket.
func (o systemOpener) configure(fd int, v6 bool, mark uint32) error {
	if mark != 0 {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(mark)); err != nil {
			return fmt.Errorf("set mark %#x: %w", mark, os.NewSyscallError("setsockopt", err))
		}
	}
	if o.joins {
		if err := shareable(fd); err != nil {
			return err
		}
	}
	enlarge(fd, unix.SO_RCVBUF, unix.SO_RCVBUFFORCE, receiveBuffer)
	enlarge(fd, unix.SO_SNDBUF, unix.SO_SNDBUFFORCE, sendBuffer)

	level, options := unix.IPPROTO_IP, []int{unix.IP_PKTINFO, unix.IP_RECVTOS, unix.IP_RECVERR}
	if v6 {
		level, options = unix.IPPROTO_IPV6, []int{unix.IPV6_RECVPKTINFO, unix.IPV6_RECVTCLASS, unix.IPV6_RECVERR}
	}
	for _, option := range options {
		if err := unix.SetsockoptInt(fd, level, option, 1); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	if !o.noGRO {
		// Since Linux 5.0. Without it each read brings one datagram.
		_ = unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_GRO, 1)
	}
	return nil
}

// enlarge makes a buffer of the kernel size bytes long, unless it is longer
// already. The kernel doubles what it is told, and tells what it has doubled.
func enlarge(fd, option, force, size int) {
	if have, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, option); err == nil && have/2 >= size {
		return
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, size) != nil {
		// Without CAP_NET_ADMIN: as far as net.core.[rw]mem_max goes.
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, size)
	}
}

// onDescriptor runs f on a descriptor and returns what either fails with.
func onDescriptor(raw syscall.RawConn, f func(fd int) error) error {
	var err error
	if closed := raw.Control(func(fd uintptr) { err = f(int(fd)) }); closed != nil {
		return closed
	}
	return err
}

// wrap makes a Socket of a configured connection, which it then owns.
func (o systemOpener) wrap(conn *net.UDPConn) (*socket, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &socket{conn: conn, raw: raw, closed: make(chan struct{})}
	s.v6 = conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Is6()
	err = raw.Control(func(fd uintptr) {
		// Since Linux 4.18. Older kernels ignore the request and would
		// send one long datagram.
		_, unknown := unix.GetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT)
		s.noSegment = unknown != nil || o.noSegment
	})
	s.segments.Store(MaxSegments)
	return s, err
}

// socket is a Socket over sendmmsg and recvmsg, non-blocking, waiting in the
// runtime's poller.
type socket struct {
	conn      *net.UDPConn
	raw       syscall.RawConn
	v6        bool
	noSegment bool
	segments  atomic.Int32 // most in one segmented send, as far as is known

	watcher atomic.Pointer[func(Refusal)] // is told of ICMP errors

	errors    atomic.Uint64
	malformed atomic.Uint64

	mu      sync.Mutex
	senders []*sender // idle

	closing sync.Once
	closed  chan struct{}
}

func (s *socket) SetMark(mark uint32) error {
	err := onDescriptor(s.raw, func(fd int) error {
		return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(mark)))
	})
	if errors.Is(err, net.ErrClosed) {
		return net.ErrClosed
	}
	if err != nil {
		return fmt.Errorf("set mark %#x: %w", mark, err)
	}
	return nil
}

func (s *socket) Close() error {
	var err error
	s.closing.Do(func() {
		close(s.closed)
		err = s.conn.Close()
	})
	return err
}

func (s *socket) counters() Counters {
	c := Counters{Errors: s.errors.Load(), Malformed: s.malformed.Load()}
	_ = onDescriptor(s.raw, func(fd int) error {
		overflows, err := drops(fd)
		c.Overflows = uint64(overflows)
		return err
	})
	return c
}
