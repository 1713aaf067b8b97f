package tunnel

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Only CLOCK_BOOTTIME counts sleep. In a time namespace where it is a day ahead of CLOCK_MONOTONIC, as if the machine had slept, the
// clock reads it and timers go by it.
func TestClockIsBootTime(t *testing.T) {
	const inside = "VPN_TEST_TIME_NAMESPACE"
	if _, err := os.Stat("/proc/self/ns/time"); os.Getenv(inside) == "" && err == nil && os.Geteuid() == 0 {
		c := exec.Command("unshare", "--time", "--fork", "--boottime", "86400", os.Args[0], "-test.run=^TestClockIsBootTime$", "-test.timeout=30s")
		c.Env = append(os.Environ(), inside+"=1")
		if text, err := c.CombinedOutput(); err != nil {
			t.Errorf("after a sleep of a day: %v\n%s", err, text)
		}
	}
	read := func(clock int32) time.Duration {
		var ts unix.Timespec
		if err := unix.ClockGettime(clock, &ts); err != nil {
			t.Fatal(err)
		}
		return time.Duration(ts.Nano())
	}
	before := read(unix.CLOCK_BOOTTIME)
	if slept := before - read(unix.CLOCK_MONOTONIC); os.Getenv(inside) != "" && slept < 23*time.Hour {
		t.Fatalf("the clocks are only %v apart", slept)
	}
	now := SystemClock().Now()
	if after := read(unix.CLOCK_BOOTTIME); now < before || now > after {
		t.Errorf("Now() = %v, not between %v and %v", now, before, after)
	}
	timer := SystemClock().NewTimer()
	defer timer.Stop()
	if _, ok := timer.(*fileTimer); !ok {
		t.Errorf("timer is a %T, want a timerfd", timer)
	}
	timer.Set(now + time.Millisecond)
	<-timer.C() // which is due, or the test hangs
}
