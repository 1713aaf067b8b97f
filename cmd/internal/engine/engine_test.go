package engine

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net"
	"testing"

	"go.uber.org/goleak"
	"golang.zx2c4.com/wireguard/tun/tuntest"

	"vpn/noise/aead"
	"vpn/noise/key"
	"vpn/tun"
	"vpn/tunnel"
	"vpn/tunnel/uapi"
	"vpn/tunnel/udp"
)

// A control is a control socket on loopback, whose file is deleted when deleted
// is closed.
type control struct {
	net.Listener
	deleted chan struct{}
}

func (c control) Deleted() <-chan struct{} { return c.deleted }

// noSockets are not asked for: the link never goes up.
type noSockets struct{ t *testing.T }

func (n noSockets) Open(uint16, uint32) (*udp.Sockets, error) {
	n.t.Error("sockets were opened for a link that is down")
	return nil, net.ErrClosed
}

// TestRunEnds runs an engine, configures it, and ends it in each of the ways
// that it can end: with nothing left running, and nobody answering.
func TestRunEnds(t *testing.T) {
	for how, end := range map[string]func(stop func(), device tun.Device, c control){
		"context": func(stop func(), _ tun.Device, _ control) { stop() },
		"device":  func(_ func(), device tun.Device, _ control) { device.Close() },
		"deleted": func(_ func(), _ tun.Device, c control) { close(c.deleted) },
		"failed":  func(_ func(), _ tun.Device, c control) { c.Close() },
	} {
		t.Run(how, func(t *testing.T) {
			defer goleak.VerifyNone(t)
			device, err := tun.Wrap(tuntest.NewChannelTUN().TUN())
			if err != nil {
				t.Fatal(err)
			}
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			c := control{l, make(chan struct{})}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			ready, ended := make(chan struct{}), make(chan error, 1)
			arena := aead.NewArena(nil)
			go func() {
				ended <- Run(ctx, Config{
					Device: device, Listener: c, Sockets: udp.System(), Clock: tunnel.SystemClock(), Arena: arena,
					Log: slog.New(slog.DiscardHandler), Ready: func(*tunnel.Tunnel) { close(ready) },
				})
			}()
			<-ready
			configure(t, l.Addr())
			end(stop, device, c)
			if err := <-ended; (err != nil) != (how == "failed") {
				t.Errorf("Run returns %v", err)
			}
			if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
				t.Error("the control socket is still open")
			}
			if n := arena.Live(); n != 0 {
				t.Errorf("%d keys are left", n)
			}
		})
	}
}

// configure gives the interface a key, and sees that it has it.
func configure(t *testing.T, at net.Addr) {
	t.Helper()
	conn, err := net.Dial(at.Network(), at.String())
	if err != nil {
		t.Fatal(err)
	}
	c := uapi.NewClient("test", conn)
	defer c.Close()
	k, err := key.NewPrivate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Set(&uapi.Config{PrivateKey: &k}); err != nil {
		t.Fatal(err)
	}
	d, err := c.Get()
	if err != nil {
		t.Fatal(err)
	}
	if !d.PrivateKey.Equal(&k) {
		t.Error("the key that was set is not the key that is there")
	}
}

// TestRunRefused gives an engine a device without queues.
func TestRunRefused(t *testing.T) {
	device := &noQueues{}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	err = Run(t.Context(), Config{
		Device: device, Listener: control{l, nil}, Sockets: noSockets{t}, Clock: tunnel.SystemClock(),
		Arena: aead.NewArena(nil), Log: slog.New(slog.DiscardHandler),
	})
	if err == nil {
		t.Error("Run returns nil")
	}
	if _, err := net.Dial("tcp", l.Addr().String()); err == nil || !device.closed {
		t.Error("the control socket or the device is still open")
	}
}

type noQueues struct {
	tun.Device
	closed bool
}

func (*noQueues) Queues() []tun.Queue { return nil }
func (n *noQueues) Close() error      { n.closed = true; return nil }
