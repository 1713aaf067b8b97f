//go:build !linux

package tunnel

import "time"

// SystemClock is the clock of the machine: the runtime's monotonic one. Where
// that stands still while the machine sleeps, so do the deadlines.
func SystemClock() Clock { return monotonicClock{epoch: time.Now()} }

type monotonicClock struct{ epoch time.Time }

// Now counts from one second, because zero means "never".
func (c monotonicClock) Now() time.Duration { return time.Since(c.epoch) + time.Second }

func (c monotonicClock) Wall() time.Time { return time.Now() }

func (c monotonicClock) NewTimer() Timer { return newRuntimeTimer(c.Now, time.Minute) }
