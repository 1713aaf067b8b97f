package tunnel

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"vpn/noise/aead"
	"vpn/noise/key"
	"vpn/noise/wire"
	"vpn/tun"
	"vpn/tun/offload"
	"vpn/tunnel/uapi"
	"vpn/tunnel/udp"
)

// A world is engines on devices and sockets in memory, in a bubble in which time stands still while anybody works: a script says what
// happens, wait lets it happen, and time.Sleep lets time pass.
type world struct {
	t       testing.TB
	mu      sync.Mutex
	sockets map[netip.AddrPort]*memSocket
	log     []datagram
	// filter is asked for every datagram, if it is not nil, and may change it; false loses it.
	filter func(d *datagram) bool
	nodes  int
}

// A datagram is one message on the way.
type datagram struct {
	at       time.Time
	from, to netip.AddrPort
	tos, ttl byte
	data     []byte
	lost     bool
}

func (d *datagram) kind() wire.Type {
	k, _ := wire.Classify(d.data)
	return k
}

// inWorld runs a script in a bubble of its own; every engine must be gone at its end.
func inWorld(t *testing.T, script func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		script(t, &world{t: t, sockets: make(map[netip.AddrPort]*memSocket)})
	})
}

// wait lets everybody work until all wait for time or for the script.
func (w *world) wait() { synctest.Wait() }

// sleep lets time pass, and what is due happen.
func (w *world) sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// sent returns what was sent since the last call, lost or not.
func (w *world) sent() []datagram {
	w.wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	log := w.log
	w.log = nil
	return log
}

// kinds is what was sent since the last call, as the kinds of the messages.
func (w *world) kinds() (kinds []wire.Type) {
	for _, d := range w.sent() {
		kinds = append(kinds, d.kind())
	}
	return kinds
}

// setFilter changes what the network does to datagrams; nil: nothing.
func (w *world) setFilter(f func(d *datagram) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.filter = f
}

// inject puts a datagram on the network as an attacker would: from anywhere, to anywhere. It is not in the log.
func (w *world) inject(d datagram) {
	w.mu.Lock()
	s := w.sockets[d.to]
	w.mu.Unlock()
	if s != nil {
		s.deliver(d)
	}
	w.wait()
}

func (w *world) carry(d datagram) {
	d.at = time.Now()
	w.mu.Lock()
	if w.filter != nil {
		d.lost = !w.filter(&d)
	}
	w.log = append(w.log, d)
	s := w.sockets[d.to]
	w.mu.Unlock()
	if s != nil && !d.lost {
		s.deliver(d)
	}
}

// memOpener opens sockets at one node's addresses.
type memOpener struct {
	w      *world
	v4, v6 netip.Addr
	fail   error
}

func (o *memOpener) Open(port uint16, mark uint32) (*udp.Sockets, error) {
	if o.fail != nil {
		return nil, o.fail
	}
	o.w.mu.Lock()
	defer o.w.mu.Unlock()
	if port == 0 {
		port = 51820
	}
	open := func(a netip.Addr) *memSocket {
		s := &memSocket{w: o.w, at: netip.AddrPortFrom(a, port), mark: mark}
		s.more.L = &s.mu
		o.w.sockets[s.at] = s
		return s
	}
	return &udp.Sockets{V4: open(o.v4), V6: open(o.v6), Port: port}, nil
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
			s.w.carry(datagram{from: s.at, to: m.To.Addr, tos: m.TOS, ttl: m.TTL, data: bytes.Clone(b)})
		}
	}
	return len(ms), nil
}

func (s *memSocket) deliver(d datagram) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = append(s.waiting, d)
	s.more.Signal()
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
		b.Add(copy(b.Room(), d.data), 0, udp.Endpoint{Addr: d.from, Source: d.to.Addr()}, d.tos)
	}
	return nil
}

func (s *memSocket) SetMark(mark uint32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mark = mark
	return nil
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

	mu       sync.Mutex
	more     sync.Cond
	closed   bool
	outgoing [][]byte // what the host sends into the tunnel
	incoming [][]byte // what comes out of it
	refuse   func(p []byte) error
}

func newMemDevice() *memDevice {
	d := &memDevice{events: make(chan tun.Event, 16)}
	d.more.L = &d.mu
	return d
}

func (d *memDevice) Name() string             { return "mem0" }
func (d *memDevice) MTU() int                 { return 1420 }
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
	for len(d.outgoing) > 0 && b.Add(d.outgoing[0], offload.GSO{}) {
		d.outgoing = d.outgoing[1:]
	}
	return nil
}

func (d *memDevice) Write(ps [][]byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, p := range ps {
		if d.closed {
			return i, os.ErrClosed
		}
		if d.refuse != nil {
			if err := d.refuse(p); err != nil {
				return i, err
			}
		}
		d.incoming = append(d.incoming, bytes.Clone(p))
	}
	return len(ps), nil
}

// A host is one engine of the world. Number n has the outer addresses 192.0.2.n and 2001:db8::n, and the inner ones 10.0.0.n and fd00::n.
type host struct {
	*Tunnel
	w       *world
	number  int
	private key.Private
	device  *memDevice
	opener  *memOpener

	mu     sync.Mutex
	events []Event
}

// newHost makes an engine that is up and has a key.
func (w *world) newHost() *host {
	w.t.Helper()
	h := w.newSilentHost()
	h.set(&uapi.Config{PrivateKey: &h.private})
	h.device.events <- tun.Up
	w.wait()
	return h
}

// newSilentHost makes an engine that has no key yet and whose link is not up.
func (w *world) newSilentHost() *host {
	w.t.Helper()
	w.nodes++
	h := &host{w: w, number: w.nodes, device: newMemDevice()}
	h.opener = &memOpener{w: w, v4: h.outer4().Addr(), v6: h.outer6().Addr()}
	var err error
	if h.private, err = key.NewPrivate(rand.Reader); err != nil {
		w.t.Fatal(err)
	}
	h.Tunnel, err = New(Config{
		Device: h.device, Sockets: h.opener, Clock: newBubbleClock(), Arena: aead.NewArena(nil), Rand: rand.Reader,
		Log: slog.New(slog.DiscardHandler), Observe: h.observe, Processors: 2,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { h.Close() })
	return h
}

func (h *host) observe(e Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
}

// happened returns the events since the last call.
func (h *host) happened() []Event {
	h.w.wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	events := h.events
	h.events = nil
	return events
}

func (h *host) set(c *uapi.Config) {
	h.w.t.Helper()
	if err := h.Set(c); err != nil {
		h.w.t.Fatal(err)
	}
	h.w.wait()
}

func (h *host) public() key.Public { return h.private.Public() }

func (h *host) outer4() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(h.number)}), 51820)
}

func (h *host) outer6() netip.AddrPort {
	a := netip.MustParseAddr("2001:db8::").As16()
	a[15] = byte(h.number)
	return netip.AddrPortFrom(netip.AddrFrom16(a), 51820)
}

func (h *host) inner4() string { return fmt.Sprintf("10.0.0.%d", h.number) }
func (h *host) inner6() string { return fmt.Sprintf("fd00::%d", h.number) }

// asPeer is how another host is told of h, whose endpoint may be unknown.
func (h *host) asPeer(endpoint netip.AddrPort) uapi.PeerConfig {
	return uapi.PeerConfig{
		PublicKey: h.public(), Endpoint: endpoint, ReplaceAllowedIPs: true,
		AllowedIPs: []uapi.AllowedIP{
			{Prefix: netip.PrefixFrom(netip.MustParseAddr(h.inner4()), 32)},
			{Prefix: netip.PrefixFrom(netip.MustParseAddr(h.inner6()), 128)},
		},
	}
}

// newPair makes two hosts that know each other and have not spoken yet.
func (w *world) newPair() (a, b *host) {
	w.t.Helper()
	a, b = w.newHost(), w.newHost()
	a.set(&uapi.Config{Peers: []uapi.PeerConfig{b.asPeer(b.outer4())}})
	b.set(&uapi.Config{Peers: []uapi.PeerConfig{a.asPeer(a.outer4())}})
	return a, b
}

// newSession makes two hosts that have a session, which a initiated and both have used.
func (w *world) newSession() (a, b *host) {
	w.t.Helper()
	a, b = w.newPair()
	w.exchange(a, b)
	w.sent()
	a.happened()
	b.happened()
	return a, b
}

// exchange sends a packet each way and checks that both arrive.
func (w *world) exchange(a, b *host) {
	w.t.Helper()
	a.deliver(b)
	b.deliver(a)
}

// deliver sends a packet to another host and checks that it arrives, alone.
func (h *host) deliver(to *host) {
	h.w.t.Helper()
	p := h.packetTo(to)
	h.send(p)
	if got := to.received(); len(got) != 1 || !bytes.Equal(got[0], p) {
		h.w.t.Fatalf("host %d to %d: got %d packets, want the one that was sent", h.number, to.number, len(got))
	}
}

// packetTo makes a packet to another host with random content.
func (h *host) packetTo(to *host) []byte {
	payload := make([]byte, 64)
	rand.Read(payload)
	return ip4(h.inner4(), to.inner4(), protocolUDP, payload)
}

// send puts packets into the host's device, all at once.
func (h *host) send(ps ...[]byte) {
	h.device.mu.Lock()
	for _, p := range ps {
		h.device.outgoing = append(h.device.outgoing, bytes.Clone(p))
	}
	h.device.mu.Unlock()
	h.device.more.Broadcast()
	h.w.wait()
}

// received returns what came out of the host's device since the last call.
func (h *host) received() [][]byte {
	h.w.wait()
	h.device.mu.Lock()
	defer h.device.mu.Unlock()
	got := h.device.incoming
	h.device.incoming = nil
	return got
}

// peer returns what a host knows of another.
func (h *host) peer(of *host) *Peer {
	h.w.t.Helper()
	p := h.peers.get(of.public())
	if p == nil {
		h.w.t.Fatalf("host %d does not know host %d", h.number, of.number)
	}
	return p
}

// endpoint is where a host believes another to be.
func (h *host) endpoint(of *host) netip.AddrPort {
	if x := h.peer(of).path.Load(); x != nil {
		return x.Addr
	}
	return netip.AddrPort{}
}

// bubbleClock is the bubble's time.
type bubbleClock struct{ start time.Time }

func newBubbleClock() bubbleClock { return bubbleClock{time.Now().Add(-time.Hour)} }

func (c bubbleClock) Now() time.Duration { return time.Since(c.start) }
func (c bubbleClock) Wall() time.Time    { return time.Now() }
func (c bubbleClock) NewTimer() Timer    { return newRuntimeTimer(c.Now, 365*24*time.Hour) }
