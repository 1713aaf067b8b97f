package tunnel

import (
	"crypto/rand"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"vpn/noise/aead"
	"vpn/noise/key"
	"vpn/rekey"
	"vpn/tun"
	"vpn/tun/offload"
	"vpn/tunnel/uapi"
	"vpn/tunnel/udp"
)

// stoppedClock stands still, so that a session lasts as long as a benchmark runs.
type stoppedClock struct{}

func (stoppedClock) Now() time.Duration { return time.Hour }
func (stoppedClock) Wall() time.Time    { return time.Unix(0, 0) }
func (c stoppedClock) NewTimer() Timer  { return newRuntimeTimer(c.Now, time.Hour) }

// deadEnd is a device and a socket at once: nothing comes from it until it is closed. What is sent goes into a batch, if there is one,
// and what is delivered is counted.
type deadEnd struct {
	closed  chan struct{}
	events  chan tun.Event
	sent    *udp.Batch
	written int
}

func (d *deadEnd) Name() string             { return "null0" }
func (d *deadEnd) MTU() int                 { return 1420 }
func (d *deadEnd) Events() <-chan tun.Event { return d.events }
func (d *deadEnd) Queues() []tun.Queue      { return []tun.Queue{d} }
func (d *deadEnd) SetMark(uint32) error     { return nil }

func (d *deadEnd) Read(*tun.Batch) error {
	<-d.closed
	return os.ErrClosed
}

func (d *deadEnd) Receive(*udp.Batch) error {
	<-d.closed
	return net.ErrClosed
}

func (d *deadEnd) Write(ps [][]byte) (int, error) {
	d.written += len(ps)
	return len(ps), nil
}

func (d *deadEnd) Send(ms []udp.Outgoing) (int, error) {
	if d.sent != nil {
		for i := range ms {
			d.sent.Add(copy(d.sent.Room(), ms[i].Data), ms[i].Segment, *ms[i].To, ms[i].TOS)
		}
	}
	return len(ms), nil
}

func (d *deadEnd) Close() error {
	select {
	case <-d.closed:
	default:
		close(d.closed)
		close(d.events)
	}
	return nil
}

func (d *deadEnd) Open(uint16, uint32) (*udp.Sockets, error) {
	return &udp.Sockets{V4: []udp.Socket{d}, Port: 51820}, nil
}

// bench is two engines that have a session and no goroutine at work: what goes out of the one goes into the other when the test says so.
type bench struct {
	out   *outbound
	in    *inbound
	end   *deadEnd // the receiver's device
	count int      // packets in a batch
	bytes int64
}

func newBench(t testing.TB) *bench {
	t.Helper()
	sender, sends := newBenchTunnel(t)
	receiver, receives := newBenchTunnel(t)
	var there, back [32]byte
	rand.Read(there[:])
	rand.Read(back[:])
	p, q := addBenchPeer(t, sender, 2), addBenchPeer(t, receiver, 1)
	i, err := sender.index.reserve(p)
	if err != nil {
		t.Fatal(err)
	}
	j, err := receiver.index.reserve(q)
	if err != nil {
		t.Fatal(err)
	}
	begin(t, p, &there, &back, i, j)
	begin(t, q, &back, &there, j, i)
	b := &bench{out: newOutbound(sender, 0), in: newInbound(receiver, receives, receives), end: receives}
	sends.sent = b.in.in
	return b
}

func newBenchTunnel(t testing.TB) (*Tunnel, *deadEnd) {
	t.Helper()
	d := &deadEnd{closed: make(chan struct{}), events: make(chan tun.Event)}
	e, err := New(Config{
		Device: d, Sockets: d, Clock: stoppedClock{}, Arena: aead.NewArena(nil), Rand: rand.Reader,
		Log: slog.New(slog.DiscardHandler), Processors: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	private := newPrivateKey(t)
	if err := e.Set(&uapi.Config{PrivateKey: &private}); err != nil {
		t.Fatal(err)
	}
	e.linkUp()
	return e, d
}

// addBenchPeer adds the peer with inner address 10.0.0.n.
func addBenchPeer(t testing.TB, e *Tunnel, n byte) *Peer {
	t.Helper()
	var public key.Public
	if _, err := io.ReadFull(rand.Reader, public[:]); err != nil {
		t.Fatal(err)
	}
	err := e.Set(peers(uapi.PeerConfig{
		PublicKey: public, Endpoint: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, n}), 51820),
		AllowedIPs: []uapi.AllowedIP{{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, n}), 32)}},
	}))
	if err != nil {
		t.Fatal(err)
	}
	return e.peers.get(public)
}

// begin gives a peer a session that no handshake has made.
func begin(t testing.TB, p *Peer, send, receive *[32]byte, local, remote uint32) {
	t.Helper()
	arena := p.tunnel.arena
	s, err := arena.NewKey(send)
	if err != nil {
		t.Fatal(err)
	}
	r, err := arena.NewKey(receive)
	if err != nil {
		t.Fatal(err)
	}
	k := rekey.NewKeypair(rekey.Params{Role: rekey.Initiator, Send: s, Receive: r, LocalIndex: local, RemoteIndex: remote, Born: time.Hour, ID: 1})
	p.tunnel.index.bind(local, p, k)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.apply(p.machine.Initiated(k, time.Hour), time.Hour)
}

// fill puts a batch into the sender's device: it stays there for all runs.
func (b *bench) fill(p []byte, g offload.GSO, n int) {
	b.out.in.Reset()
	for range n {
		b.out.in.Add(p, g)
	}
	var s offload.Superpacket
	if err := s.Init(p, g); err != nil {
		panic(err)
	}
	b.count, b.bytes = n*s.Count(), int64(n*len(p))
}

func (b *bench) send() {
	b.in.in.Reset()
	b.out.plan()
	b.out.work()
	b.out.finish()
}

func (b *bench) receive() {
	b.in.plan()
	b.in.work()
	b.in.finish()
}

// batches are what lanes meet: a superpacket, and single packets.
var batches = []struct {
	name   string
	packet []byte
	gso    offload.GSO
	n      int
}{
	{"superpacket", superpacket(44 * 1380), offload.GSO{Type: offload.TCPv4, Size: 1380, HeaderLen: 40}, 1},
	{"64 small packets", ip4("10.0.0.1", "10.0.0.2", protocolUDP, make([]byte, 80)), offload.GSO{}, 64},
	{"one packet", ip4("10.0.0.1", "10.0.0.2", protocolUDP, make([]byte, 1400)), offload.GSO{}, 1},
}

func superpacket(n int) []byte {
	payload := make([]byte, 20+n)
	payload[12], payload[13] = 5<<4, 0x10
	return ip4("10.0.0.1", "10.0.0.2", 6, payload)
}

func TestPacketPathsAllocateNothing(t *testing.T) {
	for _, c := range batches {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			b.fill(c.packet, c.gso, c.n)
			if n := testing.AllocsPerRun(100, b.send); n != 0 && !raced {
				t.Errorf("%v allocations for a batch on its way out", n)
			}
			b.end.written = 0
			if n := testing.AllocsPerRun(100, func() { b.send(); b.receive() }); n != 0 && !raced {
				t.Errorf("%v allocations for a batch on its way out and in", n)
			}
			if want := 101 * b.count; b.end.written != want { // AllocsPerRun runs once more, to warm up
				t.Errorf("%d packets were delivered, want %d", b.end.written, want)
			}
		})
	}
}

func BenchmarkOutbound(b *testing.B) {
	for _, c := range batches {
		b.Run(c.name, func(b *testing.B) {
			x := newBench(b)
			x.fill(c.packet, c.gso, c.n)
			b.SetBytes(x.bytes)
			b.ReportAllocs()
			for b.Loop() {
				x.send()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*x.count), "ns/packet")
		})
	}
}

// BenchmarkInbound counts the receiver's time only: each batch is sealed anew before, since no message is taken twice.
func BenchmarkInbound(b *testing.B) {
	for _, c := range batches {
		b.Run(c.name, func(b *testing.B) {
			x := newBench(b)
			x.fill(c.packet, c.gso, c.n)
			var spent time.Duration
			for b.Loop() {
				x.send()
				start := time.Now()
				x.receive()
				spent += time.Since(start)
			}
			b.ReportMetric(float64(spent.Nanoseconds())/float64(b.N), "ns/op")
			b.ReportMetric(float64(spent.Nanoseconds())/float64(b.N*x.count), "ns/packet")
			b.ReportMetric(float64(x.bytes)*float64(b.N)/1e6/spent.Seconds(), "MB/s")
		})
	}
}
