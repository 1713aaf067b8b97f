package testbus

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// TB is what this package asks of a test: *testing.T has it.
type TB interface {
	Helper()
	Cleanup(func())
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Setenv(key, value string)
}

// Bus is a bus that is the system's one for this process, for one test: for what
// asks DBUS_SYSTEM_BUS_ADDRESS. Its methods fail the test where they fail.
type Bus struct {
	tb     TB
	dir    string
	daemon *exec.Cmd // nil while it is stopped
}

// New starts a bus, which the test's end stops.
func New(t TB) *Bus {
	t.Helper()
	dir, err := os.MkdirTemp("", "vpn-bus-")
	if err != nil {
		t.Fatalf("bus: %v", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // what is left is empty files
	b := &Bus{tb: t, dir: dir}
	text := fmt.Sprintf(`<busconfig>
	<listen>%s</listen>
	<auth>EXTERNAL</auth>
	<policy context="default">
		<allow send_destination="*" eavesdrop="true"/>
		<allow eavesdrop="true"/>
		<allow own="*"/>
	</policy>
</busconfig>
`, b.Address())
	if err := os.WriteFile(b.config(), []byte(text), 0o600); err != nil {
		t.Fatalf("bus: %v", err)
	}
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", b.Address())
	b.Start()
	t.Cleanup(b.Stop)
	return b
}

// Address returns the bus's address.
func (b *Bus) Address() string { return "unix:path=" + filepath.Join(b.dir, "bus") }

func (b *Bus) config() string { return filepath.Join(b.dir, "config") }

// Start starts the daemon, again after Stop, at the same address. It returns once
// that can be connected to.
func (b *Bus) Start() {
	b.tb.Helper()
	// A restarted daemon doesn't replace the socket of the one before.
	_ = os.Remove(filepath.Join(b.dir, "bus"))
	daemon := exec.Command("dbus-daemon", "--config-file="+b.config(), "--nofork", "--nopidfile", "--print-address")
	daemon.Stderr = os.Stderr
	out, err := daemon.StdoutPipe()
	if err != nil {
		b.tb.Fatalf("bus: %v", err)
	}
	daemon.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	started, over := make(chan error), make(chan struct{})
	b.tb.Cleanup(func() { close(over) })
	go func() {
		// The daemon lives no longer than the thread that started it.
		runtime.LockOSThread()
		started <- daemon.Start()
		<-over
	}()
	if err := <-started; err != nil {
		b.tb.Fatalf("dbus-daemon: %v", err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		b.tb.Fatalf("dbus-daemon says no address: %v", err)
	}
	b.daemon = daemon
}

// Stop ends the daemon, and with it all connections.
func (b *Bus) Stop() {
	b.tb.Helper()
	if b.daemon == nil {
		return
	}
	if err := b.daemon.Process.Kill(); err != nil {
		b.tb.Errorf("dbus-daemon: %v", err)
	}
	_ = b.daemon.Wait() // it was killed
	b.daemon = nil
}

// Own connects to the bus, as the owner of a name. The connection ends with the
// test, if not before.
func (b *Bus) Own(name string) *dbus.Conn {
	b.tb.Helper()
	conn, err := dbus.Connect(b.Address())
	if err != nil {
		b.tb.Fatalf("connect to the bus: %v", err)
	}
	b.tb.Cleanup(func() { _ = conn.Close() }) // the test may have closed it
	reply, err := conn.RequestName(name, dbus.NameFlagDoNotQueue)
	if err != nil || reply != dbus.RequestNameReplyPrimaryOwner {
		b.tb.Fatalf("own %s: %v, %v", name, reply, err)
	}
	return conn
}
