package noise

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun/tuntest"

	"vpn/noise/cookie"
	"vpn/noise/key"
	"vpn/noise/wire"
)

// patience ends a test that would wait for ever.
const patience = 20 * time.Second

// wires is the network between this test and a wireguard-go: the outer side of its sockets.
type wires struct {
	in, out chan []byte
	closed  chan struct{}
}

type place struct{}

func (place) ClearSrc()           {}
func (place) SrcToString() string { return "" }
func (place) DstToString() string { return "192.0.2.1:1" }
func (place) DstToBytes() []byte  { return []byte("192.0.2.1:1") }
func (place) DstIP() netip.Addr   { return netip.MustParseAddr("192.0.2.1") }
func (place) SrcIP() netip.Addr   { return netip.Addr{} }

func (w *wires) Open(port uint16) ([]conn.ReceiveFunc, uint16, error) {
	closed := make(chan struct{})
	w.closed = closed
	return []conn.ReceiveFunc{func(bufs [][]byte, sizes []int, from []conn.Endpoint) (int, error) {
		select {
		case <-closed:
			return 0, net.ErrClosed
		case b := <-w.in:
			sizes[0], from[0] = copy(bufs[0], b), place{}
			return 1, nil
		}
	}}, port, nil
}

func (w *wires) Close() error {
	if w.closed != nil {
		close(w.closed)
		w.closed = nil
	}
	return nil
}

func (w *wires) Send(bufs [][]byte, _ conn.Endpoint) error {
	for _, b := range bufs {
		w.out <- bytes.Clone(b)
	}
	return nil
}

func (w *wires) SetMark(uint32) error                        { return nil }
func (w *wires) BatchSize() int                              { return 1 }
func (w *wires) ParseEndpoint(string) (conn.Endpoint, error) { return place{}, nil }

// receive returns the next message of a type that wireguard-go sends.
func (w *wires) receive(t *testing.T, want wire.Type) []byte {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case b := <-w.out:
			if have, ok := wire.Classify(b); !ok {
				t.Fatalf("wireguard-go sends %x", b)
			} else if have == want {
				return b
			}
		case <-deadline:
			t.Fatalf("wireguard-go sends no %v", want)
		}
	}
}

// foreign is a wireguard-go in this process, with one peer: us.
type foreign struct {
	*wires
	tun    *tuntest.ChannelTUN
	local  *Local
	remote *Remote
}

var insideOurs, insideTheirs = netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")

func newForeign(t *testing.T, psk bool) *foreign {
	t.Helper()
	ours, theirs := fresh(t), fresh(t)
	f := &foreign{
		wires: &wires{in: make(chan []byte, 16), out: make(chan []byte, 16)},
		tun:   tuntest.NewChannelTUN(), local: NewLocal(&ours), remote: NewRemote(theirs.Public()),
	}
	d := device.NewDevice(f.tun.TUN(), f.wires, device.NewLogger(device.LogLevelSilent, ""))
	t.Cleanup(d.Close)
	text := fmt.Sprintf("private_key=%s\npublic_key=%s\nendpoint=192.0.2.1:1\nallowed_ip=%s/32\n", theirs.Hex(), f.local.Public().Hex(), insideOurs)
	if psk {
		k, err := key.NewPreshared(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		f.remote.SetPreshared(&k)
		text += "preshared_key=" + k.Hex() + "\n"
	}
	if err := d.IpcSet(text); err != nil {
		t.Fatal(err)
	}
	if err := d.Up(); err != nil {
		t.Fatal(err)
	}
	return f
}

func fresh(t *testing.T) key.Private {
	t.Helper()
	k, err := key.NewPrivate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// check sends a packet each way through the session.
func (f *foreign) check(t *testing.T, s *Session) {
	t.Helper()
	ping := tuntest.Ping(insideTheirs, insideOurs)
	f.in <- sealData(t, s, 0, ping)
	select {
	case got := <-f.tun.Inbound:
		if !bytes.Equal(got, ping) {
			t.Errorf("wireguard-go's device gets %x, want %x", got, ping)
		}
	case <-time.After(patience):
		t.Fatal("wireguard-go's device gets no packet")
	}
	pong := tuntest.Ping(insideOurs, insideTheirs)
	f.tun.Outbound <- pong
	if got := openData(t, s, f.nextData(t)); !bytes.HasPrefix(got, pong) {
		t.Errorf("wireguard-go sends us %x, want %x", got, pong)
	}
}

// nextData returns the next data message that is not a keepalive.
func (f *foreign) nextData(t *testing.T) []byte {
	t.Helper()
	for {
		if b := f.receive(t, wire.TypeData); len(b) > wire.MinSizeData {
			return b
		}
	}
}

func nonce(counter uint64) []byte {
	b := make([]byte, chacha20poly1305.NonceSize)
	for i := range 8 {
		b[4+i] = byte(counter >> (8 * i))
	}
	return b
}

func sealData(t *testing.T, s *Session, counter uint64, packet []byte) []byte {
	t.Helper()
	c, err := chacha20poly1305.New(s.Send[:])
	if err != nil {
		t.Fatal(err)
	}
	msg := make([]byte, wire.SizeDataHeader)
	wire.PutDataHeader(msg, s.RemoteIndex, counter)
	padded := append(bytes.Clone(packet), make([]byte, -len(packet)&15)...)
	return c.Seal(msg, nonce(counter), padded, nil)
}

func openData(t *testing.T, s *Session, msg []byte) []byte {
	t.Helper()
	if wire.DataReceiver(msg) != s.LocalIndex {
		t.Fatalf("data message for index %#x, want %#x", wire.DataReceiver(msg), s.LocalIndex)
	}
	c, err := chacha20poly1305.New(s.Receive[:])
	if err != nil {
		t.Fatal(err)
	}
	packet, err := c.Open(nil, nonce(wire.DataCounter(msg)), msg[wire.SizeDataHeader:], nil)
	if err != nil {
		t.Fatalf("wireguard-go's data message %s does not open", hex.EncodeToString(msg))
	}
	return packet
}

func forBoth(t *testing.T, test func(t *testing.T, f *foreign)) {
	for _, psk := range []bool{false, true} {
		t.Run(fmt.Sprintf("psk=%t", psk), func(t *testing.T) { test(t, newForeign(t, psk)) })
	}
}

func TestInitiateToWireGuardGo(t *testing.T) {
	forBoth(t, func(t *testing.T, f *foreign) {
		msg := new(wire.Initiation)
		i, err := Initiate(f.local, f.remote, 7, Stamp(time.Now()), rand.Reader, msg)
		if err != nil {
			t.Fatal(err)
		}
		cookie.NewGenerator(f.remote.Public).AddMACs(msg[:], 0)
		f.in <- bytes.Clone(msg[:])
		reply := f.receive(t, wire.TypeResponse)
		if !cookie.NewChecker(f.local.Public()).CheckMAC1(reply) {
			t.Error("wireguard-go's response has a bad mac1")
		}
		s, err := i.Finish(f.local, f.remote, wire.AsResponse(reply))
		if err != nil {
			t.Fatal(err)
		}
		f.check(t, s)
	})
}

func TestRespondToWireGuardGo(t *testing.T) {
	forBoth(t, func(t *testing.T, f *foreign) {
		first := tuntest.Ping(insideOurs, insideTheirs)
		f.tun.Outbound <- first
		b := f.receive(t, wire.TypeInitiation)
		if !cookie.NewChecker(f.local.Public()).CheckMAC1(b) {
			t.Error("wireguard-go's initiation has a bad mac1")
		}
		msg := wire.AsInitiation(b)
		a, err := Accept(f.local, msg)
		if err != nil {
			t.Fatal(err)
		}
		h, err := a.Authenticate(f.remote, msg)
		if err != nil {
			t.Fatal(err)
		}
		if skew := time.Since(h.Timestamp().Time()); skew < 0 || skew > time.Hour {
			t.Errorf("wireguard-go's timestamp is %v old", skew)
		}
		reply := new(wire.Response)
		s, err := h.Respond(f.remote, 9, rand.Reader, reply)
		if err != nil {
			t.Fatal(err)
		}
		cookie.NewGenerator(f.remote.Public).AddMACs(reply[:], 0)
		f.in <- bytes.Clone(reply[:])
		if got := openData(t, s, f.nextData(t)); !bytes.HasPrefix(got, first) {
			t.Errorf("wireguard-go confirms with %x, want %x", got, first)
		}
		f.check(t, s)
	})
}
