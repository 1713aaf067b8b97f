package keeper

import (
	"slices"
	"time"

	"vpn/cmd/internal/lookup"
	"vpn/conf"
	"vpn/noise/key"
	"vpn/tunnel/uapi"
)

// expiryEvery is how long a wait for a peer's end is at most: the clock may be set,
// and the machine may sleep.
const expiryEvery = time.Minute

// awaitExpiry sets the time at which peers of the config in force are looked at.
func (k *Keeper) awaitExpiry() {
	if k.expires != nil {
		k.expires.Stop()
		k.expires = nil
	}
	if next := k.config.NextExpiry(); !next.IsZero() {
		k.expires = time.NewTimer(min(time.Until(next), expiryEvery))
	}
}

// timeout is when t fires; never, if there is none.
func timeout(t *time.Timer) <-chan time.Time {
	if t == nil {
		return nil
	}
	return t.C
}

// expire removes the peers whose time is over. Routes to them stay until the next
// reload: what takes them goes nowhere.
func (k *Keeper) expire() {
	left := *k.config
	if over := left.DropExpired(k.c.File.String(), time.Now()); len(over) == 0 {
		k.awaitExpiry()
		return
	}
	change := &uapi.Config{}
	for i := range k.config.Peers {
		id := k.config.Peers[i].PublicKey.Value
		if !has(&left, id) {
			change.Peers = append(change.Peers, uapi.PeerConfig{PublicKey: id, Remove: true})
		}
	}
	if k.engine != nil { // the next one is not told of them
		k.peers.Lock()
		err := k.ask(func(c *uapi.Client) error { return c.Set(change) })
		k.peers.Unlock()
		if err != nil {
			k.log.Error("peers whose time is over are still there", "error", err)
			k.expires = time.NewTimer(expiryEvery)
			return
		}
		k.keeping.soon()
	}
	for _, line := range commands(k.name, change) {
		k.log.Info("[#] "+line, "why", "its time is over")
	}
	k.config = &left
	k.published.Store(k.config)
	k.names.Set(lookup.Peers(k.config))
	k.awaitExpiry()
}

func has(c *conf.Config, id key.Public) bool {
	return slices.ContainsFunc(c.Peers, func(p conf.Peer) bool { return p.PublicKey.Value == id })
}
