package tunnel

import (
	"sync"
	"time"
)

// Clock is the time that a tunnel lives by. The engine reads no other clock,
// so that a test can drive it by hand.
//
// All methods may be called from several goroutines at once.
type Clock interface {
	// Now reads a clock that is never set and never steps back. On Linux it
	// goes on counting while the machine sleeps: keys must age in sleep.
	// It is always above zero, so that zero can mean "never".
	Now() time.Duration

	// Wall reads the time of day. It may step; nothing but the timestamps of
	// handshakes and what people are shown depends on it.
	Wall() time.Time

	// NewTimer makes a timer that is not armed. The caller ends it with Stop.
	NewTimer() Timer
}

// Timer ticks once when the clock that made it reaches a deadline.
//
// All methods may be called from several goroutines at once.
type Timer interface {
	// Set arms the timer for the reading at of the timer's clock, in place of
	// any earlier deadline. A reading that has passed ticks at once; zero
	// disarms. After Stop it does nothing.
	//
	// A tick that was on its way when the deadline changed may still arrive:
	// a tick means "look at the clock", nothing more.
	Set(at time.Duration)

	// C is where ticks arrive. It holds one tick; further ones merge into it.
	// It is never closed.
	C() <-chan struct{}

	// Stop ends the timer for good and frees what it holds. It may be called
	// again.
	Stop()
}

// tick merges into a tick that waits already.
func tick(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// runtimeTimer is a Timer over the Go runtime's, which stand still while the
// machine sleeps. Therefore it never waits longer than horizon and then looks
// at its clock again, which costs a wake-up and bounds how late it can be
// after a sleep.
type runtimeTimer struct {
	now     func() time.Duration
	horizon time.Duration
	c       chan struct{}

	mu      sync.Mutex // guards what follows
	timer   *time.Timer
	at      time.Duration
	stopped bool
}

func newRuntimeTimer(now func() time.Duration, horizon time.Duration) *runtimeTimer {
	t := &runtimeTimer{now: now, horizon: horizon, c: make(chan struct{}, 1)}
	t.timer = time.AfterFunc(time.Hour, t.look)
	t.timer.Stop()
	return t
}

func (t *runtimeTimer) Set(at time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped {
		return
	}
	t.at = at
	t.arm()
}

// look runs when the runtime's timer fires. The deadline may have moved, or
// may lie beyond the horizon.
func (t *runtimeTimer) look() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.stopped {
		t.arm()
	}
}

// arm is called with mu held.
func (t *runtimeTimer) arm() {
	t.timer.Stop()
	if t.at == 0 {
		return
	}
	wait := t.at - t.now()
	if wait <= 0 {
		t.at = 0
		tick(t.c)
		return
	}
	t.timer.Reset(min(wait, t.horizon))
}

func (t *runtimeTimer) C() <-chan struct{} { return t.c }

func (t *runtimeTimer) Stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	t.timer.Stop()
}
