package tunnel

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"vpn/tun"
	"vpn/tunnel/udp"
)

// memOpener opens sockets at one node's addresses, of which one may be missing.
type memOpener struct {
	w      *world
	v4, v6 netip.Addr
	fail   error // guarded by w.mu
}

// setFail makes Open fail, or not with nil.
func (o *memOpener) setFail(err error) {
	o.w.mu.Lock()
	defer o.w.mu.Unlock()
	o.fail = err
}

func (o *memOpener) Open(port uint16, mark uint32) (*udp.Sockets, error) {
	o.w.mu.Lock()
	defer o.w.mu.Unlock()
	if o.fail != nil {
		return nil, o.fail
	}
	if port == 0 {
		port = 51820
	}
	open := func(a netip.Addr) *memSocket {
		s := &memSocket{w: o.w, at: netip.AddrPortFrom(a, port), mark: mark}
		s.more.L = &s.mu
		o.w.sockets[s.at] = s
		return s
	}
	s := &udp.Sockets{Port: port}
	if o.v4.IsValid() {
		s.V4 = []udp.Socket{open(o.v4)}
	}
	if o.v6.IsValid() {
		s.V6 = []udp.Socket{open(o.v6)}
	}
	return s, nil
}

// memSocket is a udp.Socket on the world's network.
type memSocket struct {
	w  *world
	at netip.AddrPort

	mu      sync.Mutex
	more    sync.Cond
	closed  bool
	mark    uint32
	waiting []datagram
	delayed []datagram // still under way
	// refuseMark answers SetMark.
	refuseMark error
	// refuse answers Send, if it is not nil.
	refuse func(m *udp.Outgoing) error
}

func (s *memSocket) Send(ms []udp.Outgoing) (int, error) {
	for i := range ms {
		m := &ms[i]
		s.mu.Lock()
		closed, refuse := s.closed, s.refuse
		s.mu.Unlock()
		if closed {
			return i, net.ErrClosed
		}
		if refuse != nil {
			if err := refuse(m); err != nil {
				return i, err
			}
		}
		step := m.Segment
		if step == 0 {
			step = max(len(m.Data), 1)
		}
		for b := range slices.Chunk(m.Data, step) {
			s.w.carry(datagram{from: s.at, to: m.To.Addr, source: m.To.Source, tos: m.TOS, ttl: m.TTL, data: bytes.Clone(b)})
		}
	}
	return len(ms), nil
}

// setRefuse changes what Send answers; nil: it sends.
func (s *memSocket) setRefuse(f func(m *udp.Outgoing) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = f
}

func (s *memSocket) deliver(d datagram) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = append(s.waiting, d)
	s.more.Signal()
}

// deliverAfter delivers d a while later, and behind all that was sent before.
func (s *memSocket) deliverAfter(latency time.Duration, d datagram) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delayed = append(s.delayed, d)
	time.AfterFunc(latency, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.waiting = append(s.waiting, s.delayed[0])
		s.delayed = s.delayed[1:]
		s.more.Signal()
	})
}

func (s *memSocket) Receive(b *udp.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.waiting) == 0 && !s.closed {
		s.more.Wait()
	}
	if s.closed {
		return net.ErrClosed
	}
	b.Reset()
	for len(s.waiting) > 0 && !b.Full() {
		d := s.waiting[0]
		s.waiting = s.waiting[1:]
		b.Add(copy(b.Room(), d.data), d.segment, udp.Endpoint{Addr: d.from, Source: d.to.Addr()}, d.tos)
	}
	return nil
}

func (s *memSocket) SetMark(mark uint32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuseMark == nil {
		s.mark = mark
	}
	return s.refuseMark
}

func (s *memSocket) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.more.Broadcast()
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if s.w.sockets[s.at] == s {
		delete(s.w.sockets, s.at)
	}
	return nil
}

// memDevice is a tun.Device with one queue whose ends a script holds.
type memDevice struct {
	events chan tun.Event
	mtu    atomic.Int32

	mu       sync.Mutex
	more     sync.Cond
	closed   bool
	outgoing []tun.Packet // what the host sends into the tunnel
	incoming [][]byte     // what comes out of it
	refuse   func(p []byte) error
	written  func() // called, if it is not nil, before a Write returns
}

func newMemDevice() *memDevice {
	d := &memDevice{events: make(chan tun.Event, 16)}
	d.mtu.Store(1420)
	d.more.L = &d.mu
	return d
}

func (d *memDevice) Name() string             { return "mem0" }
func (d *memDevice) MTU() int                 { return int(d.mtu.Load()) }
func (d *memDevice) Events() <-chan tun.Event { return d.events }
func (d *memDevice) Queues() []tun.Queue      { return []tun.Queue{d} }

func (d *memDevice) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		d.closed = true
		close(d.events)
		d.more.Broadcast()
	}
	return nil
}

func (d *memDevice) Read(b *tun.Batch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.outgoing) == 0 && !d.closed {
		d.more.Wait()
	}
	if d.closed {
		return os.ErrClosed
	}
	b.Reset()
	for len(d.outgoing) > 0 && b.Add(d.outgoing[0].Data, d.outgoing[0].GSO) {
		d.outgoing = d.outgoing[1:]
	}
	return nil
}

// delivered is how many packets the engine has written that nobody has looked at.
func (d *memDevice) delivered() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.incoming)
}

// outstanding is how many packets the engine has not taken yet.
func (d *memDevice) outstanding() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.outgoing)
}

func (d *memDevice) Write(ps [][]byte) (n int, err error) {
	if d.written != nil {
		defer d.written()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range ps {
		if d.closed {
			return n, os.ErrClosed
		}
		if d.refuse != nil {
			if e := d.refuse(p); e != nil {
				err = e
				continue
			}
		}
		n++
		d.incoming = append(d.incoming, bytes.Clone(p))
	}
	return n, err
}
