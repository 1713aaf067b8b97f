package udp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// portableOpener opens sockets over net.UDPConn alone.
type portableOpener struct{ loopback bool }

func (o portableOpener) Open(port uint16, mark uint32) (*Sockets, error) {
	return openBoth(o, port, mark)
}

func (o portableOpener) listen(network string, port uint16, mark uint32) (Socket, uint16, error) {
	if mark != 0 {
		return nil, 0, fmt.Errorf("set mark %#x: %w", mark, errors.ErrUnsupported)
	}
	c, err := new(net.ListenConfig).ListenPacket(context.Background(), network, listenAddress(network, o.loopback, port))
	if err != nil {
		return nil, 0, err
	}
	conn := c.(*net.UDPConn)
	// The system's own sizes do where it allows no more.
	_ = conn.SetReadBuffer(receiveBuffer)
	_ = conn.SetWriteBuffer(sendBuffer)
	return &portableSocket{conn: conn, closed: make(chan struct{})}, conn.LocalAddr().(*net.UDPAddr).AddrPort().Port(), nil
}

// portableSocket moves one datagram a call. It neither sets nor sees the traffic class
// and the local address.
type portableSocket struct {
	conn    *net.UDPConn
	errors  atomic.Uint64
	closed  chan struct{}
	closing sync.Once
}

func (s *portableSocket) Send(ms []Outgoing) (int, error) {
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

func (s *portableSocket) Receive(b *Batch) error {
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
		select {
		case <-time.After(pause(failures)):
		case <-s.closed:
			return net.ErrClosed
		}
	}
}

func (s *portableSocket) SetMark(mark uint32) error {
	if mark != 0 {
		return fmt.Errorf("set mark %#x: %w", mark, errors.ErrUnsupported)
	}
	return nil
}

func (s *portableSocket) Close() error {
	var err error
	s.closing.Do(func() {
		close(s.closed)
		err = s.conn.Close()
	})
	return err
}

func (s *portableSocket) counters() Counters { return Counters{Errors: s.errors.Load()} }
