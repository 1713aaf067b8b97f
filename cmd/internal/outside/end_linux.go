package outside

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"
	"golang.org/x/sys/unix"
)

// A handle names a command that runs, for a process that comes later: a service, or
// the first process of a group, and when that was started.
const (
	serviceHandle = "service %s"
	groupHandle   = "group %d %s"
)

// ownGroup makes the command the first of a process group: End has to find all of
// it.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// tellGroup asks a command to end, and what it waits for: a shell that ends leaves
// that running.
func tellGroup(p *os.Process) error {
	err := unix.Kill(-p.Pid, unix.SIGTERM)
	if errors.Is(err, unix.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// killGroup ends what is left of a command that did not obey.
func killGroup(p *os.Process) { _ = unix.Kill(-p.Pid, unix.SIGKILL) } // fails if nothing is

// handleOf is the handle of a child; empty if it has ended.
func handleOf(pid int) string {
	since := startTime(pid)
	if since == "" {
		return ""
	}
	return fmt.Sprintf(groupHandle, pid, since)
}

// startTime is when a process was started, in the kernel's ticks; empty if there is
// no such process.
func startTime(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	const start = 19 // the place after the name; see proc(5)
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) <= start {
		return ""
	}
	return fields[start]
}

// End kills what [Command.Running] was told of by a process that is gone, with all
// that it has started and that is still of it, and waits for its end. It does
// nothing if the command has ended.
func End(ctx context.Context, handle string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var unit, since string
	var pid int
	if _, err := fmt.Sscanf(handle, serviceHandle, &unit); err == nil {
		return endService(ctx, unit)
	}
	if _, err := fmt.Sscanf(handle, groupHandle, &pid, &since); err != nil {
		return fmt.Errorf("end a command: %q names none", handle)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil // it has ended
	}
	defer unix.Close(fd)
	if startTime(pid) != since {
		return nil // somebody else's by now
	}
	if err := unix.Kill(-pid, unix.SIGKILL); err != nil {
		return fmt.Errorf("end process group %d: %w", pid, err)
	}
	_, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(patience/time.Millisecond))
	return err
}

func endService(ctx context.Context, unit string) error {
	conn, err := dbus.NewWithContext(ctx)
	if err != nil {
		return fmt.Errorf("connect to systemd: %w", err)
	}
	defer conn.Close()
	endUnit(ctx, conn, unit)
	return nil
}

func endUnit(ctx context.Context, conn *dbus.Conn, unit string) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if conn.KillUnitWithTarget(ctx, unit, dbus.All, int32(unix.SIGKILL)) != nil {
		return // there is no such unit any more
	}
	stopped := make(chan string, 1)
	if _, err := conn.StopUnitContext(ctx, unit, "replace", stopped); err == nil {
		_, _ = wait(ctx, conn, stopped) // it is dead in any case
	}
	_ = conn.ResetFailedUnitContext(ctx, unit) // what could not be forgotten does no harm
}
