package sim

import (
	"bytes"
	"cmp"
	"fmt"
	"hash/fnv"
	"log/slog"
	"net/netip"
	"slices"
	"sync"

	"vpn/noise/aead"
	"vpn/noise/key"
	"vpn/noise/wire"
	"vpn/tun"
	"vpn/tunnel"
	"vpn/tunnel/uapi"
)

// A node is one engine, or wireguard-go. Number i has the inner addresses 10.0.0.i+1 and fd00::i+1, and is seen at outer addresses that change.
type node struct {
	*tunnel.Tunnel // nil if this is not ours, as is inside
	*inside
	w       *world
	number  int
	private key.Private
	public  key.Public
	at      [families]netip.AddrPort // where others see it; not valid where it has no route
	device  *link
	clock   *clock
	rand    *randomness
	arena   *aead.Arena
	memory  []byte // the arena's
	disk    *disk
	writing []*write // that its disk has not ended
	held    held
	stock   *stock // the other implementation, if this is not ours

	hasFamily  [families]bool // that its host knows of
	up, asleep bool
	suspended  bool               // sleep was announced, and may have come
	dead       bool               // and asleep: the process was killed
	told       []*told            // of others, by number; nil for those that it is not to know
	owner      map[netip.Addr]int // who may send from an inner address, as far as this node was told

	mu        sync.Mutex // guards what follows
	sockets   [families]*socket
	plainOnly bool // there is no route that takes segmented sends
	sent      []datagram
	delivered [][]byte
	events    []tunnel.Event
}

// told is what a node was told of another.
type told struct {
	present bool
	wrong   bool // more than is true
	public  key.Public
	psk     [32]byte
}

func (w *world) newNode() *node {
	n := &node{w: w, number: len(w.nodes), owner: make(map[netip.Addr]int)}
	n.hasFamily = [families]bool{v4: true, v6: w.chance(0.8)}
	n.settle()
	n.clock, n.rand, n.disk = newClock(w), newRandomness(w.seed, uint64(n.number)), newDisk()
	n.newKey()
	n.start()
	w.nodes = append(w.nodes, n)
	return n
}

// start starts the engine, with nothing but what is on the disk.
func (n *node) start() {
	n.device, n.memory = newLink(n), nil
	n.arena = aead.NewArena(func(size int) ([]byte, error) {
		if n.memory != nil {
			return nil, fmt.Errorf("more than %d keys", len(n.memory)/aead.KeySize)
		}
		n.memory = make([]byte, size)
		return n.memory, nil
	})
	t, err := tunnel.New(tunnel.Config{
		Device: n.device, Sockets: n, Clock: n.clock, Arena: n.arena, Rand: n.rand, Log: slog.New(slog.DiscardHandler),
		Observe: n.observe, Processors: 1, Floor: n.disk,
	})
	if err != nil {
		panic(err)
	}
	n.Tunnel, n.inside = t, lookInside(t)
}

// settle has a node seen where it is at first.
func (n *node) settle() {
	for f := range families {
		if n.hasFamily[f] {
			n.at[f] = outerOf(n.number, f, 2, 51820)
		}
	}
}

// newKey makes the node somebody else, once it is told so.
func (n *node) newKey() {
	var err error
	if n.private, err = key.NewPrivate(n.rand); err != nil {
		panic(err)
	}
	n.public = n.private.Public()
}

func (n *node) observe(e tunnel.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.events = append(n.events, e)
}

// set changes a node's configuration, and says why.
func (n *node) set(what string, c *uapi.Config) {
	n.w.step(n, "set: "+what, nil, func() {
		set := n.Set
		if n.stock != nil {
			set = n.stock.set
		}
		if err := set(c); err != nil {
			n.w.referee.fail(setWorks, "%s: %v", what, err)
		}
	})
}

// change changes what a node knows of another.
func (n *node) change(what string, m int, c uapi.PeerConfig) {
	c.PublicKey, c.UpdateOnly = n.told[m].public, true
	n.set(fmt.Sprintf("%s of %d", what, m), &uapi.Config{Peers: []uapi.PeerConfig{c}})
}

// learn tells a node of another, all that there is to know.
func (n *node) learn(m *node) {
	t := n.told[m.number]
	c := new(uapi.Config)
	if t.present && t.public != m.public {
		c.Peers = append(c.Peers, uapi.PeerConfig{PublicKey: t.public, Remove: true})
	}
	t.present, t.wrong, t.public, t.psk = true, false, m.public, n.w.psk[pair(n.number, m.number)]
	psk, err := key.PresharedFromBytes(t.psk[:])
	if err != nil {
		panic(err)
	}
	c.Peers = append(c.Peers, uapi.PeerConfig{
		PublicKey: t.public, Preshared: &psk, Endpoint: n.somewhere(m), ReplaceAllowedIPs: true,
		AllowedIPs: []uapi.AllowedIP{{Prefix: single(innerOf(m.number, v4))}, {Prefix: single(innerOf(m.number, v6))}},
	})
	for f := range families {
		n.owner[innerOf(m.number, f)] = m.number
	}
	n.set(fmt.Sprintf("knows %d", m.number), c)
}

// single is the prefix of one address.
func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// unlearn removes another node.
func (n *node) unlearn(m int) {
	n.told[m].present = false
	for a, owner := range n.owner {
		if owner == m {
			delete(n.owner, a)
		}
	}
	n.set(fmt.Sprintf("removes %d", m), &uapi.Config{Peers: []uapi.PeerConfig{{PublicKey: n.told[m].public, Remove: true}}})
}

// link tells a node that its link is up or down.
func (n *node) link(e tun.Event) {
	n.up = e == tun.Up
	n.w.step(n, "link "+e.String(), nil, func() { n.device.events <- e })
}

// receive gives a node what has arrived, if it can take it.
func (n *node) receive(a arrival) {
	if n.asleep {
		return
	}
	if n.stock != nil {
		n.w.step(n, "datagram", a, func() { n.stock.receive(a) })
		return
	}
	n.mu.Lock()
	s := n.sockets[familyOf(a[0].to.Addr())]
	n.mu.Unlock()
	if s == nil || s.isClosed() {
		return
	}
	n.w.step(n, "datagram", a, func() { s.in <- a })
}

// put gives a node packets to send.
func (n *node) put(ps ...[]byte) {
	packets := make([]tun.Packet, len(ps))
	for i, p := range ps {
		packets[i].Data = p
	}
	n.hand("packets", packets, ps)
}

// putWhole gives a node a superpacket to send.
func (n *node) putWhole(s superpacket) { n.hand("superpacket", []tun.Packet{s.whole}, s.segments) }

// hand gives a node packets to send: as a device with offloads hands them out, or as one without.
func (n *node) hand(what string, packets []tun.Packet, plain [][]byte) {
	if n.asleep {
		return
	}
	n.w.step(n, what, nil, func() {
		if n.stock != nil {
			n.stock.put(plain)
		} else {
			n.device.packets <- packets
		}
	})
}

// An output is what came of a step, in an order that does not depend on which goroutine was faster.
type output struct {
	sent      []datagram
	delivered [][]byte
	events    []tunnel.Event
}

func (o *output) empty() bool { return len(o.sent) == 0 && len(o.delivered) == 0 }

func (o *output) bytes() (n int) {
	for i := range o.sent {
		n += len(o.sent[i].data)
	}
	return n
}

// started reports whether a session has begun.
func (o *output) started() bool {
	return slices.ContainsFunc(o.events, func(e tunnel.Event) bool { return e.Kind == tunnel.SessionStarted })
}

// take takes what came of a step. The messages of one session stay in their order.
func (n *node) take() (o output) {
	n.mu.Lock()
	o, n.sent, n.delivered, n.events = output{n.sent, n.delivered, n.events}, nil, nil, nil
	n.mu.Unlock()
	slices.SortStableFunc(o.sent, func(a, b datagram) int {
		return cmp.Or(a.to.Compare(b.to), bytes.Compare(a.data[:min(len(a.data), 8)], b.data[:min(len(b.data), 8)]))
	})
	slices.SortStableFunc(o.events, func(a, b tunnel.Event) int { return bytes.Compare(a.Peer[:], b.Peer[:]) })
	for i := range o.sent {
		o.sent[i].from = n.source(o.sent[i].to)
	}
	return o
}

// end ends the node.
func (n *node) end() {
	if n.stock != nil {
		n.stock.close()
		return
	}
	n.Close()
}

// describe says what a datagram looks like.
func describe(b []byte) string {
	if kind, ok := wire.Classify(b); ok {
		if kind == wire.TypeData {
			return fmt.Sprintf("data to %08x, counter %d, %d bytes %x", wire.DataReceiver(b), wire.DataCounter(b), len(b), digest(b))
		}
		return fmt.Sprintf("%v %x", kind, digest(b))
	}
	return fmt.Sprintf("%d bytes %x", len(b), digest(b))
}

func digest(b []byte) uint64 {
	h := fnv.New64a()
	h.Write(b)
	return h.Sum64()
}

// pair names a pair of nodes.
func pair(i, j int) [2]int { return [2]int{min(i, j), max(i, j)} }
