package residue

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tracer is the variable by which this program, started again, knows that it is to print the registers of a process. Who
// has started a process can't trace it itself: waiting for its end would take what is for the tracer.
const tracer = "RESIDUE_TEST_TRACE"

// registers returns what all threads of a process have in their registers, vectors included, as far as the kernel tells.
func registers(t *testing.T, pid int) []byte {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var text, complaints bytes.Buffer
	c := exec.Command(program)
	c.Env = append(os.Environ(), fmt.Sprintf("%s=%d", tracer, pid))
	c.Stdout, c.Stderr = &text, &complaints
	if err := c.Run(); err != nil || text.Len() == 0 {
		t.Fatalf("registers of process %d: %v: %s", pid, err, &complaints)
	}
	return text.Bytes()
}

// printRegisters is the program that was started again.
func printRegisters(pid string) error {
	tasks, err := os.ReadDir("/proc/" + pid + "/task")
	if err != nil {
		return err
	}
	for _, task := range tasks {
		var tid int
		if _, err := fmt.Sscan(task.Name(), &tid); err != nil {
			return err
		}
		b, err := threadRegisters(tid)
		if err != nil && err != unix.ESRCH { // a thread that has ended has none
			return fmt.Errorf("thread %d: %w", tid, err)
		}
		if _, err := os.Stdout.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// threadRegisters stops a thread for a moment and reads its general and its vector registers.
func threadRegisters(tid int) ([]byte, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.PtraceSeize(tid); err != nil {
		return nil, err
	}
	defer func() { _ = unix.PtraceDetach(tid) }()
	if err := unix.PtraceInterrupt(tid); err != nil {
		return nil, err
	}
	var status unix.WaitStatus
	if _, err := unix.Wait4(tid, &status, unix.WALL, nil); err != nil {
		return nil, err
	}
	if !status.Stopped() {
		return nil, unix.ESRCH
	}
	const general, xstate = 1, 0x202 // NT_PRSTATUS, NT_X86_XSTATE
	const floating = 2               // NT_PRFPREG: all vectors, on arm64
	sets := []uintptr{general, floating}
	if runtime.GOARCH == "amd64" {
		sets[1] = xstate
	}
	var all []byte
	for _, set := range sets {
		b := make([]byte, 16<<10)
		io := unix.Iovec{Base: &b[0]}
		io.SetLen(len(b))
		if _, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_GETREGSET, uintptr(tid), set, uintptr(unsafe.Pointer(&io)), 0, 0); errno != 0 {
			return nil, errno
		}
		all = append(all, b[:io.Len]...)
	}
	return all, nil
}

// owner is the user that a file belongs to.
func owner(info os.FileInfo) uint32 { return info.Sys().(*syscall.Stat_t).Uid }
