//go:build linux

package interop

import (
	"net"
	"net/netip"
	"strconv"
	"testing"

	"vpn/cmd/internal/testnet"
)

// endpointOf returns where side b believes side a to be.
func endpointOf(t *testing.T, b, a *testnet.Side) netip.AddrPort {
	t.Helper()
	text := b.Daemon.Get().Peers[a.Daemon.Key.Public]["endpoint"]
	endpoint, err := netip.ParseAddrPort(text)
	if err != nil {
		t.Fatalf("endpoint %q: %v", text, err)
	}
	return endpoint
}

func TestRoamToAnotherAddress(t *testing.T) {
	each(t, func(t *testing.T, p pair) {
		n := testnet.NewPair(t, p.a, p.b, 0, false)
		reach(t, n.A.Host, n.B)
		n.A.Outer.RemoveAddress(n.A.Outer4 + "/24")
		n.A.Outer.Address("192.168.77.99/24")
		reach(t, n.A.Host, n.B)
		if got, want := endpointOf(t, n.B, n.A), netip.AddrPortFrom(netip.MustParseAddr("192.168.77.99"), uint16(n.A.Port)); got != want {
			t.Errorf("the peer is at %v, want %v", got, want)
		}
		reach(t, n.B.Host, n.A)
	})
}

// TestRoamToAnotherFamily also looks at where the first messages after it go.
func TestRoamToAnotherFamily(t *testing.T) {
	each(t, func(t *testing.T, p pair) {
		for name, six := range families {
			t.Run("from "+name, func(t *testing.T) {
				n := testnet.NewPair(t, p.a, p.b, 0, six)
				reach(t, n.A.Host, n.B)
				capture := testnet.NewCapture(n.B.Outer)
				n.A.Knows(n.B, n.B.Endpoint(!six))
				reach(t, n.A.Host, n.B)
				want := netip.MustParseAddrPort(net.JoinHostPort(outer(n.A, !six), strconv.Itoa(n.A.Port)))
				if got := endpointOf(t, n.B, n.A); got != want {
					t.Errorf("the peer is at %v, want %v", got, want)
				}
				if p.b != ours {
					return
				}
				seen := 0
				for _, m := range capture.Messages() {
					if m.Outgoing && m.To.Addr().Is6() == !six {
						seen++
						if m.To != want {
							t.Errorf("a message went to %v, want %v", m.To, want)
						}
					}
				}
				if seen == 0 {
					t.Error("no message to the new address was seen")
				}
			})
		}
	})
}

func TestNATRebinding(t *testing.T) {
	each(t, func(t *testing.T, p pair) {
		n, _, toB := testnet.NewRoutedHosts(t)
		toB.TranslateTo("192.168.78.254", 40000, 40999)
		n.StartDaemons(p.a, p.b)
		n.A.Knows(n.B, n.B.Endpoint(false))
		n.B.Knows(n.A, "")
		n.Up(false)
		reach(t, n.A.Host, n.B)
		seen := func(first, last uint16) {
			t.Helper()
			got := endpointOf(t, n.B, n.A)
			if got.Addr().String() != "192.168.78.254" || got.Port() < first || got.Port() > last {
				t.Errorf("the peer is at %v, want the router and a port from %d to %d", got, first, last)
			}
		}
		seen(40000, 40999)
		toB.TranslateTo("192.168.78.254", 50000, 50999)
		reach(t, n.A.Host, n.B)
		seen(50000, 50999)
		reach(t, n.B.Host, n.A)
	})
}

// TestRepliesComeFromTheAddressAddressed gives side A three addresses, one of
// them on another link; side B speaks to each in turn. Only A is looked at.
func TestRepliesComeFromTheAddressAddressed(t *testing.T) {
	const size = 8 << 20
	eachOurs(t, func(t *testing.T, p pair) {
		for _, address := range []string{"192.168.77.55", "172.16.5.1", "fd77::55", "fd05::1"} {
			t.Run(address, func(t *testing.T) {
				n := testnet.NewHosts(t, 0)
				n.A.Outer.Address("192.168.77.55/24", "fd77::55/64")
				other, _ := testnet.Connect(n.A.Host, testnet.NewHost(t, "c"), 0)
				other.Address("172.16.5.1/24", "fd05::1/64")
				n.B.Outer.Route("172.16.5.0/24", n.A.Outer4, 0)
				n.B.Outer.Route("fd05::/64", n.A.Outer6, 0)
				n.StartDaemons(p.a, p.b)
				n.A.Knows(n.B, "")
				n.B.Knows(n.A, net.JoinHostPort(address, strconv.Itoa(n.A.Port)))
				n.Up(netip.MustParseAddr(address).Is6())
				capture := testnet.NewCapture(n.A.Outer)
				reach(t, n.B.Host, n.A)
				testnet.Dial(n.B.Host, n.A.Host, n.A.Inner4).Both(size, 2*crawling(size))
				sent := 0
				for _, m := range capture.Messages() {
					if !m.Outgoing {
						continue
					}
					sent++
					if m.From.Addr().String() != address {
						t.Fatalf("message %d of type %d left from %v", sent, m.Type(), m.From)
					}
				}
				if sent == 0 {
					t.Error("nothing was sent")
				}
			})
		}
	})
}
