package sim

import (
	"bytes"
	"net/netip"
	"time"

	"vpn/noise/wire"
)

// A weather is what the network does to datagrams: probabilities, and times under way.
type weather struct {
	loss, double, flip, cut float64
	slow                    float64 // to be up to longest late, and so behind others
	base, jitter            time.Duration
}

// longest is how late a datagram can be.
const longest = 10 * time.Second

var fair = weather{base: 20 * time.Millisecond}

// A network carries datagrams between the addresses at which nodes are seen.
type network struct {
	w *world
	weather
	honest bool                     // what comes from where its sender is not is lost, also what is under way since he moved
	parted map[[2]int]time.Duration // from, to: nothing gets through before this time
}

func (x *network) find(at netip.AddrPort) *node {
	for _, n := range x.w.nodes {
		if n.isAt(at) {
			return n
		}
	}
	return nil
}

// Bounds of what one arrival holds: a little less than one read may bring.
const (
	maxArrival      = 48
	maxArrivalBytes = 60_000
)

// carry takes what a node has sent in one step. Data messages that are to arrive at the same time arrive together.
func (x *network) carry(from *node, sent []datagram) {
	w := x.w
	var together arrival
	var after time.Duration
	size := 0
	flush := func() {
		if len(together) > 0 {
			x.deliver(together, after)
		}
		together, size = nil, 0
	}
	for _, d := range sent {
		to := x.find(d.to)
		w.spy.record(d, to)
		if to == nil || w.now() < x.parted[[2]int{from.number, to.number}] {
			continue
		}
		for {
			if !w.chance(x.loss) {
				came, late := x.damage(d), x.base+w.upTo(x.jitter)+x.late()
				if len(together) > 0 && (late != after || !together[0].joins(came) || len(together) == maxArrival || size+len(came.data) > maxArrivalBytes) {
					flush()
				}
				together, after, size = append(together, came), late, size+len(came.data)
			}
			if !w.chance(x.double) {
				break
			}
		}
	}
	flush()
}

// joins reports whether a datagram may arrive together with another one.
func (d datagram) joins(other datagram) bool {
	one, _ := wire.Classify(d.data)
	another, _ := wire.Classify(other.data)
	return one == wire.TypeData && another == wire.TypeData && d.from == other.from && d.to == other.to
}

func (x *network) late() time.Duration {
	if !x.w.chance(x.slow) {
		return 0
	}
	return x.w.upTo(longest)
}

// damage flips a bit or cuts the datagram, now and then.
func (x *network) damage(d datagram) datagram {
	if x.w.chance(x.flip) {
		d.data = bytes.Clone(d.data)
		d.data[x.w.random.IntN(len(d.data))] ^= 1 << x.w.random.IntN(8)
	}
	if x.w.chance(x.cut) {
		d.data = d.data[:x.w.random.IntN(len(d.data))]
	}
	return d
}

// deliver brings datagrams to whoever is at their destination by then.
func (x *network) deliver(a arrival, after time.Duration) {
	x.w.in(after, func() {
		if n := x.find(a[0].to); n != nil && (!x.honest || x.w.referee.sentFrom(a[0]) == a[0].from) {
			n.receive(a)
		}
	})
}
