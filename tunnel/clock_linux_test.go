package tunnel

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Only CLOCK_BOOTTIME counts sleep; uptime as the kernel reports it is that
// clock in whole seconds.
func TestClockIsBootTime(t *testing.T) {
	boot := func() time.Duration {
		var ts unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
			t.Fatal(err)
		}
		return time.Duration(ts.Nano())
	}
	before := boot()
	now := SystemClock().Now()
	if after := boot(); now < before || now > after {
		t.Errorf("Now() = %v, not between %v and %v", now, before, after)
	}
	timer := SystemClock().NewTimer()
	defer timer.Stop()
	if _, ok := timer.(*fileTimer); !ok {
		t.Errorf("timer is a %T, want a timerfd", timer)
	}
}
