package child

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"vpn/tunnel"
)

// Start starts an engine. It returns when the process is there; requests are
// answered after Ready. When ctx ends, the engine is asked to end, and killed if
// it takes too long.
func Start(ctx context.Context, c Config) (*Engine, error) {
	return Launch(c).Begin(ctx, c.Listener, c.Device, false)
}

// Waiting is an engine's process that has nothing to run on yet. Whoever has one
// calls either Begin or Cancel, once.
type Waiting struct {
	config  Config
	started chan struct{} // closed when what follows is there
	process *process
	pair    *pair
	err     error
}

// Launch begins to start an engine's process, and does not wait for it. Device and
// Listener need not be there: they are for Begin.
func Launch(c Config) *Waiting {
	w := &Waiting{config: c, started: make(chan struct{})}
	go func() {
		defer close(w.started)
		ours, theirs, err := newPair()
		if err != nil {
			w.err = err
			return
		}
		defer theirs.Close()
		if w.process, w.err = startProcess(&w.config, theirs); w.err != nil {
			ours.close()
			return
		}
		w.pair = ours
	}()
	return w
}

// Cancel ends the process, and returns when it has ended.
func (w *Waiting) Cancel() {
	<-w.started
	if w.err == nil {
		w.pair.close()
		w.process.kill()
		<-w.process.ended
	}
}

// Begin gives the engine what to run on, which stays the caller's. A private engine
// answers nobody at the control socket before Configured: what others set there
// while there was no engine comes after what it is given then. It is otherwise as
// Start.
func (w *Waiting) Begin(ctx context.Context, listener *os.File, device []*os.File, private bool) (*Engine, error) {
	<-w.started
	if w.err != nil {
		return nil, fmt.Errorf("start the engine: %w", w.err)
	}
	err := descriptors(append([]*os.File{listener}, device...), func(fds []int) error {
		return w.pair.send(&message{Kind: kindStart, Private: private}, sendTime, fds...)
	})
	if err != nil && !errors.Is(err, unix.EPIPE) { // who has ended already says why by its end
		w.Cancel()
		return nil, fmt.Errorf("start the engine: %w", err)
	}
	e := &Engine{
		config: w.config, process: w.process, pair: w.pair, inbox: newOutbox(),
		ready: make(chan struct{}), events: make(chan tunnel.Event), changed: make(chan struct{}, 1), done: make(chan struct{}),
	}
	stop := context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = e.Stop(grace) // Err tells
	})
	go e.deliver()
	go func() {
		e.listen()
		e.end()
		stop()
		close(e.done)
	}()
	return e, nil
}
