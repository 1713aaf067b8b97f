package sim

import (
	"bytes"
	"net/netip"
	"time"
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
		if n.at == at {
			return n
		}
	}
	return nil
}

// carry takes what a node has sent.
func (x *network) carry(from *node, d datagram) {
	w := x.w
	to := x.find(d.to)
	w.spy.record(d, to)
	if to == nil || w.now() < x.parted[[2]int{from.number, to.number}] {
		return
	}
	for {
		if !w.chance(x.loss) {
			x.deliver(x.damage(d), x.base+w.upTo(x.jitter)+x.late())
		}
		if !w.chance(x.double) {
			return
		}
	}
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

// deliver brings a datagram to whoever is at its destination by then.
func (x *network) deliver(d datagram, after time.Duration) {
	x.w.in(after, func() {
		if n := x.find(d.to); n != nil && (!x.honest || x.w.referee.sentFrom(d) == d.from) {
			n.receive(d)
		}
	})
}
