package sim

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"

	"vpn/tun"
	"vpn/tun/offload"
	"vpn/tunnel/udp"
)

// A link is a node's device. What is written to it, and the datagrams of its sockets, wait in the node until the end of the step.
type link struct {
	node    *node
	packets chan [][]byte
	events  chan tun.Event
	closed  chan struct{}
	once    sync.Once
}

func newLink(n *node) *link {
	return &link{node: n, packets: make(chan [][]byte, 1), events: make(chan tun.Event, 1), closed: make(chan struct{})}
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
			b.Add(p, offload.GSO{})
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

// A socket is a node's IPv4 socket; it has no other.
type socket struct {
	node   *node
	in     chan datagram
	closed chan struct{}
	once   sync.Once
}

// Open implements udp.Opener. The port that a node listens on is not what others see: it is behind a NAT.
func (n *node) Open(port uint16, _ uint32) (*udp.Sockets, error) {
	if port == 0 {
		port = 51820
	}
	s := &socket{node: n, in: make(chan datagram, 1), closed: make(chan struct{})}
	n.mu.Lock()
	n.socket = s
	n.mu.Unlock()
	return &udp.Sockets{V4: s, Port: port}, nil
}

func (s *socket) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

func (s *socket) Send(ms []udp.Outgoing) (int, error) {
	if s.isClosed() {
		return 0, net.ErrClosed
	}
	s.node.mu.Lock()
	defer s.node.mu.Unlock()
	for i := range ms {
		step := ms[i].Segment
		if step == 0 {
			step = max(len(ms[i].Data), 1)
		}
		for b := range slices.Chunk(ms[i].Data, step) {
			s.node.sent = append(s.node.sent, datagram{to: ms[i].To.Addr, data: bytes.Clone(b)})
		}
	}
	return len(ms), nil
}

// behindNAT is the address that a node has for itself.
var behindNAT = netip.MustParseAddr("192.168.0.2")

func (s *socket) Receive(b *udp.Batch) error {
	select {
	case <-s.closed:
		return net.ErrClosed
	case d := <-s.in:
		b.Reset()
		b.Add(copy(b.Room(), d.data), 0, udp.Endpoint{Addr: d.from, Source: behindNAT}, 0)
		return nil
	}
}

func (s *socket) SetMark(uint32) error { return nil }

func (s *socket) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}
