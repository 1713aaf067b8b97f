package child

import (
	"sync"

	"vpn/noise/key"
	"vpn/tunnel"
)

const (
	maxEvents = 1024    // that wait, besides endpoints
	maxMoved  = 1 << 16 // peers whose new endpoint waits
)

// outbox holds events for somebody who may be slow, without ever making anybody
// wait: of a peer that moves only the last endpoint is kept, of other events the
// newest. It may be used concurrently.
type outbox struct {
	wake chan struct{} // holds one tick: there may be something

	mu     sync.Mutex // guards what follows
	events []tunnel.Event
	moved  map[key.Public]tunnel.Event
	lost   uint64
}

func newOutbox() *outbox {
	return &outbox{wake: make(chan struct{}, 1), moved: make(map[key.Public]tunnel.Event)}
}

func (o *outbox) add(e tunnel.Event) {
	o.mu.Lock()
	if e.Kind == tunnel.EndpointMoved {
		if _, known := o.moved[e.Peer]; known || len(o.moved) < maxMoved {
			o.moved[e.Peer] = e
		} else {
			o.lost++
		}
	} else {
		if len(o.events) == maxEvents {
			o.events = o.events[1:]
			o.lost++
		}
		o.events = append(o.events, e)
	}
	o.mu.Unlock()
	tick(o.wake)
}

// take returns an event, and how many were lost so far; false if there is none.
func (o *outbox) take() (e tunnel.Event, lost uint64, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.events) > 0 {
		e, o.events = o.events[0], o.events[1:]
		return e, o.lost, true
	}
	o.events = nil
	for peer, e := range o.moved {
		delete(o.moved, peer)
		return e, o.lost, true
	}
	return e, o.lost, false
}

// dropped counts an event that was taken and did not arrive.
func (o *outbox) dropped() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lost++
}

func (o *outbox) count() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lost
}
