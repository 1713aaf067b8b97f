package tunnel

import (
	"sync"
	"time"

	"vpn/noise"
	"vpn/noise/key"
)

// maxGraves bounds how many graves are kept.
const maxGraves = 4096

// peerTable holds the peers by public key and in the order they were added. It may be used concurrently.
type peerTable struct {
	mu     sync.RWMutex
	byKey  map[key.Public]*Peer
	order  []*Peer // with nil where one was removed
	holes  int
	graves map[key.Public]grave
}

// A grave is what has to be known of a removed peer if it is added again: its recorded initiations stay dead, ours are newer than those it
// knows, and they keep their distance.
type grave struct {
	lastTimestamp, ownTimestamp noise.TAI64N
	floor                       time.Duration
}

func (x *peerTable) get(k key.Public) *Peer {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.byKey[k]
}

// add enters p, which is not there yet, and returns what is known of it.
func (x *peerTable) add(p *Peer) grave {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.byKey == nil {
		x.byKey = make(map[key.Public]*Peer)
	}
	p.position = int32(len(x.order))
	x.byKey[p.public()] = p
	x.order = append(x.order, p)
	g := x.graves[p.public()]
	delete(x.graves, p.public())
	return g
}

// remove takes p out and keeps its grave for a while.
func (x *peerTable) remove(p *Peer, g grave) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.byKey, p.public())
	x.order[p.position] = nil
	if x.holes++; x.holes > len(x.order)/2 {
		x.compact()
	}
	if g == (grave{}) {
		return
	}
	if x.graves == nil {
		x.graves = make(map[key.Public]grave)
	}
	for k := range x.graves {
		if len(x.graves) < maxGraves {
			break
		}
		delete(x.graves, k)
	}
	x.graves[p.public()] = g
}

// compact makes the table anew for the peers that are left: a map keeps the memory of what was once in it.
func (x *peerTable) compact() {
	order := make([]*Peer, 0, len(x.byKey))
	byKey := make(map[key.Public]*Peer, len(x.byKey))
	for _, p := range x.order {
		if p != nil {
			p.position = int32(len(order))
			order = append(order, p)
			byKey[p.public()] = p
		}
	}
	x.order, x.byKey, x.holes = order, byKey, 0
}

// len is how many peers there are.
func (x *peerTable) len() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.byKey)
}

// all returns the peers, in the order they were added.
func (x *peerTable) all() []*Peer {
	x.mu.RLock()
	defer x.mu.RUnlock()
	all := make([]*Peer, 0, len(x.byKey))
	for _, p := range x.order {
		if p != nil {
			all = append(all, p)
		}
	}
	return all
}
