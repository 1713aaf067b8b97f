//go:build linux

package interop

import (
	"sync"
	"testing"
	"time"

	"vpn/cmd/internal/testnet"
)

// TestSeveralLines has daemons as on many processors, with queues and sockets for
// four lines: many flows at once both ways, none of which is reordered.
func TestSeveralLines(t *testing.T) {
	t.Setenv("GOMAXPROCS", "8")
	const lanes, rounds, burst, size = 8, 6, 60, 16 << 20
	n := testnet.NewPair(t, testnet.VPN, testnet.VPN, 0, false)
	reach(t, n.A.Host, n.B)
	var running sync.WaitGroup
	for lane := range lanes {
		from, to := n.A, n.B
		if lane%2 == 1 {
			from, to = n.B, n.A
		}
		running.Go(func() {
			for round := range rounds {
				flow := testnet.Blast(from.Host, to.Host, inner(to, round%2 == 1), burst, 1200, 0, time.Second)
				if flow.Doubled > 0 || flow.Reordered > 0 || flow.Received == 0 {
					t.Errorf("datagrams of lane %d: %+v", lane, flow)
				}
			}
		})
	}
	stream := testnet.Dial(n.A.Host, n.B.Host, inner(n.B, true))
	stream.Both(size, 2*crawling(size))
	stream.Close()
	running.Wait()
}
