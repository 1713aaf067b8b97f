package tunnel

import (
	"bytes"
	"os"
	"os/exec"
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

// In a time namespace the machine seems to have slept for a day more than it was awake: clock and timers go by that.
func TestClockCountsSleep(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, for a time namespace")
	}
	const tests = "^Test(ClockIsBootTime|ClockRuns|TimerNeverEarly|TimerMoved|TimerDisarmed)$"
	command := exec.CommandContext(t.Context(), "unshare", "--time", "--boottime", "86400", "--fork",
		os.Args[0], "-test.run", tests, "-test.timeout", "1m", "-test.v")
	if text, err := command.CombinedOutput(); err != nil || !bytes.Contains(text, []byte("--- PASS: TestTimerDisarmed")) {
		t.Errorf("%v\n%s", err, text)
	}
}
