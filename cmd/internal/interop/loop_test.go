//go:build linux

package interop

import (
	"errors"
	"testing"
	"time"

	"vpn/cmd/internal/testnet"

	"golang.org/x/sys/unix"
)

// TestLoopToItself sends a tunnel's own messages into the tunnel: its peer's
// endpoint is an address that the tunnel carries.
func TestLoopToItself(t *testing.T) {
	t.Parallel()
	const most = 200_000
	eachOurs(t, func(t *testing.T, p pair) {
		t.Parallel()
		for name, six := range families {
			t.Run(name, func(t *testing.T) {
				n := testnet.NewPair(t, p.a, p.b, 0, false)
				reach(t, n.A.Host, n.B)
				inside := *n.B
				inside.Outer4, inside.Outer6 = n.B.Inner4, n.B.Inner6
				n.A.Knows(n.B, inside.Endpoint(six))
				before := n.A.Daemon.Sent()
				n.A.Ping(n.B.Inner4, 1, 4*time.Second)
				if sent := n.A.Daemon.Sent() - before; sent > most {
					t.Errorf("one looping packet made %d bytes, more than %d", sent, most)
				}
			})
		}
	})
}

// TestLoopBetweenTwo has two tunnels on a host, each of whose messages go into
// the other.
func TestLoopBetweenTwo(t *testing.T) {
	t.Parallel()
	const most = 70_000
	eachOurs(t, func(t *testing.T, p pair) {
		t.Parallel()
		first := testnet.NewPair(t, p.a, p.b, 0, false)
		reach(t, first.A.Host, first.B)
		a, b := *first.A, *first.B // a second tunnel between the same hosts
		a.Port, b.Port = 51831, 51832
		a.Inner4, a.Inner6, b.Inner4, b.Inner6 = "10.19.0.1", "fd19::1", "10.19.0.2", "fd19::2"
		second := &testnet.Pair{A: &a, B: &b}
		second.StartDaemons(p.a, p.b)
		second.Join(false)
		reach(t, second.A.Host, second.B)

		through := func(of, by *testnet.Side) string {
			inside := *of
			inside.Outer4 = by.Inner4
			return inside.Endpoint(false)
		}
		first.A.Knows(first.B, through(first.B, second.B))
		second.A.Knows(second.B, through(second.B, first.B))
		before := first.A.Daemon.Sent() + second.A.Daemon.Sent()
		first.A.Ping(first.B.Inner4, 1, 4*time.Second)
		if sent := first.A.Daemon.Sent() + second.A.Daemon.Sent() - before; sent > most {
			t.Errorf("one looping packet made %d bytes, more than %d", sent, most)
		}
	})
}

// TestLoopOfRoutes has each of two gateways route a network to the other. A packet goes to and fro through the tunnel, back to the peer that
// it came from, until its time to live is over and its sender is told so.
func TestLoopOfRoutes(t *testing.T) {
	t.Parallel()
	const most, hops = 70_000, 60
	eachOurs(t, func(t *testing.T, p pair) {
		t.Parallel()
		n := testnet.NewPair(t, p.a, p.b, 0, false)
		reach(t, n.A.Host, n.B)
		behind := testnet.NewHost(t, "behind")
		toBehind, toA := testnet.Connect(n.A.Host, behind, 0)
		toBehind.Address("10.20.0.1/24")
		toA.Address("10.20.0.2/24")
		toA.Route("10.99.0.0/16", "10.20.0.1", 0)
		for _, s := range []struct{ at, other *testnet.Side }{{n.A, n.B}, {n.B, n.A}} {
			s.at.Forward()
			for _, link := range []string{"all", s.at.Daemon.Link.Name} { // a redirect would cost the sender the other message
				s.at.Sysctl("ipv4/conf/"+link+"/send_redirects", "0")
			}
			s.at.Daemon.Set("public_key="+s.other.Daemon.Key.Public, "allowed_ip=10.99.0.0/16", "allowed_ip=10.20.0.0/24")
			s.at.Daemon.Route("10.99.0.0/16", "", 0)
		}
		n.B.Daemon.Route("10.20.0.0/24", "", 0)
		capture := testnet.NewCapture(n.A.Outer)
		before := n.A.Daemon.Sent() + n.B.Daemon.Sent()
		if err := behind.DialError("10.99.0.1:9", testnet.Patience); !errors.Is(err, unix.EHOSTUNREACH) {
			t.Errorf("the sender is told %v, want host unreachable", err)
		}
		if sent := n.A.Daemon.Sent() + n.B.Daemon.Sent() - before; sent > most {
			t.Errorf("one looping packet made %d bytes, more than %d", sent, most)
		}
		if seen := len(capture.Messages()); seen < hops {
			t.Errorf("%d messages: the packet made fewer than %d hops", seen, hops)
		}
	})
}
