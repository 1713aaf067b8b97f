package keeper

import (
	"context"
	"errors"
	"slices"
	"time"

	"vpn/conf"
	"vpn/noise/key"
	"vpn/tunnel/uapi"
)

// pending is a reload that is taken back unless it is kept. What was in force
// before is pinned meanwhile, so that a keeper that comes after a crash goes back
// too. A nil one never times out.
type pending struct {
	timer *time.Timer
	text  []byte // of the reload, if it was no file's
}

func (p *pending) timeout() <-chan time.Time {
	if p == nil {
		return nil
	}
	return p.timer.C
}

func (k *Keeper) awaitConfirmation(r ReloadRequest) {
	k.pending = &pending{time.NewTimer(r.Confirm), slices.Clone(r.Text)}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.state.Confirm = time.Now().Add(r.Confirm)
}

// endConfirmation ends the wait, however it ended. It returns the reload's text,
// to be erased.
func (k *Keeper) endConfirmation() []byte {
	text := k.pending.text
	k.pending.timer.Stop()
	k.pending = nil
	k.mu.Lock()
	defer k.mu.Unlock()
	k.state.Confirm = time.Time{}
	return text
}

// handleKeep is `vpn reload --keep`.
func (k *Keeper) handleKeep(ctx context.Context, _ []byte, _ Show) (*Result, error) {
	return nil, k.do(ctx, func(context.Context) error {
		if k.pending == nil {
			return errors.New("no reload waits to be confirmed: it was kept already, or has been taken back")
		}
		text := k.endConfirmation()
		defer clear(text)
		return k.settle(text)
	})
}

// takeBack goes back to what was in force before a reload that nobody confirmed.
func (k *Keeper) takeBack() {
	clear(k.endConfirmation())
	text, _, err := k.pinned().Read()
	if err == nil {
		defer clear(text)
		_, err = k.reload(k.life, ReloadRequest{Force: true, Text: text}, k.logged)
	}
	if err != nil {
		k.log.Error("the reload was not confirmed, and could not be taken back", "error", err)
		return
	}
	k.log.Warn("the reload was not confirmed: what was in force before is so again")
}

// settle makes a reload last: of one that was no file's, the text is pinned, and
// else nothing needs to be.
func (k *Keeper) settle(text []byte) error {
	if len(text) > 0 {
		return writePin(k.name, text)
	}
	k.unpin()
	return nil
}

// unpin deletes the pinned configuration where a file has what is in force.
func (k *Keeper) unpin() {
	if k.c.File.Path != "" {
		removePin(k.name)
	}
}

// pinCurrent pins what is in force now, with the keys that the engine has.
func (k *Keeper) pinCurrent(d *uapi.Device) error {
	c := *k.config
	c.Interface.PrivateKey = conf.Given(d.PrivateKey.Clone())
	c.Interface.PrivateKeyFile = conf.Setting[string]{}
	preshared := make(map[key.Public]*key.Preshared)
	for i := range d.Peers {
		if p := &d.Peers[i].Preshared; !p.IsZero() {
			preshared[d.Peers[i].PublicKey] = p
		}
	}
	c.Peers = slices.Clone(c.Peers)
	for i := range c.Peers {
		p := &c.Peers[i]
		p.PresharedKeyFile = conf.Setting[string]{}
		p.Preshared = conf.Setting[key.Preshared]{}
		if psk := preshared[p.PublicKey.Value]; psk != nil {
			p.Preshared = conf.Given(psk.Clone())
		}
	}
	defer c.Erase()
	text := c.Format()
	defer clear(text)
	return writePin(k.name, text)
}
