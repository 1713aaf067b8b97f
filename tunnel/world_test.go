package tunnel

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"vpn/noise/wire"
)

// A world is engines on devices and sockets in memory, in a bubble in which time stands still while anybody works: a script says what
// happens, wait lets it happen, and time.Sleep lets time pass.
type world struct {
	t       testing.TB
	mu      sync.Mutex
	sockets map[netip.AddrPort]*memSocket
	log     []datagram
	// filter is asked for every datagram, if it is not nil, and may change it; false loses it.
	filter func(d *datagram) bool
	// latency is how long a datagram is under way.
	latency time.Duration
	nodes   int
}

// A datagram is one message on the way.
type datagram struct {
	at       time.Time
	from, to netip.AddrPort
	source   netip.Addr // the sticky source that the sender asked for
	tos, ttl byte
	data     []byte
	segment  int // not 0: data is what the kernel has coalesced
	lost     bool
}

func (d *datagram) kind() wire.Type {
	k, _ := wire.Classify(d.data)
	return k
}

func (d datagram) String() string {
	return fmt.Sprintf("{type %d, %d bytes, %v to %v}", d.kind(), len(d.data), d.from, d.to)
}

// inWorld runs a script in a bubble of its own; every engine must be gone at its end.
func inWorld(t *testing.T, script func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		script(t, &world{t: t, sockets: make(map[netip.AddrPort]*memSocket)})
	})
}

// wait lets everybody work until all wait for time or for the script.
func (w *world) wait() { synctest.Wait() }

// sleep lets time pass, and what is due happen.
func (w *world) sleep(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // the bubble's clock jumps: nobody waits
	synctest.Wait()
}

// sent returns what was sent since the last call, lost or not.
func (w *world) sent() []datagram {
	w.wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	log := w.log
	w.log = nil
	return log
}

// kinds is what was sent since the last call, as the kinds of the messages.
func (w *world) kinds() (kinds []wire.Type) {
	for _, d := range w.sent() {
		kinds = append(kinds, d.kind())
	}
	return kinds
}

// setFilter changes what the network does to datagrams; nil: nothing.
func (w *world) setFilter(f func(d *datagram) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.filter = f
}

// inject puts a datagram on the network as an attacker would: from anywhere, to anywhere. It is not in the log.
func (w *world) inject(d datagram) {
	w.mu.Lock()
	s := w.sockets[d.to]
	w.mu.Unlock()
	if s != nil {
		s.deliver(d)
	}
	w.wait()
}

func (w *world) carry(d datagram) {
	d.at = time.Now()
	w.mu.Lock()
	if w.filter != nil {
		d.lost = !w.filter(&d)
	}
	w.log = append(w.log, d)
	s, latency := w.sockets[d.to], w.latency
	w.mu.Unlock()
	switch {
	case s == nil || d.lost:
	case latency != 0:
		s.deliverAfter(latency, d)
	default:
		s.deliver(d)
	}
}
