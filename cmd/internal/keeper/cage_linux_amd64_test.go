package keeper_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vpn/cmd/internal/testnet"
)

// attempt is something that somebody would try who has taken over an engine. An
// uncaged process of root's succeeds, if it is not one that would harm it.
type attempt struct {
	name    string
	call    testnet.Call
	control bool
}

func call(number uintptr, memory string, args ...uintptr) testnet.Call {
	c := testnet.Call{Number: number, Memory: append([]byte(memory), 0)}
	copy(c.Args[:], args)
	return c
}

const here = testnet.Here

// attempts are made on files, on programs, on the network, on the process victim
// and on the kernel.
func attempts(victim int) []attempt {
	cwd := ^uintptr(0) - 99 // AT_FDCWD
	pid := uintptr(victim)
	how := string(make([]byte, 24)) // struct open_how: read only
	vector := string(binary.NativeEndian.AppendUint64(binary.NativeEndian.AppendUint64(nil, 0), 0))
	return []attempt{
		{"open a secret file", call(unix.SYS_OPENAT, "/etc/shadow", cwd, here, unix.O_RDONLY), true},
		{"open it the old way", call(unix.SYS_OPEN, "/etc/shadow", here, unix.O_RDONLY), true},
		{"open any file", call(unix.SYS_OPENAT2, how+"/", cwd, here+24, here, 24), true},
		{"make a file", call(unix.SYS_OPENAT, "/tmp/caged", cwd, here, unix.O_CREAT|unix.O_RDWR, 0o600), true},
		{"look for a file", call(unix.SYS_NEWFSTATAT, "/etc/shadow\x00"+string(make([]byte, 200)), cwd, here, here+12), true},
		{"make a program of memory", call(unix.SYS_MEMFD_CREATE, "x", here), true},
		{"run what was written", call(unix.SYS_MMAP, "", 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS, ^uintptr(0)), true},
		{"execute a program", call(unix.SYS_EXECVE, "/bin/true", here), false},
		{"execute it the other way", call(unix.SYS_EXECVEAT, "/bin/true", cwd, here), false},
		{"make a process", call(unix.SYS_CLONE, "", uintptr(unix.SIGCHLD)), false},
		{"make a process the old way", call(unix.SYS_FORK, ""), false},
		{"open a UDP socket", call(unix.SYS_SOCKET, "", unix.AF_INET, unix.SOCK_DGRAM), true},
		{"open a TCP socket", call(unix.SYS_SOCKET, "", unix.AF_INET6, unix.SOCK_STREAM), true},
		{"open a raw socket", call(unix.SYS_SOCKET, "", unix.AF_PACKET, unix.SOCK_RAW, 0x300), true},
		{"open a local socket", call(unix.SYS_SOCKET, "", unix.AF_UNIX, unix.SOCK_DGRAM), true},
		{"speak to the kernel", call(unix.SYS_SOCKET, "", unix.AF_NETLINK, unix.SOCK_RAW), true},
		{"ptrace", call(unix.SYS_PTRACE, "", unix.PTRACE_SEIZE, pid), true},
		{"read another's memory", call(unix.SYS_PROCESS_VM_READV, vector, pid, here, 1, here, 1), true},
		{"signal another", call(unix.SYS_KILL, "", pid, 0), true},
		{"get hold of another", call(unix.SYS_PIDFD_OPEN, "", pid), true},
		{"load a program into the kernel", call(unix.SYS_BPF, string(make([]byte, 72)), 0, here, 72), false},
		{"make a ring", call(unix.SYS_IO_URING_SETUP, string(make([]byte, 120)), 1, here), true},
		{"make namespaces", call(unix.SYS_UNSHARE, "", unix.CLONE_FS), true},
		{"type into the terminal", call(unix.SYS_IOCTL, "x", 2, unix.TIOCSTI, here), false},
		{"join a socket to a filter", call(unix.SYS_SETSOCKOPT, "", 3, unix.SOL_SOCKET, unix.SO_ATTACH_BPF, 0, 4), false},
		{"an x32 call", call(0x4000_0000+unix.SYS_GETPID, ""), false},
	}
}

// TestEngineIsCaged has every thread of a running engine try what an engine has no
// business to do. Each attempt fails, and the engine, whom nobody has asked, goes
// on. A daemon without a cage and the same attempts are the control.
func TestEngineIsCaged(t *testing.T) {
	w := newWorld(t)
	w.peerUp()
	w.a.write(w.a.config(w.b, "", w.b.endpoint()))
	w.a.do("up", "wg0")
	w.a.MustPing(w.b.inner)
	engine := w.a.engine()
	victim := w.a.Start(nil, "sleep", "1000").PID()
	all := attempts(victim)
	var calls []testnet.Call
	for _, a := range all {
		calls = append(calls, a.call)
	}
	tried := 0
	for _, tid := range testnet.Threads(t, engine) {
		results, there := testnet.Inject(t, engine, tid, calls...)
		if !there {
			continue
		}
		tried++
		for i, err := range results {
			if err != unix.EPERM {
				t.Errorf("thread %d can %s: %v", tid, all[i].name, err)
			}
		}
		// Threads of glibc's ask for this one first, and take no for an answer.
		if results, _ := testnet.Inject(t, engine, tid, call(unix.SYS_CLONE3, "", here, 88)); !slices.Equal(results, []error{unix.ENOSYS}) {
			t.Errorf("thread %d: clone3: %v", tid, results)
		}
	}
	if tried < 3 {
		t.Errorf("%d threads were tried", tried)
	}
	if w.a.engine() != engine {
		t.Error("the engine is another")
	}
	w.a.MustPing(w.b.inner)

	free := w.a.StartDaemon(testnet.VPN).PID()
	calls = nil
	all = slices.DeleteFunc(all, func(a attempt) bool { return !a.control })
	for _, a := range all {
		calls = append(calls, a.call)
	}
	results, _ := testnet.Inject(t, free, testnet.Threads(t, free)[1], calls...)
	for i, err := range results {
		if err != nil {
			t.Errorf("nothing but a cage was to forbid a process to %s: %v", all[i].name, err)
		}
	}
}

// TestCagedEngineIsServed has a caged engine do all that its keeper does for it: other
// ports, marks and keys, a new file, a new engine, and a keeper that starts anew.
func TestCagedEngineIsServed(t *testing.T) {
	w := newWorld(t)
	w.peerUp()
	w.a.WriteFile("/etc/passwd", "root:x:0:0::/root:/bin/sh\nvpn:x:977:976::/:/usr/sbin/nologin\n", 0o644)
	w.a.write(w.a.config(w.b, "PostUp = touch /run/up\nDNS = 10.9.0.53", w.b.endpoint()))
	w.a.do("up", "wg0")
	uid, gid := "977", "976"
	works := func(what string, port int) {
		t.Helper()
		w.a.MustPing(w.b.inner)
		if got := strings.TrimSpace(w.a.MustRun("wg", "show", "wg0", "listen-port")); port != anyPort && got != fmt.Sprint(port) {
			t.Errorf("%s: port %s", what, got)
		}
		engine := w.a.engine()
		for field, want := range map[string]string{
			"Uid": uid + strings.Repeat("\t"+uid, 3), "Gid": gid + strings.Repeat("\t"+gid, 3), "Groups": "", "Seccomp": "2", "NoNewPrivs": "1",
			"CapInh": none, "CapPrm": none, "CapEff": none, "CapBnd": none, "CapAmb": none,
		} {
			if got := testnet.Status(engine, field); got != want {
				t.Errorf("%s: %s is %q, not %q", what, field, got, want)
			}
		}
	}
	works("up", w.a.port)
	w.a.MustRun("wg", "set", "wg0", "listen-port", "7000", "fwmark", "0x77")
	works("another port and mark", 7000)
	if got := w.a.MustRun("wg", "show", "wg0", "fwmark"); got != "0x77\n" {
		t.Errorf("the mark is %s", got)
	}
	w.a.kill(w.a.engine())
	testnet.Until(t, "there is another engine", func() bool { return len(w.a.children(w.a.pid())) == 1 })
	works("another engine", anyPort)
	w.a.port = 7001
	w.a.write(w.a.config(w.b, "MTU = 1300", w.b.endpoint()))
	w.a.do("reload", "wg0")
	works("reload", 7001)
	// A person is called so: what is theirs is no engine's.
	w.a.WriteFile("/etc/passwd", "root:x:0:0::/root:/bin/sh\nvpn:x:1234:1234::/home/vpn:/bin/sh\n", 0o644)
	uid, gid = "65534", "65534"
	w.a.do("restart", "wg0")
	works("restart", 7001)
	w.a.do("down", "wg0")
	if text, _ := w.a.Run("ip", "link", "show", "wg0"); !strings.Contains(text, "does not exist") {
		t.Errorf("after down: %s", text)
	}
}

const (
	none    = "0000000000000000" // capabilities
	anyPort = -1
)
