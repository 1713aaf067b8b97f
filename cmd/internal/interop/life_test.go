//go:build linux

package interop

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"vpn/cmd/internal/testnet"

	"golang.org/x/sys/unix"
)

// lone starts one daemon for each kind on side A.
func lone(t *testing.T, test func(t *testing.T, kind testnet.Kind)) {
	t.Helper()
	done := map[testnet.Kind]bool{}
	for _, p := range pairs {
		if !done[p.a] {
			done[p.a] = true
			t.Run(string(p.a), func(t *testing.T) { test(t, p.a) })
		}
	}
}

func TestSocketDeleted(t *testing.T) {
	lone(t, func(t *testing.T, kind testnet.Kind) {
		d := testnet.NewHost(t, "a").StartDaemon(kind)
		if err := os.Remove(d.SocketPath()); err != nil {
			t.Fatal(err)
		}
		if code := d.WaitEnd(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		if d.Exists() {
			t.Error("the device is left")
		}
	})
}

func TestDeviceDeleted(t *testing.T) {
	lone(t, func(t *testing.T, kind testnet.Kind) {
		d := testnet.NewHost(t, "a").StartDaemon(kind)
		d.Delete()
		if code := d.WaitEnd(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		if _, err := os.Stat(d.SocketPath()); !os.IsNotExist(err) {
			t.Errorf("the control socket is left: %v", err)
		}
	})
}

func TestSignals(t *testing.T) {
	lone(t, func(t *testing.T, kind testnet.Kind) {
		for _, signal := range []unix.Signal{unix.SIGTERM, unix.SIGINT} {
			d := testnet.NewHost(t, "a").StartDaemon(kind)
			d.Signal(signal)
			code := d.WaitEnd()
			for try := 0; try < 20 && kind == testnet.WireGuardGo && code == -1; try++ {
				// It has its socket before it listens for signals, and one that comes in between kills it.
				d = testnet.NewHost(t, "a").StartDaemon(kind)
				d.Signal(signal)
				code = d.WaitEnd()
			}
			if code != 0 {
				t.Errorf("%v: exit code %d", signal, code)
			}
			if _, err := os.Stat(d.SocketPath()); d.Exists() || !os.IsNotExist(err) {
				t.Errorf("%v: device left %v, control socket: %v", signal, d.Exists(), err)
			}
		}
	})
}

func TestDownAndUp(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p pair) {
		t.Parallel()
		n := testnet.NewPair(t, p.a, p.b, 0, false)
		for range 2 {
			reach(t, n.A.Host, n.B)
			n.A.Daemon.Down()
			unreached(t, n.B, n.A.Inner4)
			n.A.Daemon.Up()
			n.A.Daemon.Address(n.A.Inner6 + "/64") // the kernel takes IPv6 from a link that goes down
		}
		reach(t, n.B.Host, n.A)
	})
}

// TestDeviceMoved moves the device to a namespace without any other link: the
// sockets stay where they were opened.
func TestDeviceMoved(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p pair) {
		t.Parallel()
		n := testnet.NewPair(t, p.a, p.b, 0, false)
		reach(t, n.A.Host, n.B)
		elsewhere := testnet.NewHost(t, "elsewhere")
		moved := n.A.Daemon.MoveTo(elsewhere)
		moved.Address(n.A.Inner4+"/24", n.A.Inner6+"/64")
		moved.Up()
		reach(t, elsewhere, n.B)
		n.A.Daemon.Link = moved
		moved.Down()
		unreached(t, n.B, n.A.Inner4)
		moved.Up()
		elsewhere.MustPing(n.B.Inner4)
		moved.Delete()
		if code := n.A.Daemon.WaitEnd(); code != 0 {
			t.Errorf("exit code %d after the moved device was deleted", code)
		}
	})
}

func TestHostWithoutIPv6(t *testing.T) {
	each(t, func(t *testing.T, p pair) {
		n := testnet.NewHosts(t, 0)
		n.A.DisableIPv6()
		n.A.Daemon = n.A.Host.StartDaemon(p.a)
		n.A.Daemon.Set("private_key="+n.A.Daemon.Key.Private, fmt.Sprintf("listen_port=%d", n.A.Port))
		n.A.Daemon.Address(n.A.Inner4 + "/24")
		n.B.StartDaemon(p.b)
		n.Join(false)
		n.A.MustPing(n.B.Inner4)
		n.B.MustPing(n.A.Inner4)
		if got := n.A.Daemon.Get().Device["listen_port"]; got != strconv.Itoa(n.A.Port) {
			t.Errorf("listens on %s, want %d", got, n.A.Port)
		}
	})
}

// TestSecondDaemon holds that a second daemon for a name says who has it.
func TestSecondDaemon(t *testing.T) {
	eachOurs(t, func(t *testing.T, p pair) {
		host := testnet.NewHost(t, "a")
		first := host.StartDaemon(p.a)
		for _, where := range []*testnet.Host{host, testnet.NewHost(t, "b")} {
			second := where.StartDaemonAs(p.a, first.Link.Name)
			if code := second.WaitEnd(); code == 0 {
				t.Error("the second ends as if all were well")
			}
			if !strings.Contains(second.Output(), strconv.Itoa(first.PID())) {
				t.Errorf("the second does not name process %d: %s", first.PID(), second.Output())
			}
		}
		if _, err := os.Stat(first.SocketPath()); err != nil || !first.Running() {
			t.Errorf("the first suffers: running %v, %v", first.Running(), err)
		}
		first.Set("listen_port=0")
	})
}
