package sleep

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"vpn/cmd/internal/lookup"

	"github.com/godbus/dbus/v5"
)

const (
	login1  = "org.freedesktop.login1"
	manager = login1 + ".Manager"
	path    = dbus.ObjectPath("/org/freedesktop/login1")

	prepare   = manager + ".PrepareForSleep"
	newOwner  = "org.freedesktop.DBus.NameOwnerChanged"
	signals   = 16
	callLimit = 10 * time.Second

	// delayDefault is InhibitDelayMaxSec's, for a logind that doesn't say.
	delayDefault = 5 * time.Second
)

// ErrNoBus is returned where there is no system bus.
var ErrNoBus = errors.New("there is no system bus")

// Watch calls suspend each time before the system sleeps and resume once it is
// awake again, one after the other, until ctx ends. The system waits for suspend,
// as long as logind lets it; the context of suspend ends a little earlier. Of a
// suspend there is always a resume, also where logind or the bus is gone
// meanwhile: Watch comes back to them when they do. Only where there is no bus
// from the start it returns ErrNoBus, as it is then not expected.
func Watch(ctx context.Context, log *slog.Logger, suspend func(context.Context) error, resume func()) error {
	w := &watcher{log: log, suspend: suspend, resume: resume}
	var again lookup.Backoff
	for first := true; ; first = false {
		began, err := w.session(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the connection ends with ctx
		}
		if first && !began {
			return fmt.Errorf("%w: %w", ErrNoBus, err)
		}
		if began {
			again.Reset()
		}
		w.awake()
		d := again.Next()
		log.Debug("the system bus is gone, suspend is not announced", "err", err, "again", d)
		select {
		case <-time.After(d):
		case <-ctx.Done():
			return nil
		}
	}
}

// watcher is what outlives a connection to the bus.
type watcher struct {
	log     *slog.Logger
	suspend func(context.Context) error
	resume  func()

	asleep    bool     // suspend was called, and resume not yet
	refused   string   // why there is no inhibitor, as last logged
	inhibitor *os.File // while it is open, sleep waits
}

// session follows the signals of one connection until it ends, and says whether
// there ever was one.
func (w *watcher) session(ctx context.Context) (began bool, err error) {
	conn, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close() }()
	defer w.release()
	// The queue comes before the matches, and they before the inhibitor: so none
	// is missed.
	queue := make(chan *dbus.Signal, signals)
	conn.Signal(queue)
	err = conn.AddMatchSignalContext(ctx, dbus.WithMatchSender(login1), dbus.WithMatchObjectPath(path),
		dbus.WithMatchInterface(manager), dbus.WithMatchMember("PrepareForSleep"))
	if err == nil {
		err = conn.AddMatchSignalContext(ctx, dbus.WithMatchSender("org.freedesktop.DBus"), dbus.WithMatchInterface("org.freedesktop.DBus"),
			dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, login1))
	}
	if err != nil {
		return true, err
	}
	w.inhibit(ctx, conn)
	for {
		select {
		case signal, ok := <-queue:
			if !ok {
				return true, dbus.ErrClosed
			}
			w.handle(ctx, conn, signal)
		case <-ctx.Done():
			return true, nil
		}
	}
}

func (w *watcher) handle(ctx context.Context, conn *dbus.Conn, signal *dbus.Signal) {
	switch signal.Name {
	case prepare:
		var sleeping bool
		if dbus.Store(signal.Body, &sleeping) != nil {
			return
		}
		if sleeping {
			w.sleep(ctx, conn)
			return
		}
		w.awake()
		w.inhibit(ctx, conn)
	case newOwner:
		var name, before, after string
		if dbus.Store(signal.Body, &name, &before, &after) != nil || name != login1 {
			return
		}
		// Who is gone can't announce any more that the system is awake.
		w.release()
		w.awake()
		if after != "" {
			w.inhibit(ctx, conn)
		}
	}
}

// sleep calls suspend and lets the system go on.
func (w *watcher) sleep(ctx context.Context, conn *dbus.Conn) {
	defer w.release()
	if w.asleep {
		return
	}
	w.asleep = true
	ctx, cancel := context.WithTimeout(ctx, w.limit(ctx, conn))
	defer cancel()
	if err := w.suspend(ctx); err != nil {
		w.log.Warn("not ready for sleep", "err", err)
	}
}

// limit is the time until logind no longer waits, less a tenth.
func (w *watcher) limit(ctx context.Context, conn *dbus.Conn) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, delayDefault/10)
	defer cancel()
	delay := delayDefault
	var value dbus.Variant
	err := conn.Object(login1, path).CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", dbus.FlagNoAutoStart,
		manager, "InhibitDelayMaxUSec").Store(&value)
	if microseconds, ok := value.Value().(uint64); err == nil && ok {
		delay = time.Duration(microseconds) * time.Microsecond
	}
	return delay - delay/10
}

// awake calls resume if suspend was called before.
func (w *watcher) awake() {
	if w.asleep {
		w.asleep = false
		w.resume()
	}
}

// inhibit asks logind to wait for us the next time. Without that suspend is
// called all the same, and may come too late.
func (w *watcher) inhibit(ctx context.Context, conn *dbus.Conn) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	var fd dbus.UnixFD
	err := conn.Object(login1, path).CallWithContext(ctx, manager+".Inhibit", 0,
		"sleep", "vpn", "session keys are erased before sleep", "delay").Store(&fd)
	if err != nil {
		if text := err.Error(); text != w.refused && ctx.Err() == nil {
			w.refused = text
			w.log.Debug("logind is not asked to wait before sleep", "err", err)
		}
		return
	}
	w.refused = ""
	w.release() // the one before, not earlier: there is to be no gap
	w.inhibitor = os.NewFile(uintptr(fd), "inhibitor")
}

// release lets the system sleep.
func (w *watcher) release() {
	if w.inhibitor != nil {
		_ = w.inhibitor.Close() // a descriptor that is gone holds nothing
		w.inhibitor = nil
	}
}
