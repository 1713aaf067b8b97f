package floor_test

import (
	"crypto/rand"
	"log/slog"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"vpn/cmd/internal/floor"
	"vpn/noise/aead"
	"vpn/noise/key"
	"vpn/tun/netstack"
	"vpn/tunnel"
	"vpn/tunnel/uapi"
	"vpn/tunnel/udp"
)

// A shiftedClock is the machine's, with the time of day set to another.
type shiftedClock struct {
	tunnel.Clock
	by time.Duration
}

func (c shiftedClock) Wall() time.Time { return c.Clock.Wall().Add(c.by) }

// start starts a tunnel, which shakes hands at once with a peer whose endpoint it knows.
func start(t *testing.T, c tunnel.Config, private *key.Private, peer uapi.PeerConfig) *tunnel.Tunnel {
	t.Helper()
	device, _, err := netstack.Create([]netip.Addr{netip.MustParseAddr("10.77.0.1")}, nil, 1420)
	if err != nil {
		t.Fatal(err)
	}
	c.Device, c.Sockets, c.Arena, c.Rand = device, udp.Loopback(), aead.NewArena(nil), rand.Reader
	c.Log, c.Processors = slog.New(slog.NewTextHandler(t.Output(), nil)), runtime.GOMAXPROCS(0)
	tn, err := tunnel.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tn.Close() })
	peer.Keepalive = new(uint16(1))
	if err := tn.Set(&uapi.Config{PrivateKey: private, Peers: []uapi.PeerConfig{peer}}); err != nil {
		t.Fatal(err)
	}
	return tn
}

func newKey(t *testing.T) key.Private {
	t.Helper()
	k, err := key.NewPrivate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// A tunnel that starts anew with the clock set back by a year is heard by its peer as before.
func TestClockSetBackAcrossRestart(t *testing.T) {
	one, two := newKey(t), newKey(t)
	listening := func(tn *tunnel.Tunnel) uint16 {
		for deadline := time.After(10 * time.Second); ; {
			if d, _ := tn.Get(); d.ListenPort != 0 {
				return d.ListenPort
			}
			select {
			case <-deadline:
				t.Fatal("the link did not come up")
			case <-time.After(time.Millisecond):
			}
		}
	}
	b := start(t, tunnel.Config{Clock: tunnel.SystemClock()}, &two, uapi.PeerConfig{PublicKey: one.Public()})
	to := uapi.PeerConfig{PublicKey: two.Public(), Endpoint: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), listening(b))}

	dir := t.TempDir()
	const year = 365 * 24 * time.Hour
	for _, by := range []time.Duration{0, -year, -2 * year} {
		started := make(chan struct{}, 16)
		a := start(t, tunnel.Config{
			Clock: shiftedClock{tunnel.SystemClock(), by},
			Floor: floor.New(dir),
			Observe: func(e tunnel.Event) {
				if e.Kind == tunnel.SessionStarted {
					started <- struct{}{}
				}
			},
		}, &one, to)
		select {
		case <-started:
		case <-time.After(30 * time.Second):
			t.Fatalf("with the clock set by %v nobody answers", by)
		}
		a.Close()
	}
	if n := b.Drops()[tunnel.ReplayedInitiation]; n != 0 {
		t.Errorf("%d initiations were rejected", n)
	}
}
