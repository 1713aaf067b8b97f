package sim

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"time"

	"vpn/noise/cookie"
	"vpn/noise/wire"
	"vpn/tun"
)

const (
	burdenTime = 20 * time.Second // at most
	floodTick  = 100 * time.Millisecond
	floodSize  = 64               // messages in a tick, which are more than a node puts up with
	floodOwn   = 6                // with a cookie, in a tick: more than the limiter lets through
	floodFirst = 1000             // messages, one of which at the latest is one too many
	letInTime  = 12 * time.Second // until who has a cookie must be let in

	underLoadTime = time.Second // how long a node demands cookies once it has had enough
)

// burden has a node believe for a while that it is under load, as counters are set near their limits: a flood that would bring it about costs
// more than all the rest of a storm.
func (w *world) burden(n *node, _ int) {
	end := w.now() + w.upTo(burdenTime)
	var again func()
	again = func() {
		if !n.asleep {
			*n.loadedAt = n.clock.Now()
		}
		if w.now() < end {
			w.in(underLoadTime/2, again)
		}
	}
	again()
}

// underLoad reports whether a node demands cookies.
func (n *node) underLoad() bool {
	return n.stock == nil && *n.loadedAt != 0 && n.clock.Now()-*n.loadedAt < underLoadTime
}

// flood has the attacker send a node more initiations than it puts up with, from anywhere, while it loses its sessions with all others. They must
// have new ones before it ends.
func (w *world) flood(n *node) {
	f := &flooder{
		w: w, victim: n, random: rand.New(rand.NewPCG(w.seed, 1)), cookies: cookie.NewGenerator(n.public),
		end: w.now() + letInTime + 2*time.Second,
	}
	for i := 0; i < floodFirst && !n.underLoad(); i++ {
		n.receive(arrival{f.forge(f.anywhere())}) // one by one: which one is one too many depends on nothing else
	}
	if !n.underLoad() {
		w.referee.fail(letIn, "node %d does not mind a flood", n.number)
		return
	}
	f.tick()
	n.link(tun.Down)
	w.referee.erased(n)
	n.link(tun.Up)
	var talks []talk
	for m, t := range n.told {
		if other := w.nodes[m]; t != nil && other.stock == nil {
			talks = append(talks, talk{n.number, m}, talk{m, n.number})
			w.step(other, "handshake", nil, func() { other.Handshake(n.public) })
		}
	}
	if w.converse(talks, letInTime, letIn); !w.over() {
		w.saw(floodOver)
	}
	w.run(f.end)
}

// A flooder is the attacker as he sends what he has made himself.
type flooder struct {
	w       *world
	victim  *node
	random  *rand.Rand
	end     time.Duration
	cookies *cookie.Generator // of what he sends from where he is
}

// tick sends a part of the flood. Most of it comes from where nobody hears the answer, and so brings no cookie. What comes from where the
// attacker is brings one.
func (f *flooder) tick() {
	w, n := f.w, f.victim
	if w.now() >= f.end {
		return
	}
	w.in(floodTick, f.tick)
	var a, own arrival
	for range floodSize {
		a = append(a, f.forge(f.anywhere()))
	}
	n.receive(a)
	for range floodOwn {
		own = append(own, f.forge(attackersPlace[v4]))
	}
	heard := len(w.spy.tape)
	n.receive(own)
	for _, x := range w.spy.tape[heard:] {
		if kind, _ := wire.Classify(x.data); kind == wire.TypeCookieReply && x.to == attackersPlace[v4] {
			f.cookies.Consume(wire.AsCookieReply(x.data), w.now())
		}
	}
}

// anywhere is a place in either family, and never the same.
func (f *flooder) anywhere() netip.AddrPort {
	x := f.random.Uint64()
	if f.victim.at[v6].IsValid() && x&1 == 0 {
		a := netip.MustParseAddr("2001:db8:f100::").As16()
		binary.BigEndian.PutUint64(a[4:], x)
		return netip.AddrPortFrom(netip.AddrFrom16(a), uint16(x>>48)|1)
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{100, 64 | byte(x>>1)&63, byte(x >> 8), byte(x >> 16)}), uint16(x>>48)|1)
}

// forge makes an initiation with a good mac1 in which nothing else is good.
func (f *flooder) forge(from netip.AddrPort) datagram {
	b := make([]byte, wire.SizeInitiation)
	for i := 0; i < len(b)-4; i += 8 {
		binary.LittleEndian.PutUint64(b[i:], f.random.Uint64())
	}
	copy(b, []byte{byte(wire.TypeInitiation), 0, 0, 0})
	if g := f.cookies; from == attackersPlace[v4] {
		g.AddMACs(b, f.w.now())
	} else {
		cookie.NewGenerator(f.victim.public).AddMACs(b, 0)
	}
	to := f.victim.at[familyOf(from.Addr())]
	return datagram{from: from, to: to, data: b}
}
