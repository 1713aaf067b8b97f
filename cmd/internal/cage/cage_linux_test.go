//go:build amd64 || arm64

package cage

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// TestMain is also the processes that cage themselves, by name.
func TestMain(m *testing.M) {
	if enter := caged[os.Getenv("CAGED")]; enter != nil {
		enter()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// caged are what a process does whose cage is looked at.
var caged = map[string]func(){
	"landlock": func() {
		fmt.Println("cage:", leaveFiles())
		tryAll()
	},
	"all": func() {
		Begin(slog.New(slog.NewTextHandler(os.Stdout, nil)))()
		tryAll()
	},
	// A kernel that knows neither landlock nor seccomp, as far as can be seen.
	"old": func() {
		lacking(unix.SYS_LANDLOCK_CREATE_RULESET, unix.SYS_LANDLOCK_RESTRICT_SELF, unix.SYS_SECCOMP)
		Begin(slog.New(slog.NewTextHandler(os.Stdout, nil)))()
		tryAll()
	},
}

// tryAll tells what can be done still, on a thread that has come after.
func tryAll() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err := os.Open("/")
		fmt.Println("open:", errors.Unwrap(err))
		fmt.Println("signal:", unix.Kill(os.Getppid(), 0))
		var config net.ListenConfig
		config.SetMultipathTCP(false) // of which landlock knows nothing
		c, err := config.Listen(context.Background(), "tcp4", "127.0.0.1:0")
		if err == nil {
			c.Close()
		}
		var errno syscall.Errno
		fmt.Println("listen:", err == nil, errors.As(err, &errno))
		fmt.Println("execute:", errors.Unwrap(exec.Command("/bin/true").Start()))
	}()
	<-done
}

// lacking has system calls fail from now on as on a kernel that has them not.
func lacking(calls ...uint32) {
	program := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: numberOffset}}
	for _, call := range calls {
		program = append(program,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: call},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: absent})
	}
	program = append(program, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	fprog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&fprog))); errno != 0 {
		panic(errno)
	}
}

// TestWalls looks at each wall of the cage alone, and at what is left where the
// kernel has none.
func TestWalls(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"landlock": "cage: <nil>\nopen: permission denied\nsignal: operation not permitted\nlisten: false true\nexecute: permission denied\n",
		"all":      "open: operation not permitted\nsignal: operation not permitted\nlisten: false true\nexecute: operation not permitted\n",
		"old": "level=INFO msg=\"the engine's cage is without one of its walls\" wall=landlock error=\"not available here: function not implemented\"\n" +
			"level=INFO msg=\"the engine's cage is without one of its walls\" wall=seccomp error=\"not available here: function not implemented\"\n" +
			"open: <nil>\nsignal: <nil>\nlisten: true false\nexecute: <nil>\n",
	} {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), "CAGED="+name)
		text, err := cmd.CombinedOutput()
		var got strings.Builder
		for line := range strings.Lines(string(text)) {
			if at := strings.Index(line, "level="); at > 0 {
				line = line[at:] // without its time
			}
			got.WriteString(line)
		}
		if err != nil || got.String() != want {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, got.String(), want)
		}
	}
}

// A call is what a filter is shown.
type shown struct {
	arch, number uint32
	args         [6]uint64
}

// judge is what the filter of process 7 says to a call.
func judge(t *testing.T, vm *bpf.VM, c shown) uint32 {
	t.Helper()
	b := make([]byte, 64) // in the order in which the machine loads, which is not the kernel's
	binary.BigEndian.PutUint32(b[numberOffset:], c.number)
	binary.BigEndian.PutUint32(b[archOffset:], c.arch)
	for i, a := range c.args {
		binary.BigEndian.PutUint32(b[argumentOffset+8*i:], uint32(a))
		binary.BigEndian.PutUint32(b[argumentOffset+8*i+4:], uint32(a>>32))
	}
	verdict, err := vm.Run(b)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(verdict)
}

func TestFilter(t *testing.T) {
	const pid = 7
	vm, err := bpf.NewVM(filter(pid))
	if err != nil {
		t.Fatal(err)
	}
	allowed := map[uint32]bool{}
	for _, r := range rules(pid) {
		if allowed[uint32(r.call)] {
			t.Errorf("two rules for call %d", r.call)
		}
		allowed[uint32(r.call)] = true
	}
	junk := [6]uint64{1 << 31, 1 << 31, 1<<32 - 1, 1 << 31, 1 << 31, 1 << 31}
	for number := range uint32(1000) {
		want := denied
		switch {
		case number == unix.SYS_CLONE3:
			want = absent
		case allowed[number] && unconditional(number):
			want = unix.SECCOMP_RET_ALLOW
		}
		if got := judge(t, vm, shown{auditArch, number, junk}); got != want {
			t.Errorf("call %d: %#x, not %#x", number, got, want)
		}
		for what, c := range map[string]shown{
			"x32": {auditArch, x32 | number, junk}, "another processor": {unix.AUDIT_ARCH_I386, number, junk}, "a huge number": {auditArch, 1<<31 | number, junk},
		} {
			if got := judge(t, vm, c); got != denied {
				t.Errorf("%s, call %d: %#x", what, number, got)
			}
		}
	}
	for name, c := range map[string]struct {
		number uint32
		args   [6]uint64
		ok     bool
	}{
		"memory":                 {unix.SYS_MMAP, [6]uint64{0, 1, unix.PROT_READ | unix.PROT_WRITE}, true},
		"code":                   {unix.SYS_MMAP, [6]uint64{0, 1, unix.PROT_READ | unix.PROT_EXEC}, false},
		"memory becomes code":    {unix.SYS_MPROTECT, [6]uint64{0, 1, unix.PROT_EXEC}, false},
		"a thread of Go's":       {unix.SYS_CLONE, [6]uint64{0x50f00}, true},
		"a thread of glibc's":    {unix.SYS_CLONE, [6]uint64{0x3d0f00}, true},
		"a process":              {unix.SYS_CLONE, [6]uint64{uint64(unix.SIGCHLD)}, false},
		"a thread's namespaces":  {unix.SYS_CLONE, [6]uint64{0x50f00 | unix.CLONE_NEWUSER}, false},
		"a thread that's traced": {unix.SYS_CLONE, [6]uint64{0x50f00 | unix.CLONE_PTRACE}, false},
		"an own signal":          {unix.SYS_TGKILL, [6]uint64{pid, 8, 9}, true},
		"another's signal":       {unix.SYS_TGKILL, [6]uint64{8, 8, 9}, false},
		"everybody's signal":     {unix.SYS_KILL, [6]uint64{1<<64 - 1, 9}, false},
		"a duplicate":            {unix.SYS_FCNTL, [6]uint64{3, unix.F_DUPFD_CLOEXEC}, true},
		"an owner":               {unix.SYS_FCNTL, [6]uint64{3, unix.F_SETOWN}, false},
		"typing":                 {unix.SYS_IOCTL, [6]uint64{0, unix.TIOCSTI}, false},
		"typing, disguised":      {unix.SYS_IOCTL, [6]uint64{0, 1<<32 | unix.TIOCSTI}, false},
		"coalesced":              {unix.SYS_SETSOCKOPT, [6]uint64{3, unix.SOL_UDP, unix.UDP_GRO}, true},
		"firewall":               {unix.SYS_SETSOCKOPT, [6]uint64{3, unix.IPPROTO_IP, 64}, false},
		"a filter of packets":    {unix.SYS_SETSOCKOPT, [6]uint64{3, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER}, false},
		"readable by others":     {unix.SYS_PRCTL, [6]uint64{unix.PR_SET_DUMPABLE, 1}, false},
		"unreadable by others":   {unix.SYS_PRCTL, [6]uint64{unix.PR_SET_DUMPABLE, 0}, true},
	} {
		if got := judge(t, vm, shown{auditArch, c.number, c.args}); (got == unix.SECCOMP_RET_ALLOW) != c.ok {
			t.Errorf("%s: %#x", name, got)
		}
	}
}

func unconditional(number uint32) bool {
	for _, r := range rules(0) {
		if uint32(r.call) == number {
			return len(r.alternatives) == 0
		}
	}
	return false
}

// BenchmarkCall is a system call of the packet path's kind, that has nothing to do:
// "caged" comes last, since there is no way back.
func BenchmarkCall(b *testing.B) {
	r, w, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	fd := r.Fd()
	one := func(b *testing.B) {
		var buf [1]byte
		for b.Loop() {
			_, _, _ = unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&buf)), 0)
		}
	}
	b.Run("free", one)
	if err := prepareFilter()(); err != nil {
		b.Fatal(err)
	}
	b.Run("caged", one)
}
