package keeper

import (
	"context"
	"fmt"
	"time"

	"vpn/cmd/internal/child"
	"vpn/tunnel"
)

const (
	readyPatience = 30 * time.Second
	stopPatience  = 5 * time.Second
	// cleanPatience is how long the sign for which an engine has ended may take to
	// reach us too.
	cleanPatience = time.Second
)

// backoff says how long to wait before an engine is started again.
type backoff struct {
	delay time.Duration
	since time.Time // of the last start
}

const (
	firstRestart   = 100 * time.Millisecond
	longestRestart = 10 * time.Second
	wellAfter      = time.Minute // an engine that has run so long was well
)

// next returns the wait after an engine that ended now: none for the first.
func (b *backoff) next(now time.Time) time.Duration {
	if now.Sub(b.since) > wellAfter {
		b.delay = 0
	}
	d := b.delay
	b.delay = min(max(2*b.delay, firstRestart), longestRestart)
	return d
}

// launchEngine begins to start a process for an engine, before there is anything
// to run on: it takes as long as all that is to be found out about the host.
func (k *Keeper) launchEngine() {
	k.waiting = child.Launch(child.Config{
		Name:   k.name,
		Ports:  k.ports,
		Floors: k.floors,
		Log:    k.log,
		Stderr: k.c.Stderr,
		Format: k.c.Format,
		Level:  k.c.Level,
	})
}

// cancelEngine ends the process that waits, if there is one.
func (k *Keeper) cancelEngine() {
	if k.waiting != nil {
		k.waiting.Cancel()
		k.waiting = nil
	}
}

// beginEngine gives what is open to an engine. It answers after awaitReady; a
// private one answers others only once it is configured.
func (k *Keeper) beginEngine(private bool) error {
	socket, err := k.listener.File()
	if err != nil {
		return err
	}
	defer socket.Close()
	k.backoff.since = time.Now()
	if k.waiting == nil {
		k.launchEngine()
	}
	w := k.waiting
	k.waiting = nil
	e, err := w.Begin(k.life, socket, k.device.Files(), private)
	if err != nil {
		return fmt.Errorf("start the engine: %w", err)
	}
	k.setEngine(e)
	go k.follow(e)
	return nil
}

// awaitReady returns when the engine answers, or with the reason why it never will.
func (k *Keeper) awaitReady(ctx context.Context) error {
	e := k.engine
	ctx, cancel := context.WithTimeout(ctx, readyPatience)
	defer cancel()
	select {
	case <-e.Ready():
		return nil
	case <-e.Done():
		return fmt.Errorf("the engine ended before it was ready: %w", e.Err())
	case <-ctx.Done():
		return fmt.Errorf("the engine does not become ready: %w", ctx.Err())
	}
}

// stopEngine ends the engine, if there is one, and waits for it.
func (k *Keeper) stopEngine() {
	if k.engine == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopPatience)
	defer cancel()
	if err := k.engine.Stop(ctx); err != nil {
		k.log.Warn("the engine had to be killed", "error", err)
	}
	k.setEngine(nil)
}

func (k *Keeper) setEngine(e *child.Engine) {
	k.engine = e
	k.mu.Lock()
	defer k.mu.Unlock()
	k.serving, k.state.Engine = e, 0
	if e != nil {
		k.state.Engine = e.PID()
		k.state.Engines++
	}
}

// running returns the engine, nil if there is none. Any goroutine may ask.
func (k *Keeper) running() *child.Engine {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.serving
}

// engineEnded sees to it that there will be another engine, unless this one has
// ended because the link or its control socket is gone, which ends the keeper too.
func (k *Keeper) engineEnded() {
	err, clean := k.engine.Err(), k.engine.Clean()
	k.setEngine(nil)
	if clean {
		sign := time.NewTimer(cleanPatience)
		defer sign.Stop()
		select {
		case <-k.gone:
			return
		case <-k.listener.Deleted():
			return
		case <-sign.C:
		}
	}
	wait := k.backoff.next(time.Now())
	k.log.Error("the engine has ended, another one follows", "error", err, "in", wait)
	k.retry = time.After(wait)
}

// restartEngine starts an engine on the same link and sockets, and gives it what
// the one before it had.
func (k *Keeper) restartEngine() {
	k.retry = nil
	if err := k.renewEngine(k.life); err != nil {
		k.stopEngine()
		wait := k.backoff.next(time.Now())
		k.log.Error("no engine", "error", err, "next", wait)
		k.retry = time.After(wait)
	}
}

func (k *Keeper) renewEngine(ctx context.Context) error {
	l, err := inForce(ctx, k.c.File)
	if err != nil {
		return err
	}
	defer l.erase()
	if err := k.beginEngine(true); err != nil {
		return err
	}
	if err := k.awaitReady(ctx); err != nil {
		return err
	}
	port, _ := k.ports.Current()
	if err := k.configure(ctx, l, port); err != nil {
		return err
	}
	k.log.Info("a new engine runs the link", "pid", k.engine.PID())
	if k.pending != nil { // what was kept is what it goes back to
		k.takeBack()
	}
	return nil
}

// follow takes down what an engine tells of peers.
func (k *Keeper) follow(e *child.Engine) {
	for event := range e.Events() {
		switch event.Kind {
		case tunnel.SessionStarted:
			k.names.Worked(event.Peer, event.Endpoint)
			k.tries.set(event.Peer, 0)
		case tunnel.InitiationUnanswered, tunnel.AttemptGivenUp:
			k.names.Retry(event.Peer)
			k.tries.set(event.Peer, event.Tries)
		}
	}
}
