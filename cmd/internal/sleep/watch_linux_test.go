package sleep

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"vpn/cmd/internal/testnet"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/prop"
	"golang.org/x/sys/unix"
)

// logind is a service that does logind's part: it hands out inhibitors, and sees
// when they are closed.
type logind struct {
	t      *testing.T
	conn   *dbus.Conn
	events chan string
	refuse bool
	delay  time.Duration

	mu   sync.Mutex // guards held
	held *os.File   // the reading end of the last inhibitor
}

const busError = "org.freedesktop.DBus.Error.AccessDenied"

// Inhibit is the method of org.freedesktop.login1.Manager.
func (l *logind) Inhibit(what, _, _, mode string) (dbus.UnixFD, *dbus.Error) {
	if l.refuse {
		l.events <- "refused"
		return 0, dbus.NewError(busError, []any{"not you"})
	}
	if what != "sleep" || mode != "delay" {
		l.t.Errorf("inhibits %s, %s", what, mode)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return 0, dbus.MakeFailedError(err)
	}
	fd := dbus.UnixFD(w.Fd())
	l.mu.Lock()
	l.held = r
	l.mu.Unlock()
	go func() {
		defer r.Close()
		// The answer is on its way until the other has its own copy of the descriptor.
		testnet.Until(l.t, "the inhibitor arrives", func() bool { return copies(r) >= 3 })
		l.events <- "inhibited"
		w.Close()
		r.Read(make([]byte, 1))
		l.events <- "released"
	}()
	return fd, nil
}

// copies counts how many descriptors of this process are either end of a pipe.
func copies(pipe *os.File) (n int) {
	raw, err := pipe.SyscallConn()
	if err != nil {
		return 0
	}
	var name string
	raw.Control(func(fd uintptr) { name, _ = os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd)) })
	links, _ := filepath.Glob("/proc/self/fd/*")
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && target == name {
			n++
		}
	}
	return n
}

// holds says whether the last inhibitor is still open.
func (l *logind) holds() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	raw, err := l.held.SyscallConn()
	if err != nil {
		return false
	}
	open := false
	err = raw.Control(func(fd uintptr) {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(poll, 0)
		open = err == nil && n == 0
	})
	return err == nil && open
}

// serve makes a logind on a bus.
func serve(t *testing.T, h *testnet.Host, events chan string, change func(*logind)) *logind {
	t.Helper()
	l := &logind{t: t, events: events, delay: 5 * time.Second}
	if change != nil {
		change(l)
	}
	var conn *dbus.Conn
	var err error
	h.Do(func() { conn, err = dbus.ConnectSystemBus() })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	l.conn = conn
	if err := conn.Export(l, path, manager); err != nil {
		t.Fatal(err)
	}
	_, err = prop.Export(conn, path, prop.Map{manager: {
		"InhibitDelayMaxUSec": {Value: uint64(l.delay.Microseconds())},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if reply, err := conn.RequestName(login1, dbus.NameFlagDoNotQueue); err != nil || reply != dbus.RequestNameReplyPrimaryOwner {
		t.Fatal(reply, err)
	}
	return l
}

func (l *logind) prepare(sleeping bool) {
	l.t.Helper()
	if err := l.conn.Emit(path, prepare, sleeping); err != nil {
		l.t.Fatal(err)
	}
}

// watching is a Watch that runs, and tells what happens in order.
type watching struct {
	t      *testing.T
	events chan string
	goOn   chan error // what suspend returns, once
	log    buffer
	stop   context.CancelFunc
	ended  chan error
}

// buffer is a log that two goroutines may use.
type buffer struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (b *buffer) Write(text []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(text)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func watch(t *testing.T, h *testnet.Host, events chan string) *watching {
	w := &watching{t: t, events: events, goOn: make(chan error), ended: make(chan error, 1)}
	ctx, stop := context.WithCancel(t.Context())
	w.stop = stop
	log := slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	go h.Do(func() { w.ended <- Watch(ctx, log, w.suspend, func() { events <- "resume" }) })
	t.Cleanup(func() {
		stop()
		for {
			select {
			case err := <-w.ended:
				if err != nil {
					t.Errorf("Watch: %v", err)
				}
				return
			case <-events:
			}
		}
	})
	return w
}

func (w *watching) suspend(ctx context.Context) error {
	w.events <- "suspend"
	select {
	case err := <-w.goOn:
		return err
	case <-ctx.Done():
		w.events <- "late"
		return ctx.Err()
	}
}

// want waits for events, in this order.
func (w *watching) want(events ...string) {
	w.t.Helper()
	for _, want := range events {
		select {
		case got := <-w.events:
			if got != want {
				w.t.Fatalf("%s, want %s", got, want)
			}
		case <-time.After(testnet.Patience):
			w.t.Fatalf("nothing happens, want %s\n%s", want, &w.log)
		}
	}
}

// wantBoth waits for two events, in any order.
func (w *watching) wantBoth(one, other string) {
	w.t.Helper()
	select {
	case got := <-w.events:
		if got == other {
			one, other = other, one
		}
		if got != one {
			w.t.Fatalf("%s, want %s or %s", got, one, other)
		}
	case <-time.After(testnet.Patience):
		w.t.Fatalf("nothing happens, want %s and %s", one, other)
	}
	w.want(other)
}

// machine is a host with a system bus of its own.
func machine(t *testing.T) (h *testnet.Host, bus *testnet.Process, events chan string) {
	h = testnet.NewMachine(t, "machine")
	return h, h.StartBus(), make(chan string, 100)
}

func TestMain(m *testing.M) { os.Exit(testnet.Main(m)) }

func TestSleepAndWake(t *testing.T) {
	h, _, events := machine(t)
	l := serve(t, h, events, nil)
	w := watch(t, h, events)
	w.want("inhibited")
	for range 3 {
		l.prepare(true)
		w.want("suspend")
		if !l.holds() {
			t.Error("the system may sleep before suspend has returned")
		}
		w.goOn <- nil
		w.want("released")
		l.prepare(false)
		w.want("resume", "inhibited")
	}
	w.stop()
	w.want("released")
}

func TestSuspendFails(t *testing.T) {
	h, _, events := machine(t)
	l := serve(t, h, events, nil)
	w := watch(t, h, events)
	w.want("inhibited")
	l.prepare(true)
	w.want("suspend")
	w.goOn <- errors.New("out of luck")
	w.want("released")
	l.prepare(false)
	w.want("resume", "inhibited")
	if !strings.Contains(w.log.String(), "out of luck") {
		t.Errorf("log:\n%s", &w.log)
	}
}

// TestSuspendTakesTooLong ends suspend before logind no longer waits.
func TestSuspendTakesTooLong(t *testing.T) {
	h, _, events := machine(t)
	l := serve(t, h, events, func(l *logind) { l.delay = 100 * time.Millisecond })
	w := watch(t, h, events)
	w.want("inhibited")
	l.prepare(true)
	w.want("suspend", "late", "released")
	l.prepare(false)
	w.want("resume", "inhibited")
}

// TestSpuriousSignals says twice what has to be said once.
func TestSpuriousSignals(t *testing.T) {
	h, _, events := machine(t)
	l := serve(t, h, events, nil)
	w := watch(t, h, events)
	w.want("inhibited")
	l.prepare(false)
	w.wantBoth("inhibited", "released") // one for the other; nobody had been asleep
	l.prepare(true)
	l.prepare(true)
	w.want("suspend")
	w.goOn <- nil
	w.want("released")
	l.prepare(false)
	w.want("resume", "inhibited")
}

func TestRefused(t *testing.T) {
	h, _, events := machine(t)
	l := serve(t, h, events, func(l *logind) { l.refuse = true })
	w := watch(t, h, events)
	w.want("refused")
	for range 2 {
		l.prepare(true)
		w.want("suspend")
		w.goOn <- nil
		l.prepare(false)
		w.want("resume", "refused")
	}
	if got := strings.Count(w.log.String(), "not you"); got > 1 {
		t.Errorf("said %d times:\n%s", got, &w.log)
	}
}

// TestLogindRestarts is gone while awake, and while asleep.
func TestLogindRestarts(t *testing.T) {
	h, _, events := machine(t)
	w := watch(t, h, events) // there is none at first
	testnet.Until(t, "it is said that there is no logind", func() bool { return strings.Contains(w.log.String(), "not asked to wait") })
	l := serve(t, h, events, nil)
	w.want("inhibited")
	l.conn.Close()
	w.want("released")
	l = serve(t, h, events, nil)
	w.want("inhibited")
	l.prepare(true)
	w.want("suspend")
	w.goOn <- nil
	w.want("released")
	l.conn.Close()
	w.want("resume")
	serve(t, h, events, nil)
	w.want("inhibited")
}

// TestBusRestarts is gone while awake, and while asleep.
func TestBusRestarts(t *testing.T) {
	h, bus, events := machine(t)
	serve(t, h, events, nil)
	w := watch(t, h, events)
	w.want("inhibited")
	bus.Signal(unix.SIGKILL)
	bus.WaitEnd()
	w.want("released")
	bus = h.StartBus()
	l := serve(t, h, events, nil)
	w.want("inhibited")
	l.prepare(true)
	w.want("suspend")
	w.goOn <- nil
	w.want("released")
	bus.Signal(unix.SIGKILL)
	bus.WaitEnd()
	w.want("resume")
	h.StartBus()
	serve(t, h, events, nil)
	w.want("inhibited")
}

func TestNoBus(t *testing.T) {
	var err error
	testnet.NewMachine(t, "machine").Do(func() { err = Watch(t.Context(), slog.New(slog.DiscardHandler), nil, nil) })
	if !errors.Is(err, ErrNoBus) {
		t.Errorf("%v", err)
	}
}
