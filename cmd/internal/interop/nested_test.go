//go:build linux

package interop

import (
	"net"
	"testing"

	"vpn/cmd/internal/testnet"
)

// TestVXLAN has a network of another kind inside the tunnel, whose datagrams have no checksum. They pass one by one, as they are: put
// together they would get checksums that nobody made, which who takes the inner packets out of them need not take.
func TestVXLAN(t *testing.T) {
	const size = 4 << 20
	eachOurs(t, func(t *testing.T, p pair) {
		for name, six := range families {
			t.Run("over "+name, func(t *testing.T) {
				n := testnet.NewPair(t, p.a, p.b, 0, false)
				reach(t, n.A.Host, n.B)
				var mtu int
				for _, s := range []struct{ at, other *testnet.Side }{{n.A, n.B}, {n.B, n.A}} {
					s.at.MustRun("ip", "link", "add", "vxlan0", "type", "vxlan", "id", "7", "dstport", "4789",
						"local", inner(s.at, six), "remote", inner(s.other, six), "noudpcsum", "udp6zerocsumtx", "udp6zerocsumrx")
					mtu = s.at.Daemon.MTU()
					link := s.at.Link("vxlan0")
					link.SetMTU(mtu - 70)
					link.Up()
				}
				n.A.Link("vxlan0").Address("10.30.0.1/24")
				n.B.Link("vxlan0").Address("10.30.0.2/24")
				n.A.MustPing("10.30.0.2")

				captures := map[string]*testnet.Capture{"A": testnet.NewCapture(n.A.Daemon.Link), "B": testnet.NewCapture(n.B.Daemon.Link)}
				testnet.Dial(n.A.Host, n.B.Host, "10.30.0.2").Both(size, 2*crawling(size))
				for side, c := range captures {
					came := 0
					for _, m := range c.Messages() {
						if m.Outgoing || m.To.Port() != 4789 {
							continue
						}
						came++
						if !m.Unsummed || len(m.Payload) > mtu {
							t.Fatalf("side %s: datagram %d of %d bytes came out of the tunnel, with a checksum: %v", side, came, len(m.Payload), !m.Unsummed)
						}
					}
					if came < size/mtu {
						t.Errorf("side %s: %d datagrams came out of the tunnel, fewer than the transfer has", side, came)
					}
				}
			})
		}
	})
}

// TestTunnelInTunnel carries one tunnel's messages in another, as a laptop does that is in two networks.
func TestTunnelInTunnel(t *testing.T) {
	const size = 4 << 20
	eachOurs(t, func(t *testing.T, p pair) {
		outer := testnet.NewPair(t, p.a, p.b, 0, false)
		reach(t, outer.A.Host, outer.B)
		a, b := *outer.A, *outer.B
		a.Port, b.Port = 51831, 51832
		a.Outer4, a.Outer6, b.Outer4, b.Outer6 = a.Inner4, a.Inner6, b.Inner4, b.Inner6
		a.Inner4, a.Inner6, b.Inner4, b.Inner6 = "10.19.0.1", "fd19::1", "10.19.0.2", "fd19::2"
		nested := &testnet.Pair{A: &a, B: &b}
		nested.StartDaemons(p.a, p.b)
		nested.A.Daemon.SetMTU(1340)
		nested.B.Daemon.SetMTU(1340)
		nested.Join(true)
		reach(t, nested.A.Host, nested.B)
		for _, address := range []string{b.Inner4, b.Inner6} {
			testnet.Dial(a.Host, b.Host, address).Both(size, 2*crawling(size))
		}
		if got := endpointOf(t, nested.B, nested.A).Addr().String(); got != a.Outer6 {
			t.Errorf("the nested tunnel runs at %s, want %s", got, net.ParseIP(a.Outer6))
		}
	})
}
