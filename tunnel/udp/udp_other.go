//go:build !linux

package udp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"
)

// System opens the sockets of the machine.
func System() Opener { return systemOpener{} }

type systemOpener struct{}

func (systemOpener) listen(network string, port uint16, mark uint32) (Socket, uint16, error) {
	if mark != 0 {
		return nil, 0, fmt.Errorf("set mark %#x: %w", mark, errors.ErrUnsupported)
	}
	c, err := new(net.ListenConfig).ListenPacket(context.Background(), network, fmt.Sprintf(":%d", port))
	if err != nil {
		return nil, 0, err
	}
	conn := c.(*net.UDPConn)
	// The system's own sizes do where it allows no more.
	_ = conn.SetReadBuffer(receiveBuffer)
	_ = conn.SetWriteBuffer(sendBuffer)
	return &socket{conn: conn}, conn.LocalAddr().(*net.UDPAddr).AddrPort().Port(), nil
}

// socket moves one datagram a call. It neither sets nor sees the traffic class
// and the local address.
type socket struct {
	conn   *net.UDPConn
	errors atomic.Uint64
}

func (s *socket) Send(ms []Outgoing) (int, error) {
	for i := range ms {
		m := &ms[i]
		size := m.Segment
		if size <= 0 {
			size = max(len(m.Data), 1)
		}
		for data := m.Data; ; {
			n := min(size, len(data))
			if _, err := s.conn.WriteToUDPAddrPort(data[:n], m.To.Addr); err != nil {
				if errors.Is(err, net.ErrClosed) {
					return i, net.ErrClosed
				}
				return i, &SendError{Err: err}
			}
			if data = data[n:]; len(data) == 0 {
				break
			}
		}
	}
	return len(ms), nil
}

// reader is not needed here.
type reader struct{}

func (*reader) init(*Batch) {}

func (s *socket) Receive(b *Batch) error {
	b.Reset()
	for failures := 0; ; failures++ {
		n, from, err := s.conn.ReadFromUDPAddrPort(b.Room())
		if err == nil {
			from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
			b.Add(n, 0, Endpoint{Addr: from}, 0)
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return net.ErrClosed
		}
		s.errors.Add(1)
		time.Sleep(pause(failures))
	}
}

func (s *socket) SetMark(mark uint32) error {
	if mark != 0 {
		return fmt.Errorf("set mark %#x: %w", mark, errors.ErrUnsupported)
	}
	return nil
}

func (s *socket) Close() error { return s.conn.Close() }

func (s *socket) counters() Counters { return Counters{Errors: s.errors.Load()} }

// familyMissing reports whether an error of listen means that the host does
// without an address family.
func familyMissing(err error) bool {
	return errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL)
}
