package child

import (
	"sync"
	"time"

	"vpn/cmd/internal/floor"
	"vpn/noise/key"
)

const (
	// A message costs one, and a request that has us do something at the kernel as
	// much as a thousand.
	requestCost = 1_000
	// burst is what an engine may say at once, and rate what a second adds.
	burst = 100_000
	rate  = 20_000
)

// pace says how long what an engine says is left unread, so that it can't keep its
// keeper busy. One that has much to tell is never slowed down: a thousand peers
// that meet have a few thousand events.
type pace struct {
	left float64
	at   time.Time
}

func newPace(now time.Time) *pace { return &pace{left: burst, at: now} }

// after returns for how long nothing is read after a message.
func (p *pace) after(now time.Time, k kind) time.Duration {
	p.left = min(burst, p.left+rate*now.Sub(p.at).Seconds())
	p.at = now
	switch k {
	case kindOpen, kindMark, kindFloor:
		p.left -= requestCost
	default:
		p.left--
	}
	if p.left >= 0 {
		return 0
	}
	return time.Duration(-p.left / rate * float64(time.Second))
}

const (
	// maxFloors is for how many public keys engines may ask, one after another, and
	// floorAfter how long it takes until they may for one more.
	maxFloors  = 16
	floorAfter = 10 * time.Minute
)

// Floors are the timestamps that the engines of one keeper ask for. They are kept
// for few public keys: each is a file for good, and a link has one key. It may be
// used concurrently.
type Floors struct {
	store *floor.Store

	mu    sync.Mutex // guards what follows
	known map[key.Public]bool
	spare int       // keys that may come
	since time.Time // of spare
}

// NewFloors returns the floors of a keeper that begins.
func NewFloors(store *floor.Store) *Floors {
	return &Floors{store: store, known: make(map[key.Public]bool), spare: maxFloors}
}

// admit reports whether timestamps of a key may be asked for.
func (f *Floors) admit(public key.Public, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.known[public] {
		return true
	}
	if f.spare == maxFloors {
		f.since = now
	}
	if n := int(now.Sub(f.since) / floorAfter); n > 0 {
		f.spare, f.since = min(maxFloors, f.spare+n), f.since.Add(time.Duration(n)*floorAfter)
	}
	if f.spare == 0 {
		return false
	}
	f.spare--
	f.known[public] = true
	return true
}
