package tunnel

import (
	"sync"

	"vpn/noise"
	"vpn/noise/key"
)

// maxGraves bounds how many removed peers' timestamps are kept.
const maxGraves = 4096

// peerTable holds the peers by public key and in the order they were added. It may be used concurrently.
type peerTable struct {
	mu     sync.RWMutex
	byKey  map[key.Public]*Peer
	order  []*Peer // with nil where one was removed
	holes  int
	graves map[key.Public]noise.TAI64N // newest initiations of removed peers: recorded ones stay dead when they are added again
}

func (x *peerTable) get(k key.Public) *Peer {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.byKey[k]
}

// add enters p, which is not there yet, and returns the newest timestamp known of it.
func (x *peerTable) add(p *Peer) noise.TAI64N {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.byKey == nil {
		x.byKey = make(map[key.Public]*Peer)
	}
	p.position = int32(len(x.order))
	x.byKey[p.public()] = p
	x.order = append(x.order, p)
	stamp := x.graves[p.public()]
	delete(x.graves, p.public())
	return stamp
}

// remove takes p out and keeps its newest timestamp for a while.
func (x *peerTable) remove(p *Peer, stamp noise.TAI64N) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.byKey, p.public())
	x.order[p.position] = nil
	if x.holes++; x.holes > len(x.order)/2 {
		x.compact()
	}
	if stamp.IsZero() {
		return
	}
	if x.graves == nil {
		x.graves = make(map[key.Public]noise.TAI64N)
	}
	for k := range x.graves {
		if len(x.graves) < maxGraves {
			break
		}
		delete(x.graves, k)
	}
	x.graves[p.public()] = stamp
}

func (x *peerTable) compact() {
	order := make([]*Peer, 0, len(x.byKey))
	for _, p := range x.order {
		if p != nil {
			p.position = int32(len(order))
			order = append(order, p)
		}
	}
	x.order, x.holes = order, 0
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
