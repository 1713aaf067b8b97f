//go:build linux

package testnet

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A Call is a system call to be made by somebody else. Pointers are offsets in
// Memory, from Here on.
type Call struct {
	Number uintptr
	Args   [6]uintptr
	Memory []byte // at most a page
}

// Here is the address of a Call's Memory.
const Here = 0xfff0_0000_0000_0000

// Threads returns the threads of a process.
func Threads(tb TB, pid int) (tids []int) {
	tb.Helper()
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		tb.Fatalf("threads of %d: %v", pid, err)
	}
	for _, task := range tasks {
		tid, _ := strconv.Atoi(task.Name())
		tids = append(tids, tid)
	}
	return tids
}

// Inject has a thread of a process, wherever it is, make calls, and go on as if
// nothing had been. It returns what the kernel did. False: the thread has ended.
// It must not be the first thread of a process that Start has started: who waits for
// the end of that one would take from us that it has stopped.
func Inject(tb TB, pid, tid int, calls ...Call) (results []error, there bool) {
	tb.Helper()
	done := make(chan error, 1)
	go func() {
		// Only the thread that traces may ask for anything.
		runtime.LockOSThread()
		var err error
		results, err = inject(pid, tid, calls)
		done <- err
	}()
	if err := <-done; errors.Is(err, unix.ESRCH) {
		return nil, false
	} else if err != nil {
		tb.Fatalf("inject into thread %d of %d: %v", tid, pid, err)
	}
	return results, true
}

// tracee is a thread that we have stopped.
type tracee struct {
	tid     int
	memory  *os.File
	code    uintptr // address of a syscall instruction
	pending unix.Signal
}

const pageSize = 4096

func inject(pid, tid int, calls []Call) (results []error, err error) {
	t := &tracee{tid: tid}
	if t.code, err = syscallInstruction(pid); err != nil {
		return nil, err
	}
	if t.memory, err = os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDWR, 0); err != nil {
		return nil, err
	}
	defer t.memory.Close()
	if err := unix.PtraceSeize(tid); err != nil {
		return nil, err
	}
	if err := unix.PtraceInterrupt(tid); err != nil {
		return nil, err
	}
	if err := t.wait(); err != nil {
		return nil, err
	}
	var before unix.PtraceRegs
	if err := unix.PtraceGetRegs(tid, &before); err != nil {
		return nil, err
	}
	page, err := t.call(&before, unix.SYS_MMAP, [6]uintptr{0, pageSize, unix.PROT_READ | unix.PROT_WRITE, unix.MAP_PRIVATE | unix.MAP_ANONYMOUS, ^uintptr(0), 0})
	for _, c := range calls {
		if err != nil {
			break
		}
		if _, err = t.memory.WriteAt(c.Memory, int64(page)); err != nil {
			break
		}
		for i, a := range c.Args {
			if a >= Here && a < Here+pageSize {
				c.Args[i] = page + (a - Here)
			}
		}
		_, result := t.call(&before, c.Number, c.Args)
		results = append(results, result)
	}
	if err == nil {
		_, err = t.call(&before, unix.SYS_MUNMAP, [6]uintptr{page, pageSize})
	}
	return results, errors.Join(err, unix.PtraceSetRegs(tid, &before), t.detach())
}

// wait waits until the thread has stopped. A signal that stopped it is for later.
func (t *tracee) wait() error {
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(t.tid, &status, unix.WALL, nil)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return err
		case !status.Stopped():
			return unix.ESRCH
		}
		if s := status.StopSignal(); s != unix.SIGTRAP {
			t.pending = s
		}
		return nil
	}
}

// call has the thread execute one instruction: its result is what a program gets.
func (t *tracee) call(before *unix.PtraceRegs, number uintptr, args [6]uintptr) (uintptr, error) {
	r := *before
	r.Rip, r.Rax, r.Orig_rax = uint64(t.code), uint64(number), ^uint64(0)
	r.Rdi, r.Rsi, r.Rdx = uint64(args[0]), uint64(args[1]), uint64(args[2])
	r.R10, r.R8, r.R9 = uint64(args[3]), uint64(args[4]), uint64(args[5])
	if err := unix.PtraceSetRegs(t.tid, &r); err != nil {
		return 0, err
	}
	for r.Rip == uint64(t.code) { // other stops may come between
		if err := unix.PtraceSingleStep(t.tid); err != nil {
			return 0, err
		}
		if err := t.wait(); err != nil {
			return 0, err
		}
		if err := unix.PtraceGetRegs(t.tid, &r); err != nil {
			return 0, err
		}
	}
	if result := int64(r.Rax); result < 0 && result > -pageSize {
		return 0, unix.Errno(-result)
	}
	return uintptr(r.Rax), nil
}

func (t *tracee) detach() error {
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_DETACH, uintptr(t.tid), 0, uintptr(t.pending), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// syscallInstruction finds one in the code of a process.
func syscallInstruction(pid int) (uintptr, error) {
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	maps, err := os.ReadFile(filepath.Join(proc, "maps"))
	if err != nil {
		return 0, err
	}
	memory, err := os.Open(filepath.Join(proc, "mem"))
	if err != nil {
		return 0, err
	}
	defer memory.Close()
	for line := range strings.Lines(string(maps)) {
		var from, to uintptr
		var rights string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &rights); err != nil || rights != "r-xp" || to-from > 1<<28 {
			continue
		}
		code := make([]byte, to-from)
		if _, err := memory.ReadAt(code, int64(from)); err != nil {
			continue // the kernel's own
		}
		if at := bytes.Index(code, []byte{0x0f, 0x05}); at >= 0 {
			return from + uintptr(at), nil
		}
	}
	return 0, errors.New("no syscall instruction")
}
