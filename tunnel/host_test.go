package tunnel

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"vpn/noise/aead"
	"vpn/noise/key"
	"vpn/rekey"
	"vpn/tun"
	"vpn/tunnel/uapi"
)

// A host is one engine of the world. Number n has the outer addresses 192.0.2.n and 2001:db8::n, and the inner ones 10.0.0.n and fd00::n.
type host struct {
	*Tunnel
	w       *world
	number  int
	private key.Private
	device  *memDevice
	opener  *memOpener
	time    *bubbleClock
	floor   Floor // of the next start

	configured chan struct{} // of the next start

	mu     sync.Mutex
	events []Event
}

// newHost makes an engine that is up and has a key.
func (w *world) newHost() *host {
	w.t.Helper()
	h := w.newSilentHost()
	h.set(&uapi.Config{PrivateKey: &h.private})
	h.link(tun.Up)
	return h
}

// newSilentHost makes an engine that has no key yet and whose link is not up.
func (w *world) newSilentHost() *host {
	w.t.Helper()
	w.nodes++
	h := &host{w: w, number: w.nodes, time: newBubbleClock()}
	h.opener = &memOpener{w: w, v4: h.outer4().Addr(), v6: h.outer6().Addr()}
	var err error
	if h.private, err = key.NewPrivate(rand.Reader); err != nil {
		w.t.Fatal(err)
	}
	h.start()
	return h
}

// start starts the host's engine, with nothing configured.
func (h *host) start() {
	h.w.t.Helper()
	h.device = newMemDevice()
	t, err := New(Config{
		Device: h.device, Sockets: h.opener, Clock: h.time, Arena: aead.NewArena(nil), Rand: rand.Reader,
		Log: slog.New(slog.DiscardHandler), Floor: h.floor, Observe: h.observe, Configured: h.configured, Processors: 2,
	})
	if err != nil {
		h.w.t.Fatal(err)
	}
	h.Tunnel = t
	h.w.t.Cleanup(func() { t.Close() })
}

// restart ends the host's engine and starts another, which knows its key and these peers.
func (h *host) restart(ps ...uapi.PeerConfig) {
	h.w.t.Helper()
	h.Close()
	h.start()
	h.set(&uapi.Config{PrivateKey: &h.private, Peers: ps})
	h.link(tun.Up)
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

// link tells the host's engine that its link is up or down.
func (h *host) link(e tun.Event) {
	h.device.events <- e
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

// newSession makes two hosts that have a session, which a initiated and both have used. It is KeepaliveTimeout old, and nobody owes the
// other an answer.
func (w *world) newSession() (a, b *host) {
	w.t.Helper()
	a, b = w.newPair()
	w.exchange(a, b)
	w.sleep(rekey.KeepaliveTimeout)
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

// send puts packets into the host's device, all at once, and waits for what follows.
func (h *host) send(ps ...[]byte) {
	h.put(ps...)
	h.w.wait()
}

// put puts packets into the host's device, all at once.
func (h *host) put(ps ...[]byte) {
	h.device.mu.Lock()
	defer h.device.mu.Unlock()
	for _, p := range ps {
		h.device.outgoing = append(h.device.outgoing, tun.Packet{Data: bytes.Clone(p)})
	}
	h.device.more.Broadcast()
}

// putSuper puts superpackets into the host's device, all at once. They are the device's from now on.
func (h *host) putSuper(ps ...tun.Packet) {
	h.device.mu.Lock()
	defer h.device.mu.Unlock()
	h.device.outgoing = append(h.device.outgoing, ps...)
	h.device.more.Broadcast()
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

// bubbleClock is the bubble's time, for one host. Its two readings can be made to jump.
type bubbleClock struct {
	start time.Time
	slept atomic.Int64 // how far both are ahead of the bubble
	set   atomic.Int64 // how far Wall was set ahead of that

	mu     sync.Mutex
	timers []*runtimeTimer
}

func newBubbleClock() *bubbleClock { return &bubbleClock{start: time.Now().Add(-time.Hour)} }

func (c *bubbleClock) Now() time.Duration {
	return time.Since(c.start) + time.Duration(c.slept.Load())
}
func (c *bubbleClock) Wall() time.Time {
	return time.Now().Add(time.Duration(c.slept.Load() + c.set.Load()))
}

func (c *bubbleClock) NewTimer() Timer {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := newRuntimeTimer(c.Now, 365*24*time.Hour)
	c.timers = append(c.timers, t)
	return t
}

// sleep is the machine asleep for d: the clock has counted it, nothing has run, and timers that are due tick on waking.
func (c *bubbleClock) sleep(d time.Duration) {
	c.slept.Add(int64(d))
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.timers {
		t.look()
	}
}
