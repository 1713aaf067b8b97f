package sim

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"

	"vpn/tun"
	"vpn/tunnel/udp"
)

// A link is a node's device. What is written to it, and the datagrams of its sockets, wait in the node until the end of the step.
type link struct {
	node    *node
	packets chan []tun.Packet
	events  chan tun.Event
	closed  chan struct{}
	once    sync.Once
}

func newLink(n *node) *link {
	return &link{node: n, packets: make(chan []tun.Packet, 1), events: make(chan tun.Event, 1), closed: make(chan struct{})}
}

func (d *link) Name() string             { return "sim" }
func (d *link) MTU() int                 { return tun.DefaultMTU }
func (d *link) Events() <-chan tun.Event { return d.events }
func (d *link) Queues() []tun.Queue      { return []tun.Queue{d} }

func (d *link) Close() error {
	d.once.Do(func() {
		close(d.closed)
		close(d.events)
	})
	return nil
}

func (d *link) Read(b *tun.Batch) error {
	b.Reset()
	select {
	case <-d.closed:
		return os.ErrClosed
	case ps := <-d.packets:
		for _, p := range ps {
			b.Add(p.Data, p.GSO)
		}
		return nil
	}
}

func (d *link) Write(ps [][]byte) (int, error) {
	d.node.mu.Lock()
	defer d.node.mu.Unlock()
	for _, p := range ps {
		d.node.delivered = append(d.node.delivered, bytes.Clone(p))
	}
	return len(ps), nil
}

// A datagram is one message on the way.
type datagram struct {
	from, to netip.AddrPort
	data     []byte
}

// An arrival is what a socket receives at once: messages that the host has coalesced, or that have waited for each other.
type arrival []datagram

func (a arrival) bytes() (n int) {
	for _, d := range a {
		n += len(d.data)
	}
	return n
}

// A socket is a node's, of one family.
type socket struct {
	node   *node
	family int
	in     chan arrival
	closed chan struct{}
	once   sync.Once
}

// Open implements udp.Opener. The port that a node listens on is not what others see: it is behind a NAT.
func (n *node) Open(port uint16, _ uint32) (*udp.Sockets, error) {
	if port == 0 {
		port = 51820
	}
	all := &udp.Sockets{Port: port}
	n.mu.Lock()
	defer n.mu.Unlock()
	for f, one := range []*[]udp.Socket{v4: &all.V4, v6: &all.V6} {
		if n.hasFamily[f] {
			n.sockets[f] = &socket{node: n, family: f, in: make(chan arrival, 1), closed: make(chan struct{})}
			*one = []udp.Socket{n.sockets[f]}
		}
	}
	return all, nil
}

func (s *socket) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// Send fails as the kernel does where there is no route, or none that takes segmented sends.
func (s *socket) Send(ms []udp.Outgoing) (int, error) {
	if s.isClosed() {
		return 0, net.ErrClosed
	}
	s.node.mu.Lock()
	defer s.node.mu.Unlock()
	for i := range ms {
		m := &ms[i]
		if !s.node.at[s.family].IsValid() {
			return i, &udp.SendError{Err: syscall.ENETUNREACH}
		}
		if m.Segment != 0 && !m.Plain && s.node.plainOnly {
			s.node.w.saw(segmentsRefused)
			return i, &udp.SendError{Segmented: true, Err: syscall.EIO}
		}
		step := m.Segment
		if step == 0 {
			step = max(len(m.Data), 1)
		}
		for b := range slices.Chunk(m.Data, step) {
			s.node.sent = append(s.node.sent, datagram{to: m.To.Addr, data: bytes.Clone(b)})
		}
	}
	return len(ms), nil
}

// behindNAT is the address that a node has for itself.
var behindNAT = [families]netip.Addr{v4: netip.MustParseAddr("192.168.0.2"), v6: netip.MustParseAddr("fd01::2")}

func (s *socket) Receive(b *udp.Batch) error {
	select {
	case <-s.closed:
		return net.ErrClosed
	case a := <-s.in:
		b.Reset()
		for len(a) > 0 {
			n := a.coalesced()
			if n > 1 {
				s.node.w.saw(coalescedArrival)
			}
			if s.family == v6 {
				s.node.w.saw(ipv6Outside)
			}
			size := 0
			for _, d := range a[:n] {
				size += copy(b.Room()[size:], d.data)
			}
			b.Add(size, len(a[0].data), udp.Endpoint{Addr: a[0].from, Source: behindNAT[s.family]}, 0)
			a = a[n:]
		}
		return nil
	}
}

// coalesced is how many of the first messages come as one read: from one sender, of one size, the last perhaps shorter.
func (a arrival) coalesced() int {
	n := 1
	for n < len(a) && a[n].from == a[0].from && len(a[n].data) > 0 && len(a[n].data) <= len(a[0].data) {
		if n++; len(a[n-1].data) < len(a[0].data) {
			break
		}
	}
	return n
}

func (s *socket) SetMark(uint32) error { return nil }

func (s *socket) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}
