package sim

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"vpn/tun"
	"vpn/tunnel/uapi"
)

const (
	playTime  = 10 * time.Minute // at least, before the end is silent
	flowTime  = 30 * time.Second // after chaos, until traffic must flow
	idleTime  = 100 * time.Second
	silentFor = 4 * time.Minute

	floodChance = 1. / 20
)

// A twin is a world in which something is broken on purpose. Its functions may be nil.
type twin struct {
	begin         func(w *world)
	before, after func(w *world, n *node, in arrival, authentic bool) // a step
	sleep, wake   func(n *node)
	rest          func(w *world) // when nobody has anything to say any more
}

// options are how a seed is played.
type options struct {
	twin   twin
	until  rule    // ends the play when it is broken; empty: any
	trace  *trace  // may be nil
	census *census // may be nil
	stock  bool    // node 1 is wireguard-go
}

// play plays a seed in a bubble of its own, and returns the rules that were broken, and how.
func play(t *testing.T, seed uint64, o options) (broken map[rule]string) {
	synctest.Test(t, func(*testing.T) {
		w := newWorld(seed, o)
		for _, n := range w.nodes {
			defer n.end()
		}
		w.play()
		broken = w.referee.broken
	})
	return broken
}

func newWorld(seed uint64, o options) *world {
	w := &world{
		seed: seed, random: rand.New(rand.NewPCG(seed, 0)), start: time.Now(), psk: make(map[[2]int][32]byte),
		trace: o.trace, census: o.census, twin: o.twin, flooded: floodChance,
	}
	w.network = network{w: w, weather: fair, parted: make(map[[2]int]time.Duration)}
	w.spy = attacker{w: w}
	w.referee = newReferee(w)
	w.stop = func() bool {
		if o.until != "" {
			return w.referee.broken[o.until] != ""
		}
		return len(w.referee.broken) > 0
	}
	nodes := pick(w, 2, 2, 2, 3, 3, 4)
	for i := range nodes {
		if o.stock && i == 1 {
			w.newStock()
		} else {
			w.newNode()
		}
	}
	for i, n := range w.nodes {
		n.told = make([]*told, nodes)
		for j := range w.nodes {
			// All know node 0; whether others know each other is the seed's.
			if i != j && (i == 0 || j == 0 || (seed>>(pair(i, j)[0]+pair(i, j)[1]))&1 == 0) {
				n.told[j] = new(told)
			}
		}
	}
	return w
}

// play is the course of a seed: storms, and after each a calm in which all must be well again; at the end silence.
func (w *world) play() {
	if w.twin.begin != nil {
		w.twin.begin(w)
	}
	for _, n := range w.nodes {
		n.set("private key", &uapi.Config{PrivateKey: &n.private})
	}
	w.calm()
	for w.now() < playTime && !w.over() {
		w.storm(pick(w, 60*time.Second, 150*time.Second, 300*time.Second))
		w.calm()
	}
	if w.chance(w.flooded) {
		w.flood(w.nodes[0])
	}
	w.silence()
}

// often does something again and again until a time, every so often on average.
func (w *world) often(every, until time.Duration, do func()) {
	w.in(w.upTo(2*every), func() {
		if w.now() < until {
			do()
			w.often(every, until, do)
		}
	})
}

// storm lets everything happen for a while.
func (w *world) storm(d time.Duration) {
	end := w.now() + d
	w.network.honest, w.referee.clean = false, math.MaxInt
	w.turn(nil, 0)
	w.often(pick(w, 3*time.Second, 8*time.Second, 20*time.Second), end, w.strike)
	w.often(pick(w, time.Second, 4*time.Second), end, w.spy.attack)
	every := pick(w, time.Second, 5*time.Second, 30*time.Second)
	for i, n := range w.nodes {
		for j, t := range n.told {
			if t != nil {
				w.often(every, end, func() { w.burst(i, j) })
			}
		}
	}
	w.run(end)
}

// burst sends a few packets at once, or a superpacket.
func (w *world) burst(from, to int) {
	if w.chance(0.1) {
		w.nodes[from].putWhole(w.superpacket(from, to))
		return
	}
	ps := make([][]byte, 1+w.random.IntN(3))
	for i := range ps {
		ps[i] = w.packet(from, to)
	}
	w.nodes[from].put(ps...)
}

// A talk is who says something to whom.
type talk struct{ from, to int }

// calm ends all chaos, and holds that traffic flows after a while. Some only listen.
func (w *world) calm() {
	w.network.weather, w.network.honest, w.referee.clean = fair, true, len(w.referee.payloads)
	clear(w.network.parted)
	w.repair()
	var talks []talk
	for i, n := range w.nodes {
		for j := range i {
			if n.told[j] != nil {
				talks = append(talks, pick(w, []talk{{i, j}}, []talk{{j, i}}, []talk{{i, j}, {j, i}})...)
			}
		}
	}
	for _, x := range talks {
		n, m := w.nodes[x.from], w.nodes[x.to]
		if n.stock != nil { // where it believes others to be is not known
			n.change("endpoint", x.to, uapi.PeerConfig{Endpoint: n.somewhere(m)})
			continue
		}
		c := uapi.PeerConfig{Candidates: []netip.AddrPort{}}
		if all := n.whereabouts(m); !slices.Contains(all, w.referee.ends[x.from][m.public]) {
			// Both may have moved at once. Only who says where the other is now can help.
			if c.Endpoint = pick(w, all...); w.chance(0.5) {
				c = uapi.PeerConfig{Candidates: append(nowhere[v4:v6:v6], all...)}
			}
		}
		n.change("whereabouts", x.to, c)
	}
	w.converse(talks, flowTime, flow)
}

// converse has nodes talk to each other, and holds that traffic flows after a while.
func (w *world) converse(talks []talk, within time.Duration, broken rule) {
	end := w.now() + within
	const every = 3 * time.Second
	for w.now() < end {
		for _, x := range talks {
			w.burst(x.from, x.to)
		}
		if w.run(min(w.now()+every, end)); w.over() {
			return
		}
	}
	first := len(w.referee.payloads)
	for _, x := range talks {
		w.burst(x.from, x.to)
	}
	if w.run(end + time.Second); w.over() {
		return
	}
	for _, x := range w.referee.payloads[first:] {
		if x.delivered == 0 {
			w.referee.fail(broken, "a packet of node %d for node %d is lost", x.from, x.to)
		}
	}
}

// repair makes all nodes know what is true.
func (w *world) repair() {
	for _, n := range w.nodes {
		w.awake(n)
		if n.stock == nil && !n.up {
			n.link(tun.Up)
		}
	}
	for i, n := range w.nodes {
		n.plainOnly = false
		if n.disk != nil {
			n.disk.slow = 0
		}
		w.relax(n)
		for a, owner := range n.owner {
			if a != innerOf(owner, familyOf(a)) {
				delete(n.owner, a)
				n.told[owner].wrong = true
			}
		}
		for j, t := range n.told {
			if t != nil {
				n.meet(w.nodes[j])
				w.nodes[i].catchUp(w.nodes[j])
			}
		}
	}
}

// silence is the end: nobody has anything to say, so nobody says anything, and all is forgotten.
func (w *world) silence() {
	for i, n := range w.nodes {
		for j, t := range n.told {
			if t != nil && n.stock == nil {
				w.nodes[i].change("keepalive", j, uapi.PeerConfig{Keepalive: new(uint16)})
			}
		}
	}
	if w.twin.rest != nil {
		w.twin.rest(w)
	}
	w.run(w.now() + idleTime)
	w.quiet = true
	w.run(w.now() + silentFor)
	if w.over() {
		return
	}
	for _, n := range w.nodes {
		if n.stock == nil {
			w.referee.forgotten(n)
		}
	}
}
