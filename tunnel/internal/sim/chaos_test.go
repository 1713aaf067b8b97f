package sim

import (
	"net/netip"
	"time"

	"vpn/rekey"
	"vpn/tun"
	"vpn/tunnel/uapi"
)

// chaos is what may befall a node in a storm, or its dealings with another one. What is undone later is undone at the end of the storm at
// the latest, by repair.
var chaos = []func(w *world, n *node, m int){
	(*world).newKeyOf, (*world).newPresharedOf, (*world).newPresharedOf, (*world).remove, (*world).remove, (*world).moveSource,
	(*world).newKeepalive, (*world).newLimits, (*world).newEndpoint, (*world).newEndpoint, (*world).newCandidates,
	(*world).setWallClock, (*world).fallAsleep, (*world).suspend, (*world).linkDown, (*world).newPort, (*world).refuseSegments,
	(*world).restart, (*world).restart, (*world).slowDisk, (*world).burden, (*world).burden,
	(*world).spendCounters, (*world).spendCounters, (*world).move, (*world).move, (*world).move,
	(*world).part, (*world).part, (*world).part, (*world).turn, (*world).spoof, (*world).spoof,
}

// strike has something befall somebody.
func (w *world) strike() {
	n := w.nodes[w.random.IntN(len(w.nodes))]
	var known []int
	for m, t := range n.told {
		if t != nil {
			known = append(known, m)
		}
	}
	what, m := chaos[w.random.IntN(len(chaos))], known[w.random.IntN(len(known))]
	if !n.asleep && n.stock == nil {
		what(w, n, m)
	}
}

// later tells the others of a node about a change, each in its time.
func (w *world) later(n *node) {
	for m, t := range n.told {
		if t != nil {
			w.in(w.upTo(20*time.Second), func() { w.nodes[m].catchUp(n) })
		}
	}
}

// catchUp makes a node know of another what is true, if it doesn't.
func (n *node) catchUp(m *node) {
	t := n.told[m.number]
	known := t.present && !t.wrong && t.public == m.public && t.psk == n.w.psk[pair(n.number, m.number)]
	for f := range families {
		owner, ok := n.owner[innerOf(m.number, f)]
		known = known && ok && owner == m.number
	}
	if !n.asleep && !known {
		n.learn(m)
	}
}

func (w *world) newKeyOf(n *node, _ int) {
	n.newKey()
	n.set("private key", &uapi.Config{PrivateKey: &n.private})
	w.referee.erased(n)
	w.referee.cookiesOver(n)
	w.later(n)
}

func (w *world) newPresharedOf(n *node, m int) {
	w.psk[pair(n.number, m)] = w.bytes32()
	first, second := n, w.nodes[m]
	if w.chance(0.5) {
		first, second = second, first
	}
	first.catchUp(second)
	w.in(w.upTo(10*time.Second), func() { second.catchUp(first) })
}

func (w *world) bytes32() (b [32]byte) {
	for i := range b {
		b[i] = byte(w.random.Uint32())
	}
	return b
}

func (w *world) remove(n *node, m int) {
	if n.told[m].present {
		n.unlearn(m)
		w.in(w.upTo(40*time.Second), func() { n.catchUp(w.nodes[m]) })
	}
}

// moveSource gives a node's inner address to another one, or takes it away.
func (w *world) moveSource(n *node, m int) {
	i := w.random.IntN(len(w.nodes))
	if !n.told[m].present || i == n.number {
		return
	}
	a := w.anInner(i)
	take := n.owner[a] == m
	if n.owner[a] = m; take {
		delete(n.owner, a)
	}
	n.change("source "+a.String(), m, uapi.PeerConfig{AllowedIPs: []uapi.AllowedIP{{Prefix: single(a), Remove: take}}})
}

func (w *world) newKeepalive(n *node, m int) {
	s := pick(w, uint16(0), 0, 1, 5, 25, 180)
	n.change("keepalive", m, uapi.PeerConfig{Keepalive: &s})
}

func (w *world) newLimits(n *node, _ int) {
	after, packets := pick(w, 0, 0, 7*time.Second, time.Minute, rekey.RekeyAfterTime), pick(w, uint64(0), 0, 1, 20, 1<<60)
	n.set("limits", &uapi.Config{RekeyAfterTime: &after, RekeyAfterPackets: &packets})
}

// relax takes what makes a node busy from it, now and then.
func (w *world) relax(n *node) {
	if n.stock != nil || w.chance(0.3) {
		return
	}
	n.set("limits", &uapi.Config{RekeyAfterTime: new(time.Duration), RekeyAfterPackets: new(uint64)})
	for m, t := range n.told {
		if t != nil {
			n.change("keepalive", m, uapi.PeerConfig{Keepalive: new(uint16)})
		}
	}
}

func (w *world) newEndpoint(n *node, m int) {
	n.change("endpoint", m, uapi.PeerConfig{Endpoint: pick(w, n.somewhere(w.nodes[m]), n.somewhere(w.nodes[m]), nowhere[w.random.IntN(families)])})
}

func (w *world) newCandidates(n *node, m int) {
	at, other := n.whereabouts(w.nodes[m]), w.nodes[w.random.IntN(len(w.nodes))].anyAddress()
	all := [][]netip.AddrPort{{}, at, append(nowhere[v4:v6:v6], at...), append(append(at[:len(at):len(at)], nowhere[:]...), other)}
	n.change("candidates", m, uapi.PeerConfig{Candidates: pick(w, all...)})
}

func (w *world) setWallClock(n *node, _ int) {
	n.clock.setWall(pick(w, -time.Second, time.Second, -time.Hour, time.Hour, -72*time.Hour, 72*time.Hour))
}

// fallAsleep is sleep that nobody announced: nothing runs, and the clock goes on.
func (w *world) fallAsleep(n *node, _ int) {
	n.asleep = true
	if w.twin.sleep != nil {
		w.twin.sleep(n)
	}
	w.in(pick(w, w.upTo(20*time.Second), 170*time.Second+w.upTo(20*time.Second)), func() { w.awake(n) })
}

func (w *world) awake(n *node) {
	if !n.asleep && !n.suspended {
		return
	}
	if n.dead {
		n.boot()
		return
	}
	n.asleep, n.suspended = false, false
	if w.twin.wake != nil {
		w.twin.wake(n)
	}
	w.step(n, "tick", nil, func() { n.clock.tick() }) // what was due in sleep comes first
	for len(n.writing) > 0 {
		w.written(n, n.writing[0])
	}
	w.step(n, "resume", nil, n.Resume) // where sleep was not announced there is nothing to resume
}

func (w *world) suspend(n *node, _ int) {
	w.step(n, "suspend", nil, n.Suspend)
	w.referee.erased(n)
	n.suspended = true
	w.in(w.upTo(time.Second), func() { n.asleep = n.asleep || n.suspended })
	w.in(time.Second+w.upTo(time.Minute), func() { w.awake(n) })
}

func (w *world) linkDown(n *node, _ int) {
	if !n.up {
		return
	}
	n.link(tun.Down)
	w.referee.erased(n)
	w.in(w.upTo(20*time.Second), func() {
		if !n.up && !n.asleep {
			n.link(tun.Up)
		}
	})
}

func (w *world) newPort(n *node, _ int) {
	port := uint16(1024 + w.random.IntN(60000))
	n.set("port", &uapi.Config{ListenPort: &port})
}

// spendCounters leaves a session with few counters before one of its limits.
func (w *world) spendCounters(n *node, m int) {
	machine := n.machine(n.told[m].public)
	if machine == nil || machine.Sending() == nil {
		return
	}
	k := machine.Sending()
	limit := pick(w, uint64(rekey.RekeyAfterMessages), rekey.RejectAfterMessages) - uint64(w.random.IntN(5))
	for k.SentPackets() < limit { // an int is half of a uint64
		if _, ok := k.Reserve(int(min(limit-k.SentPackets(), 1<<62))); !ok {
			return
		}
	}
}

// refuseSegments gives a node a route that takes no segmented sends, for a while.
func (w *world) refuseSegments(n *node, _ int) {
	n.plainOnly = true
	w.in(w.upTo(100*time.Second), func() { n.plainOnly = false })
}

// part lets nothing through from one node to another, and perhaps not back either.
func (w *world) part(n *node, m int) {
	until := w.now() + pick(w, w.upTo(10*time.Second), w.upTo(100*time.Second))
	w.network.parted[[2]int{n.number, m}] = until
	if w.chance(0.5) {
		w.network.parted[[2]int{m, n.number}] = until
	}
}

// turn turns the weather.
func (w *world) turn(*node, int) {
	w.network.weather = weather{
		loss: pick(w, 0, 0.02, 0.3), double: pick(w, 0, 0.1), flip: pick(w, 0, 0.05), cut: pick(w, 0, 0.02), slow: pick(w, 0, 0.05, 0.3),
		base: pick(w, time.Millisecond, 20*time.Millisecond, 300*time.Millisecond), jitter: pick(w, 0, 5*time.Millisecond, time.Second),
	}
}

// spoof sends a packet with a source that is not the sender's.
func (w *world) spoof(n *node, m int) {
	n.put(w.packetOf(n.number, m, w.anInner(w.random.IntN(len(w.nodes)+1))))
}
