package udp

import (
	"errors"
	"fmt"
	"net"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// FromFiles makes Sockets of sockets that another process opened, with Files;
// their order does not matter. It takes no ownership of the files; the Sockets
// have duplicates. What needs privileges, the mark and the size of buffers,
// stays as it was set by that process.
func FromFiles(files ...*os.File) (*Sockets, error) {
	s := &Sockets{}
	for _, f := range files {
		if err := s.add(f); err != nil {
			s.Close()
			return nil, fmt.Errorf("socket %s: %w", f.Name(), err)
		}
	}
	if len(s.All()) == 0 {
		return nil, errors.New("no socket given")
	}
	return s, nil
}

func (s *Sockets) add(f *os.File) error {
	c, err := net.FilePacketConn(f)
	if err != nil {
		return err
	}
	conn, ok := c.(*net.UDPConn)
	if !ok {
		c.Close()
		return errors.New("not a UDP socket")
	}
	o := systemOpener{}
	one, err := o.wrap(conn)
	if err != nil {
		conn.Close()
		return err
	}
	port := conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	err = onDescriptor(one.raw, func(fd int) error { return o.configure(fd, one.v6, 0) })
	switch {
	case err != nil:
	case s.Port != 0 && s.Port != port:
		err = fmt.Errorf("port %d, and the other has port %d", port, s.Port)
	case s.has(one):
		err = errors.New("the same one twice")
	case one.v6:
		s.V6 = append(s.V6, one)
	default:
		s.V4 = append(s.V4, one)
	}
	if err != nil {
		one.Close()
		return err
	}
	s.Port = port
	return nil
}

// has reports whether s is one of the sockets, by another descriptor: two who read
// from one would mix up the order.
func (s *Sockets) has(one *socket) bool {
	cookie := one.cookie()
	for _, other := range s.All() {
		if cookie != 0 && other.(*socket).cookie() == cookie {
			return true
		}
	}
	return false
}

// cookie is the kernel's number of a socket, which no other has; 0 before Linux 4.12.
func (s *socket) cookie() (n uint64) {
	_ = onDescriptor(s.raw, func(fd int) (err error) {
		n, err = unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
		return err
	})
	return n
}

// Files are duplicates of the sockets' descriptors, for another process that
// calls FromFiles. The caller closes them.
func (s *Sockets) Files() ([]*os.File, error) {
	var files []*os.File
	for _, one := range s.All() {
		one, ok := one.(*socket)
		if !ok {
			continue
		}
		f, err := one.conn.File()
		if err != nil {
			for _, f := range files {
				f.Close()
			}
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// drops asks a socket how many datagrams did not fit into its receive buffer.
func drops(fd int) (uint32, error) {
	var info [unix.SK_MEMINFO_VARS]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return 0, os.NewSyscallError("getsockopt", errno)
	}
	return info[unix.SK_MEMINFO_DROPS], nil
}
