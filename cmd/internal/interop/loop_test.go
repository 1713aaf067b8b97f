//go:build linux

package interop

import (
	"testing"
	"time"

	"vpn/cmd/internal/testnet"
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
