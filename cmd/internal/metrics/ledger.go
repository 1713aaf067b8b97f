package metrics

import (
	"vpn/cmd/internal/report"
	"vpn/noise/key"
)

// tallied are the counters of a peer.
type tallied struct{ sent, received, rekeys, drops uint64 }

func talliedOf(p *report.Peer) tallied {
	t := tallied{p.TxBytes, p.RxBytes, p.Rekeys, 0}
	for n := range p.Drops {
		t.drops += p.Drops[n].Count
	}
	return t
}

// grow adds what each counter has counted since it was last. One that went back has begun anew.
func (t *tallied) grow(last, now tallied) {
	step := func(sum *uint64, last, now uint64) {
		if now < last {
			last = 0
		}
		*sum += now - last
	}
	step(&t.sent, last.sent, now.sent)
	step(&t.received, last.received, now.received)
	step(&t.rekeys, last.rekeys, now.rekeys)
	step(&t.drops, last.drops, now.drops)
}

// ledger remembers which of an interface's peers have series of their own, and what all others have counted together.
type ledger struct {
	own    map[key.Public]struct{} // that have talked; no more than the limit
	others map[key.Public]tallied  // that had talked when there was no room any more, as they were last
	sum    tallied                 // of others, also of those that are gone
}

// share splits peers into those with series of their own and the others, which it adds up. Total is how many the interface has; those that
// never talked may be missing among peers.
func (l *ledger) share(peers []report.Peer, total, limit int) (own []*report.Peer) {
	mine, others := make(map[key.Public]struct{}), make(map[key.Public]tallied)
	for n := range peers { // who had a place keeps it
		if _, had := l.own[peers[n].PublicKey]; had {
			mine[peers[n].PublicKey] = struct{}{}
		}
	}
	for n := range peers {
		p := &peers[n]
		now := talliedOf(p)
		last, other := l.others[p.PublicKey]
		_, had := mine[p.PublicKey]
		talked := now != tallied{} || !p.LatestHandshake.IsZero()
		switch {
		case had:
			own = append(own, p)
		case other, talked && len(mine) >= limit:
			others[p.PublicKey] = now
			l.sum.grow(last, now)
		case talked:
			mine[p.PublicKey] = struct{}{}
			own = append(own, p)
		case total <= limit:
			own = append(own, p)
		}
	}
	l.own, l.others = mine, others
	return own
}
