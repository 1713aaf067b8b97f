package tunnel

import (
	"log/slog"
	"sync"
	"time"

	"vpn/noise"
	"vpn/noise/key"
)

// A Floor remembers, across restarts, how far the timestamps of initiations have gone. Without one a tunnel that starts anew after its clock
// was set back is rejected by peers until the clock has caught up.
type Floor interface {
	// Reserve takes a range of timestamps for the owner of a public key, to be used in initiations from now on. first is from, or later if an
	// earlier range reached that far; last is at most ten seconds on. Reserve returns when it is certain that no later call, after a
	// crash or a restart, returns a range that begins before last. It may be called concurrently; how long it takes does not matter
	// to packets.
	Reserve(public key.Public, from noise.TAI64N) (first, last noise.TAI64N, err error)
}

const (
	// floorSlack is how much of a range is left, at least, when an initiation begins. What is handed out meanwhile is far less: where the clock
	// doesn't move it on, the newest timestamp goes on by one tick in RekeyTimeout, which is what keeps a peer's initiations apart.
	floorSlack = 100 * time.Millisecond
	// floorWait is how long initiations wait for a range before they go on without, and floorRetry how long after that it is asked for again.
	floorWait  = time.Second
	floorRetry = 10 * time.Second
)

// timestamps hands out the timestamps of initiations. It may be used concurrently.
type timestamps struct {
	floor Floor // nil: no range is needed
	clock Clock
	log   *slog.Logger

	mu          sync.Mutex // guards what follows
	public      key.Public // whose they are
	first, last noise.TAI64N
	newest      noise.TAI64N  // handed out, for whichever key
	asking      chan struct{} // closed when a range that was asked for is there, nil if none is
	retry       time.Duration // no range is asked for before
	warned      bool
}

// begin asks for the first range of a key, so that it is there when an initiation is wanted.
func (x *timestamps) begin(public key.Public, now time.Duration) {
	if x.floor != nil {
		x.ask(public, now)
	}
}

// prepare makes sure that there is a range to hand out from, if there can be one. It may take floorWait.
func (x *timestamps) prepare(public key.Public, now time.Duration) {
	if x.floor == nil {
		return
	}
	asking := x.ask(public, now)
	if asking == nil {
		return
	}
	timer := x.clock.NewTimer()
	defer timer.Stop()
	timer.Set(now + floorWait)
	for asking != nil {
		select {
		case <-asking:
			asking = x.ask(public, now) // it may have been for the key before
		case <-timer.C():
			if x.clock.Now() >= now+floorWait {
				x.mu.Lock()
				x.failed(now, "no answer in time")
				x.mu.Unlock()
				return
			}
		}
	}
}

// ask asks for a range if one is needed, and returns what is closed when it is there. Only one is asked for at a time.
func (x *timestamps) ask(public key.Public, now time.Duration) <-chan struct{} {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.public != public {
		// The newest stays: what peers are sent under this key, too, is later than what they were sent before, and has to be in its range.
		x.public, x.first, x.last, x.retry = public, noise.TAI64N{}, noise.TAI64N{}, 0
	}
	need := x.next(x.newest)
	if !need.Add(floorSlack).After(x.last) || now < x.retry {
		return nil
	}
	if x.asking != nil {
		return x.asking
	}
	asking := make(chan struct{})
	x.asking = asking
	go func() {
		first, last, err := x.floor.Reserve(public, need)
		x.mu.Lock()
		defer x.mu.Unlock()
		x.asking = nil
		close(asking)
		switch {
		case err != nil:
			x.failed(now, err.Error())
		case x.public == public:
			// The range before was ours, too: if the new one only goes on with it, the clock decides.
			if x.last.IsZero() || first.After(x.last.Next()) {
				x.first = first
			}
			x.last = last
		}
	}()
	return asking
}

// failed puts off the next try. The caller holds x.mu.
func (x *timestamps) failed(now time.Duration, why string) {
	x.retry = now + floorRetry
	if !x.warned {
		x.warned = true
		x.log.Warn("peers may reject us if the clock is set back and we restart: timestamps can't be kept", "error", why)
	}
}

// next is the time of day, or later: after a timestamp that was used before, zero for none, and in the range. The caller holds x.mu.
func (x *timestamps) next(after noise.TAI64N) noise.TAI64N {
	stamp := noise.Stamp(x.clock.Wall())
	if x.first.After(stamp) {
		stamp = x.first
	}
	if after.IsZero() && x.newest.After(stamp) {
		// The clock was set back. Who is new to us may only have another public key than before, and know us still.
		stamp = x.newest.Next()
	}
	if !stamp.After(after) {
		stamp = after.Next()
	}
	return stamp
}

// take hands out a timestamp after another one.
func (x *timestamps) take(after noise.TAI64N) noise.TAI64N {
	x.mu.Lock()
	defer x.mu.Unlock()
	stamp := x.next(after)
	if stamp.After(x.newest) {
		x.newest = stamp
	}
	return stamp
}

// nextTimestamp is later than that of all initiations before, also when the clock was set back: the other side takes no other. The
// caller holds p.mu.
func (p *Peer) nextTimestamp() noise.TAI64N {
	last := &p.talking().ownTimestamp
	*last = p.tunnel.timestamps.take(*last)
	return *last
}
