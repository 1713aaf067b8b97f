package sim

import (
	"net/netip"
	"strings"

	"vpn/noise/aead"
	"vpn/noise/key"
	"vpn/rekey"
)

// What is in this file judges what an engine has inside after a step.

// places holds that endpoints move only on what authenticates.
func (r *referee) places(n *node, what string, in arrival, letters []*letter) {
	for len(r.ends) <= n.number {
		r.ends = append(r.ends, make(map[key.Public]netip.AddrPort))
	}
	known := r.ends[n.number]
	told := strings.HasPrefix(what, "set: ")
	for public, p := range *n.peers {
		was, is := known[public], n.endpoint(p)
		if is == was {
			continue
		}
		known[public] = is
		if was.IsValid() && is.IsValid() && familyOf(was.Addr()) != familyOf(is.Addr()) && !told {
			r.w.saw(familyChanged)
		}
		if !told && !r.wroteFrom(n, public, is, in, letters) {
			r.fail(endpointMoves, "node %d: from %v to %v by a %s, in which there was nothing of that peer from there", n.number, was, is, what)
		}
	}
}

// wroteFrom reports whether there is a letter of a peer, from this place, in what has arrived.
func (r *referee) wroteFrom(n *node, peer key.Public, at netip.AddrPort, in arrival, letters []*letter) bool {
	for i, l := range letters {
		if l != nil && in[i].from == at && n.told[l.from] != nil && n.told[l.from].public == peer {
			return true
		}
	}
	return false
}

// Bounds of what one peer may hold: current, next, previous and two displaced sessions; and an initiation.
const (
	maxSessions = 5
	maxIndices  = maxSessions + 1
	maxStaged   = 256 << 10
	maxGraves   = 4096
	maxArrived  = 4096
)

// measure holds that nothing grows.
func (r *referee) measure(n *node) {
	peers := len(*n.peers)
	for _, x := range []struct {
		what      string
		have, may int
	}{
		{"keys", n.arena.Live(), 2 * maxSessions * peers},
		{"indices", n.indices.Len(), maxIndices * peers},
		{"deadlines", n.due.Len(), peers},
		{"wanted initiations", n.wanted.Len(), peers},
		{"handshake messages", n.arrived.Len(), maxArrived},
		{"graves", n.graves.Len(), maxGraves},
		{"staged bytes", int(n.stagedBytes.Load()), maxStaged * peers},
	} {
		if x.have > x.may || x.have < 0 {
			r.fail(bounds, "node %d has %d peers and %d %s", n.number, peers, x.have, x.what)
		}
	}
}

// keys holds that a node's memory has no key that is not live, and none of RejectAfterTime.
func (r *referee) keys(n *node) {
	for len(r.slots) <= n.number {
		r.slots = append(r.slots, nil)
	}
	slots := r.slots[n.number]
	now, live := r.w.now(), 0
	for i := 0; (i+1)*aead.KeySize <= len(n.memory); i++ {
		k := [aead.KeySize]byte(n.memory[i*aead.KeySize:])
		if i == len(slots) {
			if k == [aead.KeySize]byte{} {
				break // the arena fills its memory from the beginning
			}
			slots = append(slots, slot{})
		}
		s := &slots[i]
		if k == [aead.KeySize]byte{} {
			*s = slot{}
			continue
		}
		live++
		if s.key != k {
			*s = slot{k, now}
		}
		if age := now - s.since; age >= rekey.RejectAfterTime {
			r.fail(keysZero, "node %d has a key %v old", n.number, age)
		}
	}
	r.slots[n.number] = slots
	if n.arena.Live() != live {
		r.fail(keysZero, "node %d has %d live keys, and %d in its memory", n.number, n.arena.Live(), live)
	}
}

// erased holds that a node has no key at all.
func (r *referee) erased(n *node) {
	for i := range n.memory {
		if n.memory[i] != 0 {
			r.fail(keysZero, "node %d has keys", n.number)
			return
		}
	}
}

// forgotten holds that a node which has long been idle keeps nothing of its sessions.
func (r *referee) forgotten(n *node) {
	r.erased(n)
	if x := n.indices.Len() + n.due.Len() + n.wanted.Len() + int(n.stagedBytes.Load()); x != 0 {
		r.fail(silence, "node %d keeps %d indices, %d deadlines, %d wanted initiations, %d staged bytes",
			n.number, n.indices.Len(), n.due.Len(), n.wanted.Len(), n.stagedBytes.Load())
	}
}
