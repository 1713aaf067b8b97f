package keeper

import (
	"context"
	"errors"
	"os"
	"time"

	"vpn/tun/host"
)

// pending is a reload that is taken back unless it is kept. What was in force
// before is what is kept meanwhile, so that an engine or a keeper that comes after a
// crash goes back too. A nil one never times out.
type pending struct{ timer *time.Timer }

func (p *pending) timeout() <-chan time.Time {
	if p == nil {
		return nil
	}
	return p.timer.C
}

func (k *Keeper) awaitConfirmation(r ReloadRequest) {
	k.pending = &pending{time.NewTimer(r.Confirm)}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.state.Confirm = time.Now().Add(r.Confirm)
}

// endConfirmation ends the wait, however it ended.
func (k *Keeper) endConfirmation() {
	k.pending.timer.Stop()
	k.pending = nil
	k.mu.Lock()
	defer k.mu.Unlock()
	k.state.Confirm = time.Time{}
}

// handleKeep is `vpn reload --keep`.
func (k *Keeper) handleKeep(ctx context.Context, _ []byte, _ Show) (*Result, error) {
	return nil, k.do(ctx, func(context.Context) error {
		if k.pending == nil {
			return errors.New("no reload waits to be confirmed: it was kept already, or has been taken back")
		}
		k.endConfirmation()
		if err := os.Rename(host.RunPath(k.name, unconfirmedFile), host.RunPath(k.name, configFile)); err != nil {
			return err
		}
		return k.keepEngine(k.hash)
	})
}

// takeBack goes back to what was in force before a reload that nobody confirmed.
func (k *Keeper) takeBack() {
	k.busy.Add(1)
	defer k.busy.Add(-1)
	k.endConfirmation()
	_ = os.Remove(host.RunPath(k.name, unconfirmedFile))
	l, err := inForce(k.life, k.c.File)
	if err == nil {
		defer l.erase()
		_, err = k.bring(k.life, l, ReloadRequest{Force: true}, k.logged)
	}
	if err != nil {
		k.log.Error("the reload was not confirmed, and could not be taken back", "error", err)
		return
	}
	k.log.Warn("the reload was not confirmed: what was in force before is so again")
}
