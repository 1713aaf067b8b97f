package systemd

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// listen is the service manager's socket.
func listen(t *testing.T, name string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", name)
	return conn
}

func next(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	buffer := make([]byte, 4096)
	conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	n, err := conn.Read(buffer)
	if err != nil {
		t.Fatal(err)
	}
	return string(buffer[:n])
}

func TestNotify(t *testing.T) {
	dir, err := os.MkdirTemp("", "vpn-notify-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{filepath.Join(dir, "notify"), fmt.Sprintf("@vpn-notify-%d", os.Getpid())} {
		conn := listen(t, name)
		for want, send := range map[string]func() error{
			"READY=1\nSTATUS=all is well":                        func() error { return Ready("all is well") },
			"STATUS=one line READY=1":                            func() error { return Status("one\nline\r\nREADY=1\n") },
			"RELOADING=1\nMONOTONIC_USEC=[1-9][0-9]*\nSTATUS=re": func() error { return Reloading("re") },
			"STOPPING=1\nSTATUS=":                                func() error { return Stopping("") },
			"MAINPID=17":                                         func() error { return MainPID(17) },
			"EXTEND_TIMEOUT_USEC=1500000":                        func() error { return ExtendTimeout(1500 * time.Millisecond) },
		} {
			if err := send(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if got := next(t, conn); !regexp.MustCompile("^" + want + "$").MatchString(got) {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
		}
		conn.Close()
	}
	if err := Ready(""); err == nil {
		t.Error("nobody listens, and it is no error")
	}
	t.Setenv("NOTIFY_SOCKET", "")
	if err := Ready(""); err != nil {
		t.Errorf("without a service manager: %v", err)
	}
}

func TestWatchdog(t *testing.T) {
	conn := listen(t, fmt.Sprintf("@vpn-watchdog-%d", os.Getpid()))
	t.Setenv("WATCHDOG_USEC", "2000")
	t.Setenv("WATCHDOG_PID", fmt.Sprint(os.Getpid()))
	ctx, cancel := context.WithCancel(t.Context())
	alive := make(chan bool)
	ended := make(chan error)
	go func() {
		ended <- Watchdog(ctx, func(ctx context.Context) bool {
			select {
			case yes := <-alive:
				return yes
			case <-ctx.Done(): // nobody looks after this one
				return false
			}
		})
	}()
	for range 3 {
		alive <- true
		if got := next(t, conn); got != "WATCHDOG=1" {
			t.Errorf("got %q", got)
		}
	}
	for range 3 {
		alive <- false
	}
	Status("after that") // what isn't alive has said nothing before
	if got := next(t, conn); got != "STATUS=after that" {
		t.Errorf("got %q", got)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for variable, value := range map[string]string{"WATCHDOG_PID": "1", "WATCHDOG_USEC": "", "NOTIFY_SOCKET": ""} {
		t.Run(variable, func(t *testing.T) {
			t.Setenv(variable, value)
			if err := Watchdog(t.Context(), func(context.Context) bool { panic("asked") }); err != nil {
				t.Error(err)
			}
		})
	}
	t.Setenv("WATCHDOG_USEC", "soon")
	if err := Watchdog(t.Context(), func(context.Context) bool { panic("asked") }); err == nil || !strings.Contains(err.Error(), "WATCHDOG_USEC") {
		t.Errorf("%v", err)
	}
}

func TestEnviron(t *testing.T) {
	before := []string{"PATH=/bin", "NOTIFY_SOCKET=/run/x", "WATCHDOG_USEC=1", "LISTEN_FDS=2", "LISTEN=3", "HOME=/root"}
	kept := slices.Clone(before)
	if got, want := Environ(before), []string{"PATH=/bin", "LISTEN=3", "HOME=/root"}; !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	if !slices.Equal(before, kept) {
		t.Error("the environment itself has changed")
	}
}
