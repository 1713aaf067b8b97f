package child_test

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vpn/cmd/internal/child"
	"vpn/cmd/internal/floor"
	"vpn/cmd/internal/testnet"
	"vpn/noise"
	"vpn/tunnel"
	"vpn/tunnel/udp"
)

// startStrange starts an engine that misbehaves, with descriptors that are of no
// use.
func startStrange(t *testing.T, name string) (e *child.Engine, floors string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	ports := child.NewPorts(udp.Loopback())
	floors = filepath.Join(t.TempDir(), "floor")
	e, err = child.Start(t.Context(), child.Config{
		Name: name, Device: []*os.File{r}, Listener: w, Ports: ports, Floors: child.NewFloors(floor.New(floors)),
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		killed, cancel := context.WithCancel(context.Background())
		cancel()
		_ = e.Stop(killed)
		ports.Close()
	})
	return e, floors
}

func ended(t *testing.T, e *child.Engine) {
	t.Helper()
	select {
	case <-e.Done():
	case <-time.After(testnet.Patience):
		t.Fatal("the engine goes on")
	}
}

// An engine that talks nonsense is killed, and one that ends is told of.
func TestStrangeEngines(t *testing.T) {
	for name, want := range map[string]string{
		"garbage":    "talks nonsense",
		"long":       "talks nonsense",
		"unknown":    "talks nonsense",
		"incomplete": "talks nonsense",
		"newline":    "talks nonsense: an endpoint with an impossible zone",
		"crash":      "ended: exit status 7",
		"early":      "no [31m luck",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, _ := startStrange(t, name)
			for range e.Events() {
				t.Error("an event")
			}
			ended(t, e)
			if err := e.Err(); e.Clean() || err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), name) {
				t.Errorf("it ended with %v, want %q", err, want)
			}
			if unix.Kill(e.PID(), 0) != unix.ESRCH {
				t.Error("its process is there")
			}
		})
	}
}

// Descriptors that an engine sends are not taken.
func TestEngineSendsDescriptors(t *testing.T) {
	open := func() int {
		files, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(files)
	}
	before := open()
	e, _ := startStrange(t, "files")
	ended(t, e)
	if !e.Clean() {
		t.Errorf("it ended with %v", e.Err())
	}
	if n := open() - before; n > 100 {
		t.Errorf("%d more descriptors are open", n)
	}
}

// An engine that says more than anybody reads costs no more than a queue, and
// can be asked to end; one that does not obey is killed.
func TestEngineFloods(t *testing.T) {
	for _, name := range []string{"flood", "deaf", "stubborn"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, _ := startStrange(t, name)
			<-e.Ready()
			if name == "flood" {
				testnet.Until(t, "events are lost", func() bool { return e.Lost() > 0 })
				for event := range e.Events() {
					if event.Kind == tunnel.SessionStarted && event.Session == "calm-otter" {
						break
					}
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			if err := e.Stop(ctx); err == nil || e.Clean() {
				t.Error("an engine that was killed has ended well")
			}
			if _, err := e.Drops(t.Context()); !errors.Is(err, net.ErrClosed) {
				t.Errorf("asked after its end: %v", err)
			}
		})
	}
}

// The end of the context is the end of the engine.
func TestContextEndsEngine(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	e, err := child.Start(ctx, child.Config{Name: "stubborn", Device: []*os.File{r}, Listener: w, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	<-e.Ready()
	cancel()
	ended(t, e)
}

// An engine can't ask for timestamps of the future, nor for many.
func TestEngineAsksForFuture(t *testing.T) {
	e, floors := startStrange(t, "future")
	ended(t, e)
	if !e.Clean() {
		t.Fatalf("it ended with %v", e.Err())
	}
	files, err := os.ReadDir(floors)
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v: want one floor", files, err)
	}
	text, err := os.ReadFile(filepath.Join(floors, files[0].Name()))
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(b) != len(noise.TAI64N{}) {
		t.Fatalf("%q", text)
	}
	if at := noise.TAI64N(b).Time(); at.After(time.Now().Add(10 * time.Second)) {
		t.Errorf("timestamps are kept up to %v", at)
	}
}

// A program that can't be started, and descriptors that are closed, are errors.
func TestStartFails(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	w.Close()
	if _, err := child.Start(t.Context(), child.Config{Name: "stubborn", Device: []*os.File{r}, Listener: w, Log: slog.New(slog.DiscardHandler)}); err == nil {
		t.Error("started with descriptors that are closed")
	}
}

// A process that gets nothing to run on waits, and has ended when it is cancelled.
func TestCancel(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	waiting := child.Launch(child.Config{Name: "patient", Stderr: w, Log: slog.New(slog.DiscardHandler)})
	waiting.Cancel()
	w.Close()
	if err := r.SetReadDeadline(time.Now().Add(testnet.Patience)); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(r); err != nil || len(text) > 0 {
		t.Errorf("its stderr says %q, %v", text, err)
	}
}
