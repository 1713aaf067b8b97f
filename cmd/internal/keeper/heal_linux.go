package keeper

import (
	"cmp"
	"fmt"
	"time"

	"vpn/tun/host"
	"vpn/tun/host/dns"
)

// settleTime is how long after a change the host is looked at once more. What the
// kernel takes away with an address, it takes after it has told of the address, and
// without a word. And a program that takes away all that it finds, as `ip route
// flush` does, looks again after each round: whoever puts things back at once, each
// time, only keeps it going until he gives up.
const settleTime = 200 * time.Millisecond

// changed has names asked for that have no address, and heals at once what others have changed after a time of rest, and once more
// when that has settled.
func (k *Keeper) changed(c host.Change, watching bool) {
	if !watching {
		k.heal(c, false)
		return
	}
	k.last = c
	k.names.Wake() // it may be another network, with other name servers
	if k.settled == nil {
		k.heal(c, true)
		k.settled = time.After(settleTime)
	}
}

// heal puts back what something else has taken away, unless that happens again and
// again.
func (k *Keeper) heal(c host.Change, watching bool) {
	if !watching {
		k.changes = nil
		if k.life.Err() == nil {
			k.log.Warn("what others take away is no longer put back: the kernel does not tell of it any more")
		}
		return
	}
	s, err := host.Look(k.journal)
	if err != nil {
		k.log.Warn("can't see what others take away", "error", err)
		return
	}
	again, givenUp := k.limiter.Allow(time.Now(), host.Missing(s, k.journal))
	who := cmp.Or(c.Who, "unknown")
	for _, step := range givenUp {
		k.log.Error("removed again and again: not put back any more", "what", step.Do.String(), "by", who)
		k.mu.Lock()
		k.state.GivenUp = append(k.state.GivenUp, fmt.Sprintf("%s (removed by %s)", step.Do, who))
		k.mu.Unlock()
	}
	if len(again) > 0 {
		err := host.Redo(k.life, again, k.journal, func(a host.Action) {
			k.log.Warn("was removed, is put back", "what", a.String(), "by", who)
		})
		if err != nil {
			k.log.Error("not put back", "error", err)
		}
	}
}

// watchResolved watches for systemd-resolved to forget what it was told.
func (k *Keeper) watchResolved() {
	if k.resolvedSettings() == nil {
		return
	}
	var err error
	if k.resolved, err = dns.WatchResolved(k.life); err != nil {
		k.log.Debug("systemd-resolved is not watched", "error", err)
	}
}

// resolvedSettings returns the journal's entry of the link's DNS, if it is
// systemd-resolved that has it.
func (k *Keeper) resolvedSettings() *host.SetDNS {
	for _, e := range k.journal.Entries() {
		if set, is := e.Do.(host.SetDNS); is && set.Way == dns.Resolved {
			return &set
		}
	}
	return nil
}

// healDNS tells systemd-resolved again what it has forgotten.
func (k *Keeper) healDNS(watching bool) {
	if !watching {
		k.resolved = nil
		return
	}
	set := k.resolvedSettings()
	if set == nil {
		return
	}
	k.log.Warn("systemd-resolved was started anew, and is told again", "what", set.String())
	if err := host.Redo(k.life, []host.Step{{Do: *set}}, k.journal, func(host.Action) {}); err != nil {
		k.log.Error("not put back", "error", err)
	}
}
