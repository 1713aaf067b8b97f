package uapi

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// sockets is a directory of the test's own, not yet made. Its path is short:
// that of a socket may have 108 bytes.
func sockets(t *testing.T) Directory {
	t.Helper()
	parent, err := os.MkdirTemp("", "uapi")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(parent) })
	return Directory(filepath.Join(parent, "wireguard"))
}

func listen(t *testing.T, d Directory, name string) *Listener {
	t.Helper()
	l, err := d.Listen(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// answer serves a backend on l until the test ends.
func answer(t *testing.T, l net.Listener, b Backend) *Server {
	t.Helper()
	s := NewServer(b, slog.New(slog.DiscardHandler))
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-done; err != nil {
			t.Errorf("Serve returned %v", err)
		}
	})
	return s
}

func names(t *testing.T, d Directory) []string {
	t.Helper()
	entries, err := os.ReadDir(string(d))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func TestListenModes(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o077} {
		d := sockets(t)
		old := unix.Umask(umask)
		l, err := d.Listen("wg0")
		unix.Umask(old)
		if err != nil {
			t.Fatal(err)
		}
		for path, want := range map[string]os.FileMode{string(d): os.ModeDir | 0o755, d.socket("wg0"): os.ModeSocket | 0o600} {
			info, err := os.Stat(path)
			if err != nil || info.Mode() != want {
				t.Errorf("umask %04o: %s: got %v and %v, want %v", umask, path, info.Mode(), err, want)
			}
		}
		if all := names(t, d); !slices.Equal(all, []string{"wg0.sock"}) {
			t.Errorf("in the directory: %v", all)
		}
		l.Close()
		if all := names(t, d); len(all) != 0 {
			t.Errorf("after Close: %v", all)
		}
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a second Close: %v", err)
		}
	}
}

func TestListenAndDial(t *testing.T) {
	d := sockets(t)
	m := new(memory)
	answer(t, listen(t, d, "wg0"), m)
	c, err := d.Dial("wg0")
	if err != nil {
		t.Fatal(err)
	}
	port := uint16(9)
	if err := c.Set(&Config{ListenPort: &port}); err != nil {
		t.Fatal(err)
	}
	got, err := c.Get()
	if err != nil || got.ListenPort != 9 {
		t.Errorf("got %v, %v", got, err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if _, err := c.Get(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestClientTellsTheErrno(t *testing.T) {
	d := sockets(t)
	answer(t, listen(t, d, "wg0"), &memory{fail: EADDRINUSE})
	c, err := d.Dial("wg0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	err = c.Set(&Config{})
	if !errors.Is(err, unix.EADDRINUSE) || err.Error() != "configure wg0: address already in use (errno 98)" {
		t.Errorf("got %v", err)
	}
	if _, err := c.Get(); err != nil { // still of use
		t.Error(err)
	}
}

// A server drops clients that are idle for long, and may have been replaced by
// another; a client that asks again notices neither.
func TestClientDialsAgain(t *testing.T) {
	d := sockets(t)
	first := answer(t, listen(t, d, "wg0"), new(memory))
	c, err := d.Dial("wg0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Get(); err != nil {
		t.Fatal(err)
	}
	first.Close()
	if _, err := c.Get(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a server: %v", err)
	}
	m := new(memory)
	answer(t, listen(t, d, "wg0"), m)
	port := uint16(9)
	if err := c.Set(&Config{ListenPort: &port}); err != nil || m.count() != 1 {
		t.Errorf("got %v, %d requests", err, m.count())
	}
}

func TestListenReplacesAStaleSocket(t *testing.T) {
	d := sockets(t)
	l := listen(t, d, "wg0")
	l.SetUnlinkOnClose(false)
	l.Close()
	if all := names(t, d); len(all) != 1 {
		t.Fatalf("the socket is not there: %v", all)
	}
	if _, err := d.Dial("wg0"); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("a stale socket: %v", err)
	}
	answer(t, listen(t, d, "wg0"), new(memory))
	c, err := d.Dial("wg0")
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestListenSaysWhoHasIt(t *testing.T) {
	d := sockets(t)
	answer(t, listen(t, d, "wg0"), new(memory))
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("make the control socket of wg0: %s/wg0.sock is in use by %s (process %d)", d, strings.TrimSpace(string(comm)), os.Getpid())
	if _, err := d.Listen("wg0"); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %v", err, want)
	}
	if all := names(t, d); !slices.Equal(all, []string{"wg0.sock"}) {
		t.Errorf("in the directory: %v", all)
	}
	c, err := d.Dial("wg0") // the other one is unharmed
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestListenLeavesWhatIsNoSocket(t *testing.T) {
	d := sockets(t)
	if err := os.Mkdir(string(d), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(d.socket("wg0"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/nowhere", d.socket("wg1")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"wg0", "wg1"} {
		want := fmt.Sprintf("make the control socket of %s: %s is not a socket", name, d.socket(name))
		if _, err := d.Listen(name); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %v", err, want)
		}
	}
	if all := names(t, d); !slices.Equal(all, []string{"wg0.sock", "wg1.sock"}) {
		t.Errorf("in the directory: %v", all)
	}
}

// Whoever could put a socket where ours belongs would be told the keys.
func TestDirectoryMustBeSafe(t *testing.T) {
	refused := func(d Directory, want string) {
		t.Helper()
		_, err := d.Listen("wg0")
		if err == nil || err.Error() != "make the control socket of wg0: "+want {
			t.Errorf("listen: got  %v\nwant %s", err, want)
		}
		if _, err := d.Dial("wg0"); err == nil || err.Error() != "configure wg0: "+want {
			t.Errorf("dial: got  %v\nwant %s", err, want)
		}
		if _, err := d.Interfaces(); err == nil || err.Error() != want {
			t.Errorf("interfaces: got  %v\nwant %s", err, want)
		}
	}
	for _, mode := range []os.FileMode{0o775, 0o757} {
		d := sockets(t)
		if err := os.Mkdir(string(d), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(string(d), mode); err != nil {
			t.Fatal(err)
		}
		refused(d, fmt.Sprintf("%s may be written to by others than its owner (mode %04o)", d, mode))
	}
	d := sockets(t)
	if err := os.Symlink(t.TempDir(), string(d)); err != nil {
		t.Fatal(err)
	}
	refused(d, fmt.Sprintf("open %s: not a directory", d))

	if !root(t) {
		return
	}
	d = sockets(t)
	if err := os.Mkdir(string(d), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(string(d), 12345, 0); err != nil {
		t.Fatal(err)
	}
	refused(d, fmt.Sprintf("%s belongs to user 12345 and not to root", d))
}

// root says whether the test can go on, and what it needs if not.
func root(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() == 0 {
		return true
	}
	t.Logf("%s needs root to test all that it should", t.Name())
	return false
}

func TestListenerNoticesDeletion(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, path string) error{
		"deleted": func(_ *testing.T, path string) error { return os.Remove(path) },
		"moved":   func(_ *testing.T, path string) error { return os.Rename(path, path+".old") },
		"replaced": func(_ *testing.T, path string) error {
			if err := os.WriteFile(path+".new", nil, 0o600); err != nil {
				return err
			}
			return os.Rename(path+".new", path)
		},
		"directory deleted": func(_ *testing.T, path string) error { return os.RemoveAll(filepath.Dir(path)) },
		"directory moved": func(_ *testing.T, path string) error {
			return os.Rename(filepath.Dir(path), filepath.Dir(path)+".old")
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := sockets(t)
			l := listen(t, d, "wg0")
			other := listen(t, d, "wg1")
			other.Close() // of no concern
			select {
			case <-l.Deleted():
				t.Fatal("it says so too early")
			default:
			}
			if err := change(t, d.socket("wg0")); err != nil {
				t.Fatal(err)
			}
			<-l.Deleted() // or the test hangs
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			if name == "replaced" {
				if _, err := os.Stat(d.socket("wg0")); err != nil {
					t.Errorf("Close has deleted another's file: %v", err)
				}
			}
		})
	}
}

func TestListenerFromFile(t *testing.T) {
	d := sockets(t)
	made := listen(t, d, "wg0")
	f, err := made.File() // what a child inherits
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	inherited, err := d.ListenerFromFile("wg0", f)
	if err != nil {
		t.Fatal(err)
	}
	answer(t, inherited, new(memory)).Close()
	if all := names(t, d); !slices.Equal(all, []string{"wg0.sock"}) {
		t.Fatalf("the child's end takes the socket away: %v", all)
	}
	again, err := d.ListenerFromFile("wg0", f) // the next child, on the same descriptor
	if err != nil {
		t.Fatal(err)
	}
	again.SetUnlinkOnClose(true)
	server := answer(t, again, new(memory))
	c, err := d.Dial("wg0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(); err != nil {
		t.Error(err)
	}
	c.Close()
	server.Close()
	<-made.Deleted()

	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if _, err := d.ListenerFromFile("wg0", r); err == nil {
		t.Error("a pipe was taken for a socket")
	}
}

// A listener that another process watches over needs no file, and leaves it.
func TestListenerOf(t *testing.T) {
	d := sockets(t)
	made := listen(t, d, "wg0")
	f, err := made.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	l, err := ListenerOf(f)
	if err != nil {
		t.Fatal(err)
	}
	server := answer(t, l, new(memory))
	c, err := d.Dial("wg0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(); err != nil {
		t.Error(err)
	}
	c.Close()
	server.Close()
	if all := names(t, d); !slices.Equal(all, []string{"wg0.sock"}) {
		t.Errorf("it has taken the file away: %v", all)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if _, err := ListenerOf(r); err == nil {
		t.Error("a pipe was taken for a socket")
	}
}

func TestInterfaces(t *testing.T) {
	d := sockets(t)
	if got, err := d.Interfaces(); len(got) != 0 || err != nil {
		t.Errorf("without a directory: %v, %v", got, err)
	}
	stale := listen(t, d, "stale")
	stale.SetUnlinkOnClose(false)
	stale.Close()
	for _, name := range []string{"wg10", "wg0", "a.b"} {
		listen(t, d, name)
	}
	for _, file := range []string{"file.sock", "a name that is too long.sock", "other"} {
		if err := os.WriteFile(filepath.Join(string(d), file), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := d.Interfaces()
	if want := []string{"a.b", "wg0", "wg10"}; !slices.Equal(got, want) || err != nil {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if _, err := os.Stat(d.socket("stale")); err != nil {
		t.Errorf("looking has deleted a socket: %v", err)
	}
}

func TestNames(t *testing.T) {
	d := sockets(t)
	for name, valid := range map[string]bool{
		"wg0": true, "a": true, "_=+.-": true, "...": true, strings.Repeat("a", 15): true,
		"": false, ".": false, "..": false, strings.Repeat("a", 16): false, "a/b": false, "../x": false, "a b": false, "wg\n": false, "wg\x00": false, "ü": false,
	} {
		if ValidName(name) != valid {
			t.Errorf("%q: want %v", name, valid)
		}
		if valid {
			continue
		}
		for _, err := range []error{
			second(d.Listen(name)), second(d.Dial(name)), second(d.ListenerFromFile(name, nil)),
		} {
			if err == nil || !strings.Contains(err.Error(), "is not an interface name") {
				t.Errorf("%q: got %v", name, err)
			}
		}
	}
}

func second[T any](_ T, err error) error { return err }

// `wg` deletes a socket that refuses a connection: there must be no moment at
// which ours does.
func TestSocketAppearsWhenItAnswers(t *testing.T) {
	d := sockets(t)
	listen(t, d, "other") // the directory is there
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			c, err := net.Dial("unix", d.socket("wg0"))
			if err == nil {
				c.Close()
			} else if errors.Is(err, unix.ECONNREFUSED) {
				done <- err
				return
			}
		}
	}()
	for range 200 {
		l := listen(t, d, "wg0")
		if err := l.Close(); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
