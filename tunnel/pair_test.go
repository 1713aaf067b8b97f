package tunnel_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	wgnetstack "golang.zx2c4.com/wireguard/tun/netstack"

	"vpn/noise/aead"
	"vpn/noise/key"
	"vpn/tun/netstack"
	"vpn/tunnel"
	"vpn/tunnel/uapi"
	"vpn/tunnel/udp"
)

// node is a whole engine with an IP stack of its own and real sockets on loopback.
type node struct {
	*tunnel.Tunnel
	private key.Private
	public  key.Public
	v4, v6  netip.Addr
	net     *wgnetstack.Net
	arena   *aead.Arena
	events  *eventLog
}

// eventLog keeps what a node observed, and lets a test wait for more.
type eventLog struct {
	mu   sync.Mutex
	more sync.Cond
	all  []tunnel.Event
}

func newEventLog() *eventLog {
	l := new(eventLog)
	l.more.L = &l.mu
	return l
}

func (l *eventLog) add(e tunnel.Event) {
	l.mu.Lock()
	l.all = append(l.all, e)
	l.mu.Unlock()
	l.more.Broadcast()
}

// wait returns once n events of a kind have been seen.
func (l *eventLog) wait(kind tunnel.EventKind, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.countLocked(kind) < n {
		l.more.Wait()
	}
}

func (l *eventLog) count(kind tunnel.EventKind) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.countLocked(kind)
}

func (l *eventLog) countLocked(kind tunnel.EventKind) (n int) {
	for _, e := range l.all {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

func testLogger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func newNode(t testing.TB, v4, v6 string) *node {
	t.Helper()
	n := &node{v4: netip.MustParseAddr(v4), v6: netip.MustParseAddr(v6), events: newEventLog(), arena: aead.NewArena(nil)}
	var err error
	if n.private, err = key.NewPrivate(rand.Reader); err != nil {
		t.Fatal(err)
	}
	n.public = n.private.Public()
	device, net, err := netstack.Create([]netip.Addr{n.v4, n.v6}, nil, 1420)
	if err != nil {
		t.Fatal(err)
	}
	n.net = net
	n.Tunnel, err = tunnel.New(tunnel.Config{
		Device: device, Sockets: udp.System(), Clock: tunnel.SystemClock(), Arena: n.arena, Rand: rand.Reader,
		Log: testLogger(t), Observe: n.events.add, Processors: runtime.GOMAXPROCS(0),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	n.set(t, &uapi.Config{PrivateKey: &n.private})
	return n
}

func (n *node) set(t testing.TB, c *uapi.Config) {
	t.Helper()
	if err := n.Set(c); err != nil {
		t.Fatal(err)
	}
}

// port waits until the link is up, and returns the port that was bound.
func (n *node) port(t testing.TB) uint16 {
	t.Helper()
	for range 1000 {
		if d, _ := n.Get(); d.ListenPort != 0 {
			return d.ListenPort
		}
		runtime.Gosched()
	}
	deadline := time.After(10 * time.Second)
	for {
		select {
		case <-deadline:
			t.Fatal("the link did not come up")
		case <-time.After(time.Millisecond):
		}
		if d, _ := n.Get(); d.ListenPort != 0 {
			return d.ListenPort
		}
	}
}

// peerOf is how other nodes are told of n. The endpoint may be the zero value.
func (n *node) peerOf(endpoint netip.AddrPort) uapi.PeerConfig {
	return uapi.PeerConfig{
		PublicKey: n.public, Endpoint: endpoint, ReplaceAllowedIPs: true,
		AllowedIPs: []uapi.AllowedIP{{Prefix: netip.PrefixFrom(n.v4, 32)}, {Prefix: netip.PrefixFrom(n.v6, 128)}},
	}
}

// newPair makes two nodes that know each other; only a knows where b is.
func newPair(t testing.TB) (a, b *node) {
	t.Helper()
	a, b = newNode(t, "10.77.0.1", "fd77::1"), newNode(t, "10.77.0.2", "fd77::2")
	loopback := netip.MustParseAddr("127.0.0.1")
	b.set(t, &uapi.Config{Peers: []uapi.PeerConfig{a.peerOf(netip.AddrPort{})}})
	a.set(t, &uapi.Config{Peers: []uapi.PeerConfig{b.peerOf(netip.AddrPortFrom(loopback, b.port(t)))}})
	return a, b
}

// transfer sends n random bytes from one node to the other over TCP and checks that they arrive.
func transfer(t testing.TB, from, to *node, addr netip.Addr, n int) {
	t.Helper()
	l, err := to.net.ListenTCPAddrPort(netip.AddrPortFrom(addr, 7))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	sent := make([]byte, n)
	rand.Read(sent)
	got := make(chan []byte, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			got <- nil
			return
		}
		defer c.Close()
		b, _ := io.ReadAll(c)
		got <- b
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := from.net.DialContextTCPAddrPort(ctx, netip.AddrPortFrom(addr, 7))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(sent); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(<-got, sent) {
		t.Error("what arrived is not what was sent")
	}
	c.Close()
}

func TestPairTransfer(t *testing.T) {
	a, b := newPair(t)
	transfer(t, a, b, b.v4, 20<<20)
	transfer(t, b, a, a.v4, 20<<20)
	transfer(t, a, b, b.v6, 1<<20)
	if n := a.events.count(tunnel.SessionStarted); n != 1 {
		t.Errorf("%d sessions, want 1", n)
	}
	for name, n := range map[string]*node{"a": a, "b": b} {
		for why, count := range n.Drops() {
			if count != 0 {
				t.Errorf("%s dropped %d: %v", name, count, tunnel.Reason(why))
			}
		}
		n.Close()
		if live := n.arena.Live(); live != 0 {
			t.Errorf("%s: %d keys are live after Close", name, live)
		}
	}
}
