//go:build unix

package tunnel_test

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun/tuntest"

	"vpn/noise"
	"vpn/noise/aead"
	"vpn/noise/cookie"
	"vpn/noise/key"
	"vpn/noise/wire"
	"vpn/tun"
	"vpn/tunnel"
	"vpn/tunnel/uapi"
	"vpn/tunnel/udp"
)

// BenchmarkResponder answers initiations: from datagram to response, over loopback, 64 under way at once. "first" is a peer's first
// handshake, for which we compute the static-static secret and wireguard-go has done so when it was configured; "again" is another one.
// The CPU time of all threads is what counts on a machine that does other things too; it includes sending initiations and receiving
// responses.
//
//	go test ./tunnel -run '^$' -bench Responder -benchtime 10x
func BenchmarkResponder(b *testing.B) {
	for _, engine := range []struct {
		name  string
		start func(b *testing.B, private key.Private, peers []key.Public) (port uint16)
	}{{"vpn", startUs}, {"wireguard-go", startStock}} {
		b.Run(engine.name, func(b *testing.B) {
			private := newPrivate(b)
			c := newCallers(b, private.Public(), 1000)
			c.dial(engine.start(b, private, c.publics()))
			c.prepare()
			first := c.call()
			var again time.Duration
			for b.Loop() {
				b.StopTimer()
				c.prepare()
				b.StartTimer()
				again += c.call()
			}
			b.ReportMetric(float64(first.Microseconds())/float64(len(c.all)), "cpu-us/first")
			b.ReportMetric(float64(again.Microseconds())/float64(len(c.all))/float64(b.N), "cpu-us/again")
			b.ReportMetric(float64(len(c.all)*b.N)/b.Elapsed().Seconds(), "handshakes/s")
		})
	}
}

// callers are initiators of handshakes behind one socket.
type callers struct {
	b      testing.TB
	all    []caller
	to     key.Public
	socket *net.UDPConn
	round  int
}

type caller struct {
	local    *noise.Local
	remote   *noise.Remote
	cookies  *cookie.Generator
	prepared wire.Initiation
}

func newCallers(b testing.TB, to key.Public, n int) *callers {
	c := &callers{b: b, all: make([]caller, n), to: to}
	for i := range c.all {
		private := newPrivate(b)
		c.all[i] = caller{local: noise.NewLocal(&private), remote: noise.NewRemote(to), cookies: cookie.NewGenerator(to)}
	}
	return c
}

func (c *callers) publics() (keys []key.Public) {
	for i := range c.all {
		keys = append(keys, c.all[i].local.Public())
	}
	return keys
}

func (c *callers) dial(port uint16) {
	var err error
	if c.socket, err = net.DialUDP("udp4", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(port)}); err != nil {
		c.b.Fatal(err)
	}
	c.b.Cleanup(func() { c.socket.Close() })
}

// prepare makes an initiation of each caller.
func (c *callers) prepare() {
	c.round++
	stamp := noise.Stamp(time.Now().Add(time.Duration(c.round) * time.Second))
	for i := range c.all {
		x := &c.all[i]
		h, err := noise.Initiate(x.local, x.remote, uint32(i), stamp, rand.Reader, &x.prepared)
		if err != nil {
			c.b.Fatal(err)
		}
		h.Erase()
		x.cookies.AddMACs(x.prepared[:], 1)
	}
}

// call sends what was prepared, receives all responses, and returns the CPU time that this took the process.
func (c *callers) call() time.Duration {
	const window = 64
	before := cpuTime(c.b)
	buf := make([]byte, 2048)
	for sent, answered := 0, 0; answered < len(c.all); {
		for ; sent < len(c.all) && sent-answered < window; sent++ {
			if _, err := c.socket.Write(c.all[sent].prepared[:]); err != nil {
				c.b.Fatal(err)
			}
		}
		c.socket.SetReadDeadline(time.Now().Add(20 * time.Second))
		n, err := c.socket.Read(buf)
		if err != nil {
			c.b.Fatalf("%d of %d are answered: %v", answered, len(c.all), err)
		}
		if n != wire.SizeResponse {
			c.b.Fatalf("%d bytes are no response", n)
		}
		answered++
	}
	return cpuTime(c.b) - before
}

func cpuTime(b testing.TB) time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func startUs(b *testing.B, private key.Private, peers []key.Public) uint16 {
	d, err := tun.Wrap(tuntest.NewChannelTUN().TUN())
	if err != nil {
		b.Fatal(err)
	}
	n := &node{arena: aead.NewArena(nil)}
	n.Tunnel, err = tunnel.New(tunnel.Config{
		Device: d, Sockets: udp.System(), Clock: tunnel.SystemClock(), Arena: n.arena, Rand: rand.Reader,
		Log: slog.New(slog.DiscardHandler), Processors: 2,
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { n.Close() })
	c := &uapi.Config{PrivateKey: &private}
	for _, p := range peers {
		c.Peers = append(c.Peers, uapi.PeerConfig{PublicKey: p})
	}
	n.set(b, c)
	return n.port(b)
}

func startStock(b *testing.B, private key.Private, peers []key.Public) uint16 {
	s := &stock{tun: tuntest.NewChannelTUN()}
	s.Device = device.NewDevice(s.tun.TUN(), conn.NewDefaultBind(), device.NewLogger(device.LogLevelSilent, ""))
	b.Cleanup(s.Close)
	var config strings.Builder
	fmt.Fprintf(&config, "private_key=%s\n", private.Hex())
	for _, p := range peers {
		fmt.Fprintf(&config, "public_key=%s\n", p.Hex())
	}
	s.set(b, config.String())
	if err := s.Up(); err != nil {
		b.Fatal(err)
	}
	return s.port(b)
}
