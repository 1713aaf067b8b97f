//go:build linux

package interop

import (
	"fmt"
	"testing"

	"vpn/cmd/internal/testnet"
)

// TestOuterMTU moves a stream through links of every size; the device's MTU is
// what fits, or its default where the link is smaller.
func TestOuterMTU(t *testing.T) {
	const size = 16 << 20
	eachOurs(t, func(t *testing.T, p pair) {
		for _, mtu := range []int{1280, 1420, 1500, 9000, 65535} {
			for name, six := range families {
				t.Run(fmt.Sprintf("%d over %s", mtu, name), func(t *testing.T) {
					n := testnet.NewPair(t, p.a, p.b, mtu, six)
					if mtu > 1500 {
						n.A.Daemon.SetMTU(mtu - 80)
						n.B.Daemon.SetMTU(mtu - 80)
					}
					reach(t, n.A.Host, n.B)
					testnet.Dial(n.A.Host, n.B.Host, n.B.Inner4).Transfer(size, crawling(size))
					testnet.Dial(n.A.Host, n.B.Host, n.B.Inner6).Transfer(size, crawling(size))
				})
			}
		}
	})
}

func TestRouteMTU(t *testing.T) {
	const size = 16 << 20
	eachOurs(t, func(t *testing.T, p pair) {
		for name, six := range families {
			t.Run("over "+name, func(t *testing.T) {
				n := testnet.NewHosts(t, 0)
				n.A.Outer.Route("192.168.77.0/24", "", 1300)
				n.A.Outer.Route("fd77::/64", "", 1300)
				n.StartDaemons(p.a, p.b)
				n.Join(six)
				reach(t, n.A.Host, n.B)
				testnet.Dial(n.A.Host, n.B.Host, n.B.Inner4).Transfer(size, crawling(size))
			})
		}
	})
}

func TestPathMTU(t *testing.T) {
	const size = 16 << 20
	eachOurs(t, func(t *testing.T, p pair) {
		for name, six := range families {
			t.Run("over "+name, func(t *testing.T) {
				n, _, toB := testnet.NewRoutedHosts(t)
				toB.SetMTU(1280)
				n.B.Outer.SetMTU(1280)
				n.StartDaemons(p.a, p.b)
				n.Join(six)
				reach(t, n.A.Host, n.B)
				testnet.Dial(n.A.Host, n.B.Host, n.B.Inner4).Transfer(size, crawling(size))
			})
		}
	})
}

// TestShrinkingPathMTU makes the path narrower in the middle of a transfer.
func TestShrinkingPathMTU(t *testing.T) {
	const size = 64 << 20
	eachOurs(t, func(t *testing.T, p pair) {
		for name, six := range families {
			t.Run("over "+name, func(t *testing.T) {
				n, _, toB := testnet.NewRoutedHosts(t)
				n.StartDaemons(p.a, p.b)
				n.Join(six)
				reach(t, n.A.Host, n.B)
				wait := testnet.Dial(n.A.Host, n.B.Host, n.B.Inner4).Start(size, crawling(size))
				testnet.Until(t, "the transfer runs", func() bool {
					return n.A.Daemon.Get().Number(n.B.Daemon.Key.Public, "tx_bytes") > size/8
				})
				toB.SetMTU(1280)
				n.B.Outer.SetMTU(1280)
				wait()
			})
		}
	})
}

// TestNoChecksumOffload has links that refuse segmented sends.
func TestNoChecksumOffload(t *testing.T) {
	const size = 16 << 20
	each(t, func(t *testing.T, p pair) {
		for name, six := range families {
			t.Run("over "+name, func(t *testing.T) {
				n := testnet.NewPair(t, p.a, p.b, 0, six)
				n.A.Outer.DisableTxChecksum()
				n.B.Outer.DisableTxChecksum()
				reach(t, n.A.Host, n.B)
				testnet.Dial(n.A.Host, n.B.Host, n.B.Inner4).Both(size, 2*crawling(size))
			})
		}
	})
}

// TestShrinkingDeviceMTU makes the device's MTU smaller, and larger again, in the middle of a transfer: what was read before is sent as
// it is.
func TestShrinkingDeviceMTU(t *testing.T) {
	const size = 64 << 20
	eachOurs(t, func(t *testing.T, p pair) {
		for name, six := range families {
			t.Run("with "+name, func(t *testing.T) {
				n := testnet.NewPair(t, p.a, p.b, 0, false)
				reach(t, n.A.Host, n.B)
				wait := testnet.Dial(n.A.Host, n.B.Host, inner(n.B, six)).Start(size, crawling(size))
				for i, mtu := range []int{1280, 1420, 1300} {
					testnet.Until(t, "the transfer runs", func() bool {
						return n.A.Daemon.Get().Number(n.B.Daemon.Key.Public, "tx_bytes") > (i+1)*size/8
					})
					n.A.Daemon.SetMTU(mtu)
					n.B.Daemon.SetMTU(mtu)
				}
				wait()
			})
		}
	})
}
