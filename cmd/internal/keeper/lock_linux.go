package keeper

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"vpn/tun/host"
)

// A Lock makes its holder the only one that works on a link. The kernel gives it
// back when the holder dies.
type Lock struct {
	name string
	f    *os.File
}

// HeldError says who holds a link's lock.
type HeldError struct {
	Link string
	PID  int    // 0 if it is not known
	Who  string // what it is doing, such as "vpn run wg0"
}

func (e *HeldError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("another process is at work on %s", e.Link)
	}
	return fmt.Sprintf("%s is held by process %d (%s)", e.Link, e.PID, e.Who)
}

// Acquire takes the lock of a link, for who, or says with a [HeldError] who has
// it. It does not wait.
func Acquire(name, who string) (*Lock, error) {
	path := host.RunPath(name, lockFile)
	const patience, between = 5 * time.Second, 5 * time.Millisecond
	for end := time.Now().Add(patience); ; {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, fmt.Errorf("lock %s: %w", name, err)
		}
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if errors.Is(err, os.ErrNotExist) {
			continue // the folder went with its last holder
		}
		if err != nil {
			return nil, fmt.Errorf("lock %s: %w", name, err)
		}
		err = onDescriptor(f, func(fd int) error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
		if errors.Is(err, unix.EWOULDBLOCK) {
			held := heldBy(name, f)
			f.Close()
			if !isEnding(held.PID) || time.Now().After(end) {
				return nil, held
			}
			<-time.After(between) // its last thread, or a process that it was about to start, has it for a moment
			continue
		}
		if err == nil && stillThere(f, path) {
			l := &Lock{name, f}
			return l, l.sign(who)
		}
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("lock %s: %w", name, err)
		}
	}
}

// Held returns who holds the lock of a link, nil if nobody who lives does.
func Held(name string) *HeldError {
	f, err := os.Open(host.RunPath(name, lockFile))
	if err != nil {
		return nil
	}
	defer f.Close()
	if err := onDescriptor(f, func(fd int) error { return unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB) }); errors.Is(err, unix.EWOULDBLOCK) {
		if held := heldBy(name, f); !isEnding(held.PID) {
			return held
		}
	}
	return nil
}

// onDescriptor calls do with f's descriptor, and leaves f as it is.
func onDescriptor(f *os.File, do func(fd int) error) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var result error
	if err := raw.Control(func(fd uintptr) { result = do(int(fd)) }); err != nil {
		return err
	}
	return result
}

// stillThere says whether the locked file is the one that others find.
func stillThere(f *os.File, path string) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	theirs, err := os.Lstat(path)
	return err == nil && os.SameFile(mine, theirs)
}

func heldBy(name string, f *os.File) *HeldError {
	held := &HeldError{Link: name}
	text := make([]byte, 256)
	n, _ := f.ReadAt(text, 0) // what can't be read is not known
	pid, who, _ := strings.Cut(strings.TrimSpace(string(text[:n])), " ")
	if number, err := strconv.Atoi(pid); err == nil {
		held.PID, held.Who = number, who
	}
	return held
}

// isEnding says whether a process has ended, or is about to: its first thread is.
func isEnding(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	const flags, exiting = 6, 0x4 // the place after the name, and PF_EXITING; see proc(5)
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) <= flags {
		return false
	}
	n, err := strconv.ParseUint(fields[flags], 10, 64)
	return err == nil && n&exiting != 0
}

// sign writes who holds the lock.
func (l *Lock) sign(who string) error {
	text := fmt.Appendf(nil, "%d %s\n", os.Getpid(), who)
	err := l.f.Truncate(0)
	if err == nil {
		_, err = l.f.WriteAt(text, 0)
	}
	if err != nil {
		l.f.Close()
		return fmt.Errorf("lock %s: %w", l.name, err)
	}
	return nil
}

// Release gives the lock back, and the link's folder with it if nothing else is
// left there.
func (l *Lock) Release() {
	path := host.RunPath(l.name, lockFile)
	_ = os.Remove(path)               // before the lock is free: nobody else's can be deleted
	_ = os.Remove(filepath.Dir(path)) // fails if it is not empty
	l.f.Close()
}
