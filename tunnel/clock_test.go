package tunnel

import (
	"runtime"
	"testing"
	"time"
)

// timers are the kinds of timer that the system's clock can hand out.
func timers(t *testing.T) map[string]func() Timer {
	t.Helper()
	clock := SystemClock()
	return map[string]func() Timer{
		"system":  clock.NewTimer,
		"runtime": func() Timer { return newRuntimeTimer(clock.Now, time.Millisecond) },
	}
}

func TestClockRuns(t *testing.T) {
	clock := SystemClock()
	before := clock.Now()
	if before <= 0 {
		t.Fatalf("Now() = %v, want above zero", before)
	}
	timer := clock.NewTimer()
	defer timer.Stop()
	timer.Set(before + time.Millisecond)
	<-timer.C()
	if after := clock.Now(); after < before+time.Millisecond {
		t.Errorf("a timer set for %v ticked at %v", before+time.Millisecond, after)
	}
	first := time.Now()
	wall := clock.Wall()
	if last := time.Now(); wall.Before(first) || wall.After(last) {
		t.Errorf("Wall() = %v, not between %v and %v", wall, first, last)
	}
}

func TestTimerNeverEarly(t *testing.T) {
	clock := SystemClock()
	for name, newTimer := range timers(t) {
		t.Run(name, func(t *testing.T) {
			timer := newTimer()
			defer timer.Stop()
			for i := range 20 {
				at := clock.Now() + time.Duration(i)*200*time.Microsecond
				timer.Set(at)
				<-timer.C()
				if now := clock.Now(); now < at {
					t.Fatalf("set for %v, ticked at %v", at, now)
				}
			}
		})
	}
}

func TestTimerPast(t *testing.T) {
	clock := SystemClock()
	for name, newTimer := range timers(t) {
		t.Run(name, func(t *testing.T) {
			timer := newTimer()
			defer timer.Stop()
			for _, at := range []time.Duration{1, -1, -time.Hour, clock.Now()} {
				timer.Set(at)
				<-timer.C()
			}
		})
	}
}

// A deadline moved forward holds; the one it replaced is forgotten.
func TestTimerMoved(t *testing.T) {
	clock := SystemClock()
	for name, newTimer := range timers(t) {
		t.Run(name, func(t *testing.T) {
			timer := newTimer()
			defer timer.Stop()
			timer.Set(clock.Now() + time.Hour)
			timer.Set(clock.Now() + time.Millisecond)
			<-timer.C()
		})
	}
}

func TestTimerDisarmed(t *testing.T) {
	clock := SystemClock()
	for name, newTimer := range timers(t) {
		t.Run(name, func(t *testing.T) {
			timer, witness := newTimer(), newTimer()
			defer timer.Stop()
			defer witness.Stop()
			at := clock.Now() + 20*time.Millisecond
			timer.Set(at)
			timer.Set(0)
			disarmed := clock.Now() < at
			witness.Set(at + 20*time.Millisecond)
			<-witness.C()
			select {
			case <-timer.C():
				if disarmed {
					t.Error("a disarmed timer ticked")
				}
			default:
			}
		})
	}
}

// Several deadlines that pass unseen leave one tick, and nothing blocks.
func TestTimerMerges(t *testing.T) {
	for name, newTimer := range timers(t) {
		t.Run(name, func(t *testing.T) {
			timer := newTimer()
			defer timer.Stop()
			if c := cap(timer.C()); c != 1 {
				t.Fatalf("capacity %d, want 1", c)
			}
			for range 100 {
				timer.Set(1)
			}
			<-timer.C()
		})
	}
}

func TestTimerStop(t *testing.T) {
	for name, newTimer := range timers(t) {
		t.Run(name, func(t *testing.T) {
			timer := newTimer()
			timer.Set(SystemClock().Now() + time.Hour)
			timer.Stop()
			timer.Stop()
			timer.Set(1)
			witness := newTimer()
			defer witness.Stop()
			witness.Set(SystemClock().Now() + 5*time.Millisecond)
			<-witness.C()
			select {
			case <-timer.C():
				t.Error("a stopped timer ticked")
			default:
			}
		})
	}
}

// Stop ends the goroutine behind the timer.
func TestTimerStopFrees(t *testing.T) {
	clock := SystemClock()
	before := runtime.NumGoroutine()
	all := make([]Timer, 100)
	for i := range all {
		all[i] = clock.NewTimer()
		all[i].Set(clock.Now() + time.Hour)
	}
	for _, timer := range all {
		timer.Stop()
	}
	deadline := time.Now().Add(10 * time.Second)
	for runtime.NumGoroutine() > before+len(all)/2 {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
		runtime.Gosched()
	}
}

func TestTimerConcurrent(t *testing.T) {
	clock := SystemClock()
	for name, newTimer := range timers(t) {
		t.Run(name, func(t *testing.T) {
			timer := newTimer()
			done := make(chan struct{})
			for range 4 {
				go func() {
					for i := range 200 {
						timer.Set(clock.Now() + time.Duration(i%3)*time.Millisecond)
					}
					done <- struct{}{}
				}()
			}
			for range 4 {
				<-done
			}
			timer.Set(1)
			<-timer.C()
			timer.Stop()
		})
	}
}

func TestClockAllocates(t *testing.T) {
	clock := SystemClock()
	timer := clock.NewTimer()
	defer timer.Stop()
	if n := testing.AllocsPerRun(100, func() { clock.Now() }); n != 0 {
		t.Errorf("Now allocates %v times", n)
	}
	if n := testing.AllocsPerRun(100, func() { timer.Set(clock.Now() + time.Hour) }); n != 0 {
		t.Errorf("Set allocates %v times", n)
	}
}

func BenchmarkClockNow(b *testing.B) {
	clock := SystemClock()
	for b.Loop() {
		clock.Now()
	}
}
