package child_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vpn/cmd/internal/testnet"
	"vpn/tunnel"
)

// kept is one side of a pair, whose daemon is the keeper of these tests.
type kept struct {
	*testnet.Side
	keeper *testnet.Process
	name   string
	nth    int // engine
	pid    int // of that engine
}

// newKept makes a pair of hosts that are joined: the first has a keeper, the
// second an ordinary daemon.
func newKept(t *testing.T) (*kept, *testnet.Side) {
	t.Helper()
	p := testnet.NewHosts(t, 0)
	k := &kept{Side: p.A, name: testnet.NewLinkName()}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	k.keeper = k.Start(nil, self, "keeper", k.name)
	k.awaitEngine(t)
	k.Daemon = &testnet.Daemon{Process: k.keeper, Link: k.Link(k.name), Kind: testnet.VPN, Key: testnet.NewKey()}
	t.Cleanup(func() { _ = os.Remove(k.Daemon.SocketPath()) })
	k.Daemon.Set("private_key="+k.Daemon.Key.Private, fmt.Sprintf("listen_port=%d", k.Port))
	k.Daemon.Address(k.Inner4+"/24", k.Inner6+"/64")
	p.B.StartDaemon(testnet.VPN)
	p.Join(false)
	k.MustPing(p.B.Inner4)
	return k, p.B
}

// awaitEngine waits until the next engine is ready.
func (k *kept) awaitEngine(t *testing.T) {
	t.Helper()
	k.nth++
	ready := fmt.Sprintf("engine %d is ready: ", k.nth)
	k.keeper.WaitOutput(ready)
	testnet.Until(t, "the line is whole", func() bool {
		_, rest, _ := strings.Cut(k.keeper.Output(), ready)
		pid, _, whole := strings.Cut(rest, ";")
		k.pid, _ = strconv.Atoi(pid)
		return whole
	})
}

// ports asks the keeper what is open.
func (k *kept) ports(t *testing.T, want string) {
	t.Helper()
	testnet.Until(t, "the keeper has "+want, func() bool {
		k.keeper.Signal(unix.SIGUSR2)
		return strings.Contains(k.keeper.Output(), want+"\n")
	})
}

func kill(t *testing.T, pid int) {
	t.Helper()
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

func gone(t *testing.T, pid int) {
	t.Helper()
	testnet.Until(t, "the engine is gone", func() bool { return unix.Kill(pid, 0) == unix.ESRCH })
}

// An engine that is killed is replaced on the same descriptors: link, addresses
// and port are there, and traffic flows again both ways without the other side
// being told anything.
func TestEngineReplaced(t *testing.T) {
	k, b := newKept(t)
	for range 2 {
		kill(t, k.pid)
		k.awaitEngine(t)
		k.Daemon.Set(append([]string{"private_key=" + k.Daemon.Key.Private, "listen_port=0"}, b.PeerLines(b.Endpoint(false))...)...)
		k.MustPing(b.Inner4)
		b.MustPing(k.Inner6)
		if port := k.Daemon.Get().Device["listen_port"]; port != strconv.Itoa(k.Port) {
			t.Errorf("the new engine has port %s, want %d", port, k.Port)
		}
		if at := b.Daemon.Get().Peers[k.Daemon.Key.Public]["endpoint"]; at != k.Endpoint(false) {
			t.Errorf("the other side knows us at %s", at)
		}
	}
	if n := strings.Count(k.keeper.Output(), "ended: the engine of "+k.name+" ended: signal: killed"); n != 2 {
		t.Errorf("%d engines were killed, as the keeper tells", n)
	}
	state := filepath.Join("/proc", strconv.Itoa(k.keeper.PID()), "root/var/lib/vpn/floor")
	if floors, err := os.ReadDir(state); err != nil || len(floors) != 1 {
		t.Errorf("%v, %v: want a floor for one key", floors, err)
	}
}

// portsWith is what portsNow says when all sockets have a mark.
func portsWith(port, mark int) string {
	return fmt.Sprintf("ports: %d", port) + strings.Repeat(fmt.Sprintf(" %d <nil>", mark), 2*tunnel.MaxLines)
}

// Mark and port change while it runs, by the hand of the keeper.
func TestMarkAndPortChanged(t *testing.T) {
	k, b := newKept(t)
	k.Daemon.Set("fwmark=51820")
	k.ports(t, portsWith(k.Port, 51820))
	k.MustPing(b.Inner4)
	k.Daemon.Set("fwmark=0")
	k.ports(t, portsWith(k.Port, 0))

	k.Port += 100
	k.Daemon.Set(fmt.Sprintf("listen_port=%d", k.Port), "fwmark=7")
	k.ports(t, portsWith(k.Port, 7))
	k.MustPing(b.Inner4)
	if at := b.Daemon.Get().Peers[k.Daemon.Key.Public]["endpoint"]; at != k.Endpoint(false) {
		t.Errorf("the other side knows us at %s, want %s", at, k.Endpoint(false))
	}

	var taken string
	k.Do(func() {
		c, err := net.ListenPacket("udp4", ":0")
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { c.Close() })
		_, taken, _ = net.SplitHostPort(c.LocalAddr().String())
	})
	if err := k.trySet("listen_port=" + taken); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("errno=-%d", unix.EADDRINUSE)) {
		t.Errorf("a port that is taken: %v", err)
	}
	k.MustPing(b.Inner4)
}

// trySet makes a change that may be refused.
func (k *kept) trySet(lines string) error {
	c, err := net.Dial("unix", k.Daemon.SocketPath())
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write([]byte("set=1\n" + lines + "\n\n")); err != nil {
		return err
	}
	b := make([]byte, 100)
	n, err := c.Read(b)
	if err == nil && !strings.HasPrefix(string(b[:n]), "errno=0") {
		err = fmt.Errorf("%s", b[:n])
	}
	return err
}

// open counts what the engine has open, and names what it has no use for.
func (k *kept) open(t *testing.T) (sockets, devices int, others []string) {
	t.Helper()
	folder := fmt.Sprintf("/proc/%d/fd", k.pid)
	fds, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		to, err := os.Readlink(filepath.Join(folder, fd.Name()))
		if err != nil {
			continue // closed meanwhile
		}
		switch {
		case to == "/dev/net/tun":
			devices++
		case strings.HasPrefix(to, "/sys/fs/cgroup/"): // Go's runtime asks how many processors there are
		case to == "/dev/null", strings.HasPrefix(to, "pipe:"), strings.HasPrefix(to, "anon_inode:"):
		case strings.HasPrefix(to, "socket:"):
			sockets++
		default:
			others = append(others, to)
		}
	}
	return sockets, devices, others
}

// The engine is nobody, can do nothing, leads a session of its own, and has open
// what it needs and no more.
func TestEngineHasNoRights(t *testing.T) {
	k, _ := newKept(t)
	proc := filepath.Join("/proc", strconv.Itoa(k.pid))
	tasks, err := os.ReadDir(filepath.Join(proc, "task"))
	if err != nil || len(tasks) < 2 {
		t.Fatalf("its threads are %v, %v", tasks, err)
	}
	for _, task := range tasks {
		status, err := os.ReadFile(filepath.Join(proc, "task", task.Name(), "status"))
		if err != nil {
			continue // it has ended
		}
		for _, want := range []string{
			"Uid:\t65534\t65534\t65534\t65534", "Gid:\t65534\t65534\t65534\t65534", "Groups:\t \n", "NoNewPrivs:\t1\n", "Seccomp:\t2\n",
			"CapInh:\t0000000000000000", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "CapAmb:\t0000000000000000",
		} {
			if !strings.Contains(string(status), want) {
				t.Errorf("thread %s: not so: %q", task.Name(), want)
			}
		}
	}
	if sid, err := unix.Getsid(k.pid); err != nil || sid != k.pid {
		t.Errorf("session %d, %v", sid, err)
	}
	// A client's connection is closed a moment after the client's own end.
	testnet.Until(t, "the pair, the control socket, the ports, two of netlink, and the queues are open", func() bool {
		sockets, devices, others := k.open(t)
		if len(others) > 0 {
			t.Fatalf("%v are open", others)
		}
		return sockets == 4+2*tunnel.MaxLines && devices == 2*tunnel.MaxLines
	})
	environment, err := os.ReadFile(filepath.Join(proc, "environ"))
	if err != nil || strings.Contains(string(environment), "PATH=") {
		t.Errorf("its environment is %q, %v", environment, err)
	}
}

// Sleep ends sessions and its end begins new ones, and the keeper is told.
func TestEngineSleeps(t *testing.T) {
	k, b := newKept(t)
	k.Ping("10.9.0.77", 1, 0) // which is nobody's
	k.keeper.Signal(unix.SIGUSR1)
	k.keeper.WaitOutput("suspended: <nil>\nresumed: <nil> <nil> true\n")
	k.keeper.WaitOutput("suspended\n")
	k.MustPing(b.Inner4)
	started := "event: session started "
	testnet.Until(t, "sessions are told of", func() bool { return strings.Count(k.keeper.Output(), started) >= 2 })
	if !strings.Contains(k.keeper.Output(), b.Endpoint(false)+" not ended\n") {
		t.Error("nobody was told where the other side is")
	}
}

// An engine doesn't outlive its keeper, a clean end leaves nothing of the engine,
// and a link that is deleted ends both.
func TestEngineEnds(t *testing.T) {
	t.Run("keeper killed", func(t *testing.T) {
		k, _ := newKept(t)
		k.keeper.Signal(unix.SIGKILL)
		gone(t, k.pid)
		if !k.Link(k.name).Exists() {
			t.Error("the link is gone with its keeper")
		}
	})
	t.Run("keeper stopped", func(t *testing.T) {
		k, _ := newKept(t)
		if err := unix.Kill(k.pid, unix.SIGTERM); err != nil { // as a service manager does
			t.Fatal(err)
		}
		k.keeper.Signal(unix.SIGTERM)
		if code := k.keeper.WaitEnd(); code != 0 || !strings.Contains(k.keeper.Output(), "engine 1 ended: <nil>") {
			t.Errorf("the keeper ended with %d", code)
		}
		gone(t, k.pid)
	})
	t.Run("link deleted", func(t *testing.T) {
		k, _ := newKept(t)
		k.Daemon.Delete()
		if code := k.keeper.WaitEnd(); code != 0 || !strings.Contains(k.keeper.Output(), "engine 1 ended: <nil>") {
			t.Errorf("the keeper ended with %d", code)
		}
		gone(t, k.pid)
	})
}
