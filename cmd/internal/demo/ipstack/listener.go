package ipstack

import (
	"net"
	"net/netip"
	"sync"
)

// maxStreams is how many one listener has at most. Who dials one more tries
// again, until there is room.
const maxStreams = 128

// listener is where streams of others end.
type listener struct {
	stack *Stack
	local netip.AddrPort

	// What follows is guarded by the stack's lock.
	arrived sync.Cond
	closed  bool
	streams map[caller]*conn
	backlog []*conn // that wait for Accept
}

// caller tells the streams of a listener apart.
type caller struct {
	from   netip.AddrPort
	stream uint32
}

// Listen waits for streams at an address of the stack.
func (s *Stack) Listen(at netip.AddrPort) (_ net.Listener, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := &listener{stack: s, streams: make(map[caller]*conn)}
	l.arrived.L = &s.mu
	l.local, err = s.bind(at, l)
	if err != nil {
		return nil, err
	}
	return l, nil
}

// receive implements socket.
func (l *listener) receive(from netip.AddrPort, payload []byte) {
	h, b, ok := parseSegment(payload)
	if !ok {
		return
	}
	who := caller{from, h.stream}
	c := l.streams[who]
	if c == nil {
		if h.kind != open || l.closed {
			l.stack.refuse(l.local, from, &h)
			return
		}
		if len(l.streams) == maxStreams {
			return
		}
		c = l.add(who)
	}
	c.handle(&h, b)
	if c.offering != nil && c.acked > 0 {
		l.backlog = append(l.backlog, c)
		c.offering = nil
		l.arrived.Signal()
	}
}

// add makes this end of a new stream.
func (l *listener) add(who caller) *conn {
	c := newConn(l.stack, l.local, who.from, who.stream)
	c.offering = l
	c.leave = func() {
		delete(l.streams, who)
		l.vacate()
	}
	l.streams[who] = c
	return c
}

// vacate gives up the port, when neither the listener nor a stream needs it.
func (l *listener) vacate() {
	if l.closed && len(l.streams) == 0 {
		delete(l.stack.sockets, l.local)
	}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	l.stack.mu.Lock()
	defer l.stack.mu.Unlock()
	for len(l.backlog) == 0 && !l.closed {
		l.arrived.Wait()
	}
	if l.closed {
		return nil, &net.OpError{Op: "accept", Net: "udp", Addr: l.Addr(), Err: net.ErrClosed}
	}
	c := l.backlog[0]
	l.backlog = l.backlog[1:]
	return c, nil
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return net.UDPAddrFromAddrPort(l.local) }

// Close implements net.Listener. Streams that nobody has accepted are broken off.
func (l *listener) Close() error {
	l.stack.mu.Lock()
	defer l.stack.mu.Unlock()
	l.shut()
	return nil
}

func (l *listener) shut() {
	if l.closed {
		return
	}
	l.closed = true
	for _, c := range l.streams {
		if c.offering != nil {
			c.abort(net.ErrClosed)
		}
	}
	for _, c := range l.backlog {
		c.abort(net.ErrClosed)
	}
	l.backlog = nil
	l.vacate()
	l.arrived.Broadcast()
}

// fail implements socket: the stack is closed.
func (l *listener) fail(err error) {
	l.shut()
	for _, c := range l.streams {
		c.fail(err)
	}
}
