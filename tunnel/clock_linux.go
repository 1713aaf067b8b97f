package tunnel

import (
	"encoding/binary"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// SystemClock is the clock of the machine: CLOCK_BOOTTIME, which counts the
// time that the machine sleeps, with timers that a deadline passed in sleep
// fires on waking.
func SystemClock() Clock { return bootClock{} }

type bootClock struct{}

func (bootClock) Now() time.Duration {
	var ts unix.Timespec
	// Raw: telling the scheduler of each reading keeps the runtime's watchdog awake, which costs more than the reading.
	_, _, errno := unix.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_BOOTTIME, uintptr(unsafe.Pointer(&ts)), 0)
	if errno != 0 {
		// The arguments are right, and every kernel that Go runs on has it.
		panic(fmt.Sprintf("tunnel: read CLOCK_BOOTTIME: %v", errno))
	}
	return time.Duration(ts.Nano())
}

func (bootClock) Wall() time.Time { return time.Now() }

func (c bootClock) NewTimer() Timer {
	t, err := newFileTimer()
	if err != nil {
		// Out of descriptors. A tunnel that keeps its deadlines while the
		// machine is awake, and a minute late after a sleep, beats none.
		return newRuntimeTimer(c.Now, time.Minute)
	}
	return t
}

// fileTimer is a timerfd, read by a goroutine of its own through the runtime's
// poller: it parks no thread.
type fileTimer struct {
	file *os.File
	raw  syscall.RawConn
	c    chan struct{}

	mu   sync.Mutex // guards what follows
	spec unix.ItimerSpec
	arm  func(fd uintptr) // hands spec to the kernel; made once, so that Set allocates nothing
}

func newFileTimer() (*fileTimer, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_BOOTTIME, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	t := &fileTimer{file: os.NewFile(uintptr(fd), "timerfd"), c: make(chan struct{}, 1)}
	if t.raw, err = t.file.SyscallConn(); err != nil {
		t.file.Close()
		return nil, err
	}
	t.arm = func(fd uintptr) {
		if err := unix.TimerfdSettime(int(fd), unix.TFD_TIMER_ABSTIME, &t.spec, nil); err != nil {
			// Only a descriptor or a time that is no such thing can fail.
			panic(fmt.Sprintf("tunnel: timerfd_settime: %v", err))
		}
	}
	go t.read()
	return t, nil
}

// read turns expirations into ticks until the file is closed.
func (t *fileTimer) read() {
	var expirations [8]byte
	for {
		n, err := t.file.Read(expirations[:])
		if err != nil {
			return
		}
		if n == len(expirations) && binary.NativeEndian.Uint64(expirations[:]) > 0 {
			tick(t.c)
		}
	}
}

func (t *fileTimer) Set(at time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if at < 0 {
		at = 1 // long past; the kernel takes no negative time
	}
	t.spec.Value = unix.NsecToTimespec(int64(at))
	// An error means that the file is closed: Stop was called.
	_ = t.raw.Control(t.arm)
}

func (t *fileTimer) C() <-chan struct{} { return t.c }

func (t *fileTimer) Stop() { t.file.Close() }
