package systemd

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Booted reports whether systemd is this system's service manager. See
// sd_booted(3).
func Booted() bool {
	fi, err := os.Lstat("/run/systemd/system")
	return err == nil && fi.IsDir()
}

// Managed reports whether a service manager listens to this process.
func Managed() bool { return os.Getenv("NOTIFY_SOCKET") != "" }

// Ready tells that the start, or a reload, is complete. Like all that follow it
// does nothing where nobody listens, which is where NOTIFY_SOCKET is not set.
// Status is one line for `systemctl status`.
func Ready(status string) error { return notify(daemon.SdNotifyReady, statusLine(status)) }

// Status changes the line that `systemctl status` shows.
func Status(status string) error { return notify(statusLine(status)) }

// Reloading tells that the configuration is being read anew; Ready has to follow.
func Reloading(status string) error {
	return notify(daemon.SdNotifyReloading, strings.TrimSpace(daemon.SdNotifyMonotonicUsec()), statusLine(status))
}

// Stopping tells that the end has begun.
func Stopping(status string) error { return notify(daemon.SdNotifyStopping, statusLine(status)) }

// MainPID tells that another process is the service's main one from now on.
// Exec keeps the process, and doesn't need it.
func MainPID(pid int) error { return notify(fmt.Sprintf("MAINPID=%d", pid)) }

// ExtendTimeout asks for so much time from now on, where a start, a reload or a
// stop takes longer than the unit allows.
func ExtendTimeout(d time.Duration) error {
	return notify(fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", d.Microseconds()))
}

// statusLine keeps a status to one line: a further one would be an assignment of
// its own.
func statusLine(status string) string {
	return "STATUS=" + strings.Join(strings.Fields(status), " ")
}

func notify(assignments ...string) error {
	if _, err := daemon.SdNotify(false, strings.Join(assignments, "\n")); err != nil {
		return fmt.Errorf("notify the service manager: %w", err)
	}
	return nil
}

// Watchdog tells the service manager twice in each of its intervals that all is
// well, as long as alive returns true, until ctx ends. Alive is given half an
// interval. Where the service manager doesn't watch this process, Watchdog returns
// at once.
func Watchdog(ctx context.Context, alive func(context.Context) bool) error {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return fmt.Errorf("watchdog: %w", err)
	}
	if interval == 0 || os.Getenv("NOTIFY_SOCKET") == "" {
		return nil
	}
	tick := time.NewTicker(interval / 2)
	defer tick.Stop()
	for {
		if isAlive(ctx, interval/2, alive) {
			if err := notify(daemon.SdNotifyWatchdog); err != nil {
				return err
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func isAlive(ctx context.Context, limit time.Duration, alive func(context.Context) bool) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return alive(ctx)
}

// forServices are the variables by which the service manager talks to one
// process, and to none that this process starts.
var forServices = []string{
	"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "MAINPID", "FDSTORE",
	"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "MANAGERPID", "JOURNAL_STREAM",
	"INVOCATION_ID", "SYSTEMD_EXEC_PID",
}

// Environ returns an environment without the variables that are meant for the
// service itself: what a hook should have. It is a copy.
func Environ(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(assignment string) bool {
		name, _, _ := strings.Cut(assignment, "=")
		return slices.Contains(forServices, name)
	})
}
