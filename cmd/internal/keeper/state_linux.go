package keeper

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"vpn/cmd/internal/lookup"
	"vpn/cmd/internal/sleep"
	"vpn/cmd/internal/systemd"
	"vpn/noise/key"
	"vpn/tun/host"
	"vpn/tunnel/uapi"
)

// maxSaid bounds what is kept of the start, for clients that come later.
const maxSaid = 1000

// say tells whoever waits for the start, and keeps it.
func (k *Keeper) say(m Message) {
	k.mu.Lock()
	if len(k.said) < maxSaid {
		k.said = append(k.said, m)
	}
	k.mu.Unlock()
	k.c.Show(m)
}

// step says what is being done to the host.
func (k *Keeper) step(a host.Action) { showStep(k.say)(a) }

// showStep shows actions that have something to say.
func showStep(show Show) func(host.Action) {
	return func(a host.Action) {
		if text := a.String(); text != "" {
			show(Message{Step: text})
		}
	}
}

// logged is a Show for what nobody waits for.
func (k *Keeper) logged(m Message) { Logged(k.log)(m) }

// replay shows what was said at the start.
func (k *Keeper) replay(_ context.Context, _ []byte, show Show) (*Result, error) {
	k.mu.Lock()
	said := k.said
	k.mu.Unlock()
	for _, m := range said {
		show(m)
	}
	return nil, nil
}

// State returns how things are.
func (k *Keeper) State() State {
	k.mu.Lock()
	s, names := k.state, k.scheduler
	k.mu.Unlock()
	if names != nil {
		for _, f := range names.Failures() {
			s.Unknown = append(s.Unknown, fmt.Sprintf("%s: %v", f.Host, lookup.Reason(f.Err)))
		}
	}
	return s
}

// statusLine is what `systemctl status` shows.
func (k *Keeper) statusLine() string {
	s := k.State()
	var d *uapi.Device
	err := k.ask(func(c *uapi.Client) (err error) {
		d, err = c.Get()
		return err
	})
	if err != nil {
		return "up; the engine does not answer"
	}
	defer d.Erase()
	const recent = 3 * time.Minute // longer than any session lasts
	talking := 0
	for i := range d.Peers {
		if time.Since(d.Peers[i].LastHandshake) < recent {
			talking++
		}
	}
	line := fmt.Sprintf("up on port %d; %d of %d peers in session", d.ListenPort, talking, len(d.Peers))
	if n := len(s.Unknown); n > 0 {
		line += fmt.Sprintf("; no address for %d endpoint names", n)
	}
	if n := len(s.GivenUp); n > 0 {
		line += fmt.Sprintf("; no longer put back: %d", n)
	}
	return line
}

// statusEvery is how often the status line is written: a Get of all peers is not
// for nothing.
const statusEvery = 30 * time.Second

// status keeps the service manager's status line up to date.
func (k *Keeper) status() {
	if !systemd.Managed() {
		return
	}
	tick := time.NewTicker(statusEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := systemd.Status(k.statusLine()); err != nil {
				k.log.Debug("the service manager was not told", "error", err)
			}
		case <-k.life.Done():
			return
		}
	}
}

// watchSleep has session keys erased before the host sleeps.
func (k *Keeper) watchSleep() {
	suspend := func(ctx context.Context) error {
		return k.do(ctx, func(context.Context) error {
			if k.engine == nil {
				return nil
			}
			return k.engine.Suspend(ctx)
		})
	}
	resume := func() {
		err := k.do(k.life, func(ctx context.Context) error {
			k.names.Wake()
			if k.engine == nil {
				return nil
			}
			ctx, cancel := context.WithTimeout(ctx, uapiPatience)
			defer cancel()
			return k.engine.Resume(ctx)
		})
		if err != nil && k.life.Err() == nil {
			k.log.Warn("the engine sleeps on", "error", err)
		}
	}
	if err := sleep.Watch(k.life, k.log, suspend, resume); err != nil && k.life.Err() == nil {
		k.log.Debug("nobody tells when this host goes to sleep", "error", err)
	}
}

// maxPeers bounds what is remembered of peers that an engine tells of: an engine
// that lies has many.
const maxPeers = 1 << 18

// tries is how many initiations in a row peers have not answered. The zero value
// is ready.
type tries struct {
	mu sync.Mutex
	n  map[key.Public]int
}

func (t *tries) set(peer key.Public, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n == nil {
		t.n = make(map[key.Public]int)
	}
	if n == 0 {
		delete(t.n, peer)
		return
	}
	if _, known := t.n[peer]; known || len(t.n) < maxPeers {
		t.n[peer] = n
	}
}

func (t *tries) all() map[key.Public]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.n)
}
