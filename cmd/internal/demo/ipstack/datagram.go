package ipstack

import (
	"fmt"
	"net"
	"net/netip"
)

// backlogLen is how many datagrams wait for who reads a socket. One more is
// dropped.
const backlogLen = 256

// datagrams is a UDP socket.
type datagrams struct {
	endpoint // remote is not valid where any may send

	// What follows is guarded by the stack's lock.
	err     error // why it has ended
	waiting []datagram
}

type datagram struct {
	from    netip.AddrPort
	payload []byte
}

// ListenPacket opens a UDP socket.
func (s *Stack) ListenPacket(at netip.AddrPort) (net.PacketConn, error) {
	return s.open(at, netip.AddrPort{})
}

// DialPacket opens a UDP socket that talks with one other alone.
func (s *Stack) DialPacket(to netip.AddrPort) (net.Conn, error) {
	return s.open(netip.AddrPortFrom(s.addr, 0), to)
}

func (s *Stack) open(at, remote netip.AddrPort) (_ *datagrams, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := &datagrams{endpoint: endpoint{stack: s, remote: remote}}
	d.changed.L = &s.mu
	d.local, err = s.bind(at, d)
	if err != nil {
		return nil, err
	}
	return d, nil
}

// receive implements socket.
func (d *datagrams) receive(from netip.AddrPort, payload []byte) {
	if len(d.waiting) == backlogLen || d.remote.IsValid() && from != d.remote {
		return
	}
	d.waiting = append(d.waiting, datagram{from, append([]byte(nil), payload...)})
	d.changed.Signal()
}

// fail implements socket.
func (d *datagrams) fail(err error) {
	if d.err != nil {
		return
	}
	d.err, d.waiting = err, nil
	delete(d.stack.sockets, d.local)
	d.end()
}

// Close implements net.Conn and net.PacketConn.
func (d *datagrams) Close() error {
	d.stack.mu.Lock()
	defer d.stack.mu.Unlock()
	d.fail(net.ErrClosed)
	return nil
}

// ReadFrom implements net.PacketConn. What b has no room for is lost.
func (d *datagrams) ReadFrom(b []byte) (int, net.Addr, error) {
	d.stack.mu.Lock()
	defer d.stack.mu.Unlock()
	for {
		if d.err != nil {
			return 0, nil, d.failure("read", d.err)
		}
		if err := d.reads.expired(); err != nil {
			return 0, nil, d.failure("read", err)
		}
		if len(d.waiting) > 0 {
			next := d.waiting[0]
			d.waiting = d.waiting[1:]
			return copy(b, next.payload), net.UDPAddrFromAddrPort(next.from), nil
		}
		d.changed.Wait()
	}
}

// Read implements net.Conn.
func (d *datagrams) Read(b []byte) (int, error) {
	n, _, err := d.ReadFrom(b)
	return n, err
}

// Write implements net.Conn.
func (d *datagrams) Write(b []byte) (int, error) { return d.write(b, d.remote) }

// WriteTo implements net.PacketConn.
func (d *datagrams) WriteTo(b []byte, to net.Addr) (int, error) {
	a, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, d.failure("write", fmt.Errorf("%v is not the address of a UDP socket", to))
	}
	at := a.AddrPort()
	return d.write(b, netip.AddrPortFrom(at.Addr().Unmap(), at.Port()))
}

// write never waits: what the queue has no room for is lost, as anywhere on the way.
func (d *datagrams) write(b []byte, to netip.AddrPort) (int, error) {
	d.stack.mu.Lock()
	defer d.stack.mu.Unlock()
	switch room := d.stack.room(); {
	case d.err != nil:
		return 0, d.failure("write", d.err)
	case d.writes.passed:
		return 0, d.failure("write", d.writes.expired())
	case !to.Addr().Is4():
		return 0, d.failure("write", fmt.Errorf("%v is not reached from %v", to, d.local))
	case len(b) > room:
		return 0, d.failure("write", fmt.Errorf("a datagram of %d bytes, more than the %d that a packet has room for", len(b), room))
	}
	d.stack.send(d.local, to, b, nil)
	return len(b), nil
}
