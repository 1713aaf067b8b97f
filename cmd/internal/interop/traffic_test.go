//go:build linux

package interop

import (
	"testing"
	"time"

	"vpn/cmd/internal/testnet"
)

func TestPing(t *testing.T) {
	each(t, func(t *testing.T, p pair) {
		for name, six := range families {
			t.Run("over "+name, func(t *testing.T) {
				n := testnet.NewPair(t, p.a, p.b, 0, six)
				reach(t, n.A.Host, n.B)
				reach(t, n.B.Host, n.A)
				for _, to := range []string{n.B.Inner4, n.B.Inner6} {
					if got := n.A.Ping(to, 20, time.Second); got.Lost() > 0 {
						t.Errorf("%d of %d replies from %s lost", got.Lost(), got.Sent, to)
					}
				}
			})
		}
	})
}

// TestFirstPing holds that what waits for the handshake is sent after it.
func TestFirstPing(t *testing.T) {
	each(t, func(t *testing.T, p pair) {
		n := testnet.NewPair(t, p.a, p.b, 0, false)
		if got := n.A.Ping(n.B.Inner4, 1, testnet.Patience); got.Lost() > 0 {
			t.Error("the packet that began the handshake is lost")
		}
	})
}

func TestTCP(t *testing.T) {
	const size = 32 << 20
	each(t, func(t *testing.T, p pair) {
		for name, six := range families {
			t.Run("over "+name, func(t *testing.T) {
				n := testnet.NewPair(t, p.a, p.b, 0, six)
				for name, six := range families {
					t.Run("with "+name, func(t *testing.T) {
						reach(t, n.A.Host, n.B)
						stream := testnet.Dial(n.A.Host, n.B.Host, inner(n.B, six))
						stream.Transfer(size, crawling(size))
						stream.Swap().Transfer(size, crawling(size))
						stream.Both(size, 2*crawling(size))
						stream.Close()
					})
				}
			})
		}
	})
}

// TestUDP sends slowly enough for any machine: what is lost or reordered at this
// rate is not for want of time.
func TestUDP(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p pair) {
		t.Parallel()
		n := testnet.NewPair(t, p.a, p.b, 0, false)
		reach(t, n.A.Host, n.B)
		for _, size := range []int{8, 64, 1300, 1392} {
			flow := testnet.Blast(n.A.Host, n.B.Host, n.B.Inner4, 1000, size, 1000, 3*time.Second)
			if flow.Doubled > 0 || flow.Reordered > 0 || flow.Lost() > 100 {
				t.Errorf("datagrams of %d bytes: %+v", size, flow)
			}
		}
		// Larger than the device's MTU: fragments.
		if flow := testnet.Blast(n.B.Host, n.A.Host, n.A.Inner6, 100, 9000, 100, 3*time.Second); flow.Lost() > 10 {
			t.Errorf("fragmented datagrams: %+v", flow)
		}
	})
}

// TestExactCounters holds the transfer figures of both sides after one echo
// request on fresh sessions against what wireguard-go has with itself.
func TestExactCounters(t *testing.T) {
	want := exchanged(t, reference, reference, figures{})
	if want.sentByA == 0 || want.sentByA != want.receivedByB || want.sentByB != want.receivedByA {
		t.Fatalf("wireguard-go with itself: %+v", want)
	}
	each(t, func(t *testing.T, p pair) {
		if got := exchanged(t, p.a, p.b, want); got != want {
			t.Errorf("%+v, wireguard-go has %+v", got, want)
		}
	})
}

// figures are what both sides of a tunnel have counted.
type figures struct{ sentByA, receivedByA, sentByB, receivedByB int }

// exchanged returns the figures after one echo request. A daemon may count what
// it has sent after the reply is there, so they are read again until they are as
// wanted, or, with nothing wanted, until the sides agree, or a second is over.
func exchanged(t *testing.T, a, b testnet.Kind, want figures) (got figures) {
	t.Helper()
	n := testnet.NewPair(t, a, b, 0, false)
	if n.A.Ping(n.B.Inner4, 1, testnet.Patience).Received != 1 {
		t.Fatal("no reply")
	}
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for range 200 {
		ofA, ofB := n.A.Daemon.Get(), n.B.Daemon.Get()
		got = figures{
			sentByA: ofA.Number(n.B.Daemon.Key.Public, "tx_bytes"), receivedByA: ofA.Number(n.B.Daemon.Key.Public, "rx_bytes"),
			sentByB: ofB.Number(n.A.Daemon.Key.Public, "tx_bytes"), receivedByB: ofB.Number(n.A.Daemon.Key.Public, "rx_bytes"),
		}
		if got == want || want == (figures{}) && got.sentByA == got.receivedByB && got.sentByB == got.receivedByA {
			break
		}
		<-again.C
	}
	return got
}
