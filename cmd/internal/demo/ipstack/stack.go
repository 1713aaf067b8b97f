// Package ipstack is a device with no kernel behind it: a [tun.Device] whose
// packets come from, and go to, UDP sockets in this process. It needs no
// privileges, and is what `vpn demo` shows a tunnel with.
//
// It has one IPv4 address, no more of IPv4 than the two ends of a tunnel need (no
// fragments, no ICMP), and UDP. On top of UDP it has a reliable stream of bytes
// ([Stack.Dial], [Stack.Listen]) for programs that want a net.Conn. That stream is
// this package's own and not TCP: it speaks to another Stack alone, and knows
// nothing of congestion.
package ipstack

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"

	"vpn/tun"
	"vpn/tun/offload"
)

const (
	// queueLen is how many packets wait for Read. One more is dropped.
	queueLen = 512
	// firstPort is the first of those that sockets get which ask for none: RFC
	// 6335's dynamic ports.
	firstPort = 49152
)

// Stack is a device, its only queue, and the sockets behind it. All methods may
// be called at any time from any goroutine.
type Stack struct {
	mtu    int
	addr   netip.Addr
	events chan tun.Event

	mu       sync.Mutex // guards the following, and all of the sockets
	closed   bool
	readable sync.Cond
	queue    [queueLen][]byte // a ring of packets, whose memory is used again
	first    int
	waiting  int
	sockets  map[netip.AddrPort]socket // by where they are bound
	port     uint16                    // that was given out last
	owing    []*conn                   // of the packets being written: who has yet to acknowledge them
}

// socket is what is bound to a port. Its methods are called with the stack's
// lock held.
type socket interface {
	receive(from netip.AddrPort, payload []byte)
	fail(err error)
}

// New makes a stack with an IPv4 address, which is up. The mtu is in bytes, and has
// room for a header and some data.
func New(mtu int, addr netip.Addr) *Stack {
	s := &Stack{
		mtu: mtu, addr: addr, events: make(chan tun.Event, 1),
		sockets: make(map[netip.AddrPort]socket), port: firstPort - 1,
	}
	s.readable.L = &s.mu
	s.events <- tun.Up
	return s
}

// Name implements tun.Device.
func (s *Stack) Name() string { return "ipstack" }

// MTU implements tun.Device.
func (s *Stack) MTU() int { return s.mtu }

// Events implements tun.Device.
func (s *Stack) Events() <-chan tun.Event { return s.events }

// Queues implements tun.Device.
func (s *Stack) Queues() []tun.Queue { return []tun.Queue{s} }

// Close implements tun.Device. All sockets end with it.
func (s *Stack) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	close(s.events)
	s.readable.Broadcast()
	for _, bound := range s.sockets {
		bound.fail(net.ErrClosed)
	}
	return nil
}

// Read implements tun.Queue.
func (s *Stack) Read(b *tun.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b.Reset()
	for s.waiting == 0 && !s.closed {
		s.readable.Wait()
	}
	if s.closed {
		return os.ErrClosed
	}
	for s.waiting > 0 && b.Add(s.queue[s.first], offload.GSO{}) {
		s.first = (s.first + 1) % queueLen
		s.waiting--
	}
	return nil
}

// Write implements tun.Queue. Packets that are for nobody here are taken and
// dropped, as by any host.
func (s *Stack) Write(pkts [][]byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, os.ErrClosed
	}
	for _, p := range pkts {
		from, to, payload, ok := parse(p)
		if !ok {
			continue
		}
		if bound := s.sockets[to]; bound != nil {
			bound.receive(from, payload)
		} else if h, _, ok := parseSegment(payload); ok && to.Addr() == s.addr {
			s.refuse(to, from, &h)
		}
	}
	for _, c := range s.owing { // once for all that came together
		c.acknowledge()
	}
	s.owing = s.owing[:0]
	return len(pkts), nil
}

// send puts a datagram, whose payload comes in two parts, into the queue.
func (s *Stack) send(from, to netip.AddrPort, head, rest []byte) {
	if s.waiting == queueLen || s.closed {
		return
	}
	slot := &s.queue[(s.first+s.waiting)%queueLen]
	*slot = appendPacket((*slot)[:0], from, to, head, rest)
	s.waiting++
	s.readable.Signal()
}

// refuse answers a segment for which there is no stream.
func (s *Stack) refuse(at, from netip.AddrPort, h *header) {
	if h.kind != reset {
		answer := header{kind: reset, stream: h.stream}
		s.send(at, from, answer.append(nil), nil)
	}
}

// room is how many bytes of payload a datagram may have.
func (s *Stack) room() int { return s.mtu - ipv4Size - udpSize }

// bind gives the socket its port, any if at has none.
func (s *Stack) bind(at netip.AddrPort, bound socket) (netip.AddrPort, error) {
	if s.closed {
		return at, net.ErrClosed
	}
	if at.Addr() != s.addr {
		return at, fmt.Errorf("%v is not the address of this end, which has %v", at.Addr(), s.addr)
	}
	if at.Port() != 0 {
		if s.sockets[at] != nil {
			return at, fmt.Errorf("%v is in use", at)
		}
		s.sockets[at] = bound
		return at, nil
	}
	for range 1<<16 - firstPort {
		s.port = max(s.port+1, firstPort)
		at = netip.AddrPortFrom(at.Addr(), s.port)
		if s.sockets[at] == nil {
			s.sockets[at] = bound
			return at, nil
		}
	}
	return at, fmt.Errorf("no port of %v is free", at.Addr())
}
