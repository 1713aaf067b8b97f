package tunnel_test

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	mathrand "math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun/tuntest"

	"vpn/noise/aead"
	"vpn/noise/key"
	"vpn/tun"
	"vpn/tunnel"
	"vpn/tunnel/uapi"
	"vpn/tunnel/udp"
)

// fastClock runs faster than the world, so that sessions age while a test watches.
type fastClock struct {
	tunnel.Clock
	start time.Duration
	wall  time.Time
	speed time.Duration
}

func newFastClock(speed time.Duration) *fastClock {
	c := tunnel.SystemClock()
	return &fastClock{Clock: c, start: c.Now(), wall: c.Wall(), speed: speed}
}

func (c *fastClock) Now() time.Duration     { return c.start + (c.Clock.Now()-c.start)*c.speed }
func (c *fastClock) Wall() time.Time        { return c.wall.Add(c.Now() - c.start) }
func (c *fastClock) NewTimer() tunnel.Timer { return fastTimer{c.Clock.NewTimer(), c} }

type fastTimer struct {
	tunnel.Timer
	clock *fastClock
}

func (t fastTimer) Set(at time.Duration) {
	if at != 0 {
		at = t.clock.start + (at-t.clock.start)/t.clock.speed
	}
	t.Timer.Set(max(at, 0))
}

// TestInterop runs this engine against golang.zx2c4.com/wireguard/device over loopback: every packet must arrive once, in both
// directions, while sessions are replaced.
func TestInterop(t *testing.T) {
	for _, initiator := range []string{"we initiate", "they initiate"} {
		for _, psk := range []bool{false, true} {
			for _, outer := range []string{"127.0.0.1", "::1"} {
				name := fmt.Sprintf("%s, preshared key %v, over %s", initiator, psk, outer)
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					testInterop(t, initiator == "we initiate", psk, netip.MustParseAddr(outer))
				})
			}
		}
	}
}

func testInterop(t *testing.T, weInitiate, psk bool, outer netip.Addr) {
	const packets, parts = 10000, 4
	ours, theirs := newPrivate(t), newPrivate(t)
	var preshared *key.Preshared
	if psk {
		k, err := key.NewPreshared(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		preshared = &k
	}

	stock := newStock(t, theirs, ours.Public(), preshared)
	us := newChannelNode(t)
	us.configure(t, ours, theirs.Public(), preshared, packets/parts/2)
	if weInitiate {
		us.set(t, &uapi.Config{Peers: []uapi.PeerConfig{{PublicKey: theirs.Public(), Endpoint: netip.AddrPortFrom(outer, stock.port(t))}}})
	} else {
		d, _ := us.Get()
		stock.set(t, fmt.Sprintf("public_key=%s\nendpoint=%s\n", ours.Public().Hex(), netip.AddrPortFrom(outer, d.ListenPort)))
	}

	// The first packet decides who initiates; then both directions flow at once.
	first, second := flow{us.tun, stock.tun, "10.88.0.1", "10.88.0.2"}, flow{stock.tun, us.tun, "10.88.0.2", "10.88.0.1"}
	if !weInitiate {
		first, second = second, first
	}
	first.run(t, 0, 1)
	for part := range parts {
		done := make(chan struct{})
		go func() {
			defer close(done)
			second.run(t, part*packets/parts, (part+1)*packets/parts)
		}()
		first.run(t, max(1, part*packets/parts), (part+1)*packets/parts)
		<-done
		if t.Failed() {
			return
		}
		us.events.wait(tunnel.SessionStarted, part+2) // the part has crossed the limit
	}
	for why, n := range us.Drops() {
		// On a slow machine the clock outruns the stock device, whose answers are then late.
		if n != 0 && tunnel.Reason(why) != tunnel.UnknownIndex {
			t.Errorf("dropped %d: %v", n, tunnel.Reason(why))
		}
	}
}

// flow is numbered packets from one device to another.
type flow struct {
	from, to *tuntest.ChannelTUN
	src, dst string
}

// run sends packets number first up to last, at most a window of them under way at once, and checks that each arrives once, unchanged and
// in order. Every other packet is IPv6.
func (f flow) run(t *testing.T, first, last int) {
	const window = 32
	tokens := make(chan struct{}, window)
	sent := make(chan []byte, window)
	go func() {
		for i := first; i < last; i++ {
			tokens <- struct{}{}
			p := f.packet(i)
			sent <- p
			f.from.Outbound <- bytes.Clone(p)
		}
	}()
	for i := first; i < last; i++ {
		want := <-sent
		select {
		case got := <-f.to.Inbound:
			if !bytes.Equal(got, want) {
				t.Errorf("%s to %s: packet %d: got %d bytes, number %d; want %d bytes",
					f.src, f.dst, i, len(got), number(got), len(want))
				return
			}
		case <-time.After(20 * time.Second):
			t.Errorf("%s to %s: packet %d did not arrive", f.src, f.dst, i)
			return
		}
		<-tokens
	}
}

// packet makes packet number i: UDP with the number and random bytes.
func (f flow) packet(i int) []byte {
	payload := make([]byte, 8+8+mathrand.IntN(1300))
	rand.Read(payload)
	binary.BigEndian.PutUint64(payload[8:], uint64(i))
	src, dst := netip.MustParseAddr(f.src), netip.MustParseAddr(f.dst)
	if i%2 == 1 {
		src, dst = mapped(src), mapped(dst)
	}
	binary.BigEndian.PutUint16(payload[4:], uint16(len(payload)))
	binary.BigEndian.PutUint16(payload[6:], 0)
	if src.Is4() {
		b := make([]byte, 20, 20+len(payload))
		b[0], b[8], b[9] = 0x45, 64, 17
		binary.BigEndian.PutUint16(b[2:], uint16(20+len(payload)))
		copy(b[12:], src.AsSlice())
		copy(b[16:], dst.AsSlice())
		return append(b, payload...)
	}
	b := make([]byte, 40, 40+len(payload))
	b[0], b[6], b[7] = 0x60, 17, 64
	binary.BigEndian.PutUint16(b[4:], uint16(len(payload)))
	copy(b[8:], src.AsSlice())
	copy(b[24:], dst.AsSlice())
	return append(b, payload...)
}

// mapped is the IPv6 address that stands beside an IPv4 one in these tests.
func mapped(a netip.Addr) netip.Addr {
	b := netip.MustParseAddr("fd88::").As16()
	v4 := a.As4()
	copy(b[12:], v4[:])
	return netip.AddrFrom16(b)
}

func number(p []byte) int {
	header := 20
	if len(p) > 0 && p[0]>>4 == 6 {
		header = 40
	}
	if len(p) < header+16 {
		return -1
	}
	return int(binary.BigEndian.Uint64(p[header+8:]))
}

func newPrivate(t testing.TB) key.Private {
	t.Helper()
	k, err := key.NewPrivate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// channelNode is an engine whose device is a pair of channels.
type channelNode struct {
	node
	tun *tuntest.ChannelTUN
}

func newChannelNode(t testing.TB) *channelNode {
	t.Helper()
	c := tuntest.NewChannelTUN()
	d, err := tun.Wrap(c.TUN())
	if err != nil {
		t.Fatal(err)
	}
	n := &channelNode{tun: c, node: node{events: newEventLog(), arena: aead.NewArena(nil)}}
	n.Tunnel, err = tunnel.New(tunnel.Config{
		Device: d, Sockets: udp.System(), Clock: newFastClock(10), Arena: n.arena, Rand: rand.Reader,
		Log: testLogger(t), Observe: n.events.add, Processors: 2,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

func (n *channelNode) configure(t testing.TB, private key.Private, peer key.Public, preshared *key.Preshared, limit uint64) {
	n.private, n.public = private, private.Public()
	n.set(t, &uapi.Config{PrivateKey: &private, RekeyAfterPackets: &limit, Peers: []uapi.PeerConfig{{
		PublicKey: peer, Preshared: preshared,
		AllowedIPs: []uapi.AllowedIP{{Prefix: netip.MustParsePrefix("10.88.0.2/32")}, {Prefix: netip.PrefixFrom(mapped(netip.MustParseAddr("10.88.0.2")), 128)}},
	}}})
	n.port(t)
}

// stock is golang.zx2c4.com/wireguard's device with a pair of channels.
type stock struct {
	*device.Device
	tun *tuntest.ChannelTUN
}

func newStock(t testing.TB, private key.Private, peer key.Public, preshared *key.Preshared) *stock {
	t.Helper()
	s := &stock{tun: tuntest.NewChannelTUN()}
	s.Device = device.NewDevice(s.tun.TUN(), conn.NewDefaultBind(), device.NewLogger(device.LogLevelError, "stock: "))
	t.Cleanup(s.Close)
	var b strings.Builder
	fmt.Fprintf(&b, "private_key=%s\npublic_key=%s\n", private.Hex(), peer.Hex())
	if preshared != nil {
		fmt.Fprintf(&b, "preshared_key=%s\n", preshared.Hex())
	}
	fmt.Fprintf(&b, "allowed_ip=10.88.0.1/32\nallowed_ip=%s/128\n", mapped(netip.MustParseAddr("10.88.0.1")))
	s.set(t, b.String())
	if err := s.Up(); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *stock) set(t testing.TB, config string) {
	t.Helper()
	if err := s.IpcSet(config); err != nil {
		t.Fatal(err)
	}
}

func (s *stock) port(t testing.TB) uint16 {
	t.Helper()
	state, err := s.IpcGet()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(state) {
		var port uint16
		if n, _ := fmt.Sscanf(line, "listen_port=%d", &port); n == 1 {
			return port
		}
	}
	t.Fatal("the stock device has no port")
	return 0
}
