package sim

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"vpn/tunnel"
)

// clockStart is what a node's clock shows when the world begins.
const clockStart = time.Hour

// A clock is one node's. It counts while the node sleeps, as CLOCK_BOOTTIME does.
type clock struct {
	w *world

	mu      sync.Mutex
	timers  []*timer
	set     time.Duration // how far the time of day was set
	pace    time.Duration // how much faster than the world's it runs: 1, but for twins
	reading time.Duration // what it showed
	at      time.Duration // at this time of the world
}

func newClock(w *world) *clock { return &clock{w: w, pace: 1, reading: clockStart, at: w.now()} }

func (c *clock) Now() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now()
}

func (c *clock) now() time.Duration { return c.reading + (c.w.now()-c.at)*c.pace }

func (c *clock) Wall() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.set)
}

// setWall sets the time of day by d.
func (c *clock) setWall(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set += d
}

// setPace makes it run faster, or not at all.
func (c *clock) setPace(pace time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reading, c.at, c.pace = c.now(), c.w.now(), pace
}

func (c *clock) NewTimer() tunnel.Timer {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &timer{clock: c, c: make(chan struct{}, 1)}
	c.timers = append(c.timers, t)
	return t
}

// forget ends all timers: nobody is there any more to whom they could tick.
func (c *clock) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timers = nil
}

// next is when a timer is due, in the world's time; ok is false if none will be.
func (c *clock) next() (at time.Duration, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.timers {
		if t.at == 0 || c.pace == 0 {
			continue
		}
		due := c.at + (t.at-c.reading+c.pace-1)/c.pace
		if !ok || due < at {
			at, ok = due, true
		}
	}
	return at, ok
}

// tick ticks the first timer that is due, in the order they were made, and reports whether there was one.
func (c *clock) tick() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.timers {
		if t.at != 0 && t.at <= c.now() {
			t.tick()
			return true
		}
	}
	return false
}

// A timer is guarded by its clock's lock.
type timer struct {
	clock   *clock
	c       chan struct{}
	at      time.Duration
	stopped bool
}

func (t *timer) Set(at time.Duration) {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	if t.stopped {
		return
	}
	if t.at = at; at != 0 && at <= t.clock.now() {
		t.tick()
	}
}

func (t *timer) tick() {
	t.at = 0
	select {
	case t.c <- struct{}{}:
	default:
	}
}

func (t *timer) C() <-chan struct{} { return t.c }

func (t *timer) Stop() {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	t.stopped, t.at = true, 0
	t.clock.timers = slices.DeleteFunc(t.clock.timers, func(x *timer) bool { return x == t })
}

// randomness is one node's. Eight bytes at a time are read for jitter and for the names of sessions, by whoever happens to need them: they are
// the same for the whole of a step. What is read of another length - keys, indices, nonces - has a stream for each length, since each is read
// by one goroutine at a time.
type randomness struct {
	seed [32]byte

	mu      sync.Mutex
	streams map[int]*rand.ChaCha8
	number  [8]byte
}

func newRandomness(seed, node uint64) *randomness {
	r := &randomness{streams: make(map[int]*rand.ChaCha8)}
	for i := range 8 {
		r.seed[i], r.seed[8+i] = byte(seed>>(8*i)), byte(node>>(8*i))
	}
	return r
}

// stream is the one for reads of a length. The caller holds r.mu.
func (r *randomness) stream(length int) *rand.ChaCha8 {
	s := r.streams[length]
	if s == nil {
		seed := r.seed
		seed[16], seed[17] = byte(length), byte(length>>8)
		s = rand.NewChaCha8(seed)
		r.streams[length] = s
	}
	return s
}

// step begins a new step.
func (r *randomness) step() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stream(len(r.number)).Read(r.number[:])
}

func (r *randomness) Read(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(b) == len(r.number) {
		return copy(b, r.number[:]), nil
	}
	return r.stream(len(b)).Read(b)
}
