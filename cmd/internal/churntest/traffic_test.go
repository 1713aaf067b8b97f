//go:build linux

package churntest

import (
	"context"
	"encoding/binary"
	"net"
	"sync"
	"testing"
	"time"

	"vpn/cmd/internal/testnet"
)

const (
	echoPort = "7"
	every    = 10 * time.Millisecond // one datagram
)

// echo sends back what comes to a port of a host, until the test ends.
func echo(t *testing.T, h *testnet.Host, address string) {
	t.Helper()
	conn := h.ListenUDP(net.JoinHostPort(address, echoPort))
	go func() {
		b := make([]byte, 1<<11)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(b)
			if err != nil {
				return // closed
			}
			_, _ = conn.WriteToUDPAddrPort(b[:n], from) // one that the kernel refuses is a lost one
		}
	}()
}

// traffic is numbered datagrams to the hub and back. Each has to be answered, but for those that were under way or sent while their loss
// was excused.
type traffic struct {
	t    *testing.T
	name string
	conn *net.UDPConn

	mu       sync.Mutex
	sent     uint64              // number of the last
	open     map[uint64]struct{} // sent, not excused, not answered
	excusing bool
	latest   uint64 // number of the last that was answered
}

// start begins to send from a host. Its socket is not bound to an address: the way is looked for anew for each datagram.
func start(t *testing.T, h *testnet.Host) *traffic {
	t.Helper()
	x := &traffic{t: t, name: h.Name, conn: h.ListenUDP("0.0.0.0:0"), open: make(map[uint64]struct{}), excusing: true}
	stop := make(chan struct{})
	var running sync.WaitGroup
	to := &net.UDPAddr{IP: net.ParseIP(hubInner), Port: 7}
	running.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		b := make([]byte, 200)
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				binary.BigEndian.PutUint64(b, x.next())
				_, _ = x.conn.WriteToUDP(b, to) // as above
			}
		}
	})
	running.Go(func() {
		b := make([]byte, 1<<11)
		for {
			n, err := x.conn.Read(b)
			if err != nil {
				select {
				case <-stop:
					return
				default:
					continue // an ICMP error that came back
				}
			}
			if n >= 8 {
				x.answered(binary.BigEndian.Uint64(b))
			}
		}
	})
	t.Cleanup(func() {
		close(stop)
		_ = x.conn.Close()
		running.Wait()
	})
	return x
}

func (x *traffic) next() uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.sent++
	if !x.excusing {
		x.open[x.sent] = struct{}{}
	}
	return x.sent
}

func (x *traffic) answered(n uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.open, n)
	x.latest = max(x.latest, n)
}

// excuse excuses what is under way, and what is sent until settle returns. What was lost before is found first.
func (x *traffic) excuse() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for n := range x.open {
		if n+uint64(time.Second/every) > x.sent { // what is older was lost before
			delete(x.open, n)
		}
	}
	x.excusing = true
}

// back waits until a datagram is answered that is sent from now on.
func (x *traffic) back() {
	x.t.Helper()
	x.mu.Lock()
	from := x.sent
	x.mu.Unlock()
	testnet.Until(x.t, x.name+" has its traffic back", func() bool {
		x.mu.Lock()
		defer x.mu.Unlock()
		return x.latest > from
	})
}

// settle waits until traffic is back. From then on none may be lost.
func (x *traffic) settle() {
	x.t.Helper()
	x.back()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.excusing = false
}

// lost waits for the answers to all that has been sent, until patience is closed, and returns how many don't come.
func (x *traffic) lost(patience <-chan struct{}) int {
	x.mu.Lock()
	last := x.sent
	x.mu.Unlock()
	again := time.NewTicker(every)
	defer again.Stop()
	for {
		missing := 0
		x.mu.Lock()
		for n := range x.open {
			if n <= last {
				missing++
			}
		}
		x.mu.Unlock()
		if missing == 0 {
			return 0
		}
		select {
		case <-again.C:
		case <-patience:
			return missing
		}
	}
}

// nothingLost fails if a datagram was lost that nothing excuses.
func (w *world) nothingLost(when string) {
	w.t.Helper()
	patience, end := context.WithTimeout(w.t.Context(), testnet.Patience)
	defer end()
	for _, s := range w.spokes {
		if n := s.traffic.lost(patience.Done()); n > 0 {
			w.t.Fatalf("%s: %s: %d datagrams were lost for no reason", when, s.host.Name, n)
		}
	}
}

func (w *world) sent() (n uint64) {
	for _, s := range w.spokes {
		s.traffic.mu.Lock()
		n += s.traffic.sent
		s.traffic.mu.Unlock()
	}
	return n
}

// TestTrafficSeesLoss lets a link drop datagrams for a moment: excused, it is forgiven, and otherwise found.
func TestTrafficSeesLoss(t *testing.T) {
	a, b := testnet.NewHost(t, "a"), testnet.NewHost(t, "b")
	atA, atB := testnet.Connect(a, b, 0)
	atA.Address("10.9.0.1/24")
	atB.Address(hubInner + "/24")
	a.MustPing(hubInner)
	echo(t, b, hubInner)
	x := start(t, a)
	x.settle()
	interrupt := func() {
		x.mu.Lock()
		was := x.sent
		x.mu.Unlock()
		atB.Down()
		testnet.Until(t, "some are lost", func() bool {
			x.mu.Lock()
			defer x.mu.Unlock()
			return x.sent > was+5
		})
		atB.Up()
	}
	x.excuse()
	interrupt()
	x.settle()
	patience, end := context.WithTimeout(t.Context(), testnet.Patience)
	defer end()
	if n := x.lost(patience.Done()); n != 0 {
		t.Errorf("%d excused datagrams count as lost", n)
	}
	interrupt()
	patience, end = context.WithTimeout(t.Context(), time.Second)
	defer end()
	if x.settle(); x.lost(patience.Done()) == 0 {
		t.Error("the loss was not seen")
	}
}
