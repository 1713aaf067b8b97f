package web

import (
	"context"
	"errors"
	"sync"
	"time"

	"vpn/cmd/internal/gather"
	"vpn/cmd/internal/report"
	"vpn/noise/key"
)

// link is what is kept of one interface.
type link struct {
	name string

	mu       sync.Mutex // guards all below
	is       *report.Interface
	err      error // why it can't be asked
	peers    map[key.Public]*peer
	plots    int // peers with a plot
	total    series
	rx, tx   float64 // bytes a second, at the last sample
	sessions chain
	counts   map[report.State]int
	full     time.Time // when all peers were asked about
}

// peer is what is kept of one peer.
type peer struct {
	now     *report.Peer
	verdict report.Verdict
	plot    *series
	seen    time.Time // in which sample
	active  bool      // it has a session, or wants one
}

func newLink(name string) *link {
	return &link{name: name, peers: make(map[key.Public]*peer), total: series{step: linkStep}, counts: make(map[report.State]int)}
}

// watch asks until ctx ends or, unless the interface was named by the user, it is gone. Pause says how long to wait.
func (l *link) watch(ctx context.Context, named bool, pause func() time.Duration) {
	for ctx.Err() == nil {
		began := time.Now()
		err := l.attend(ctx, pause)
		l.mu.Lock()
		l.err = err
		l.mu.Unlock()
		if errors.Is(err, gather.ErrNone) && !named {
			return
		}
		wait(ctx, max(attentive-time.Since(began), attentive/10))
	}
}

// wait returns after a while, or when ctx ends.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// attend follows whoever runs the interface until that ends.
func (l *link) attend(ctx context.Context, pause func() time.Duration) error {
	source, err := gather.Open(l.name)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		err := source.Events(ctx, report.Query{}, func(line *report.Line) error {
			if line.Event != nil {
				l.mu.Lock()
				l.sessions.happened(line.Event)
				l.mu.Unlock()
			}
			return nil
		})
		if !errors.Is(err, gather.ErrNoEvents) {
			cancel(err) // the past is asked for again
		}
	}()
	defer func() { <-followed }()
	defer cancel(nil)
	for past := true; ; past = false {
		began := time.Now()
		if err := l.sample(ctx, source, past); err != nil {
			if cause := context.Cause(ctx); cause != nil {
				err = cause
			}
			return err
		}
		rest := pause()
		if !past { // which takes much longer, and once
			rest = max(rest, min(share*time.Since(began), longest))
		}
		wait(ctx, rest)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// sample asks once; with past also for what happened before anybody watched.
func (l *link) sample(ctx context.Context, source report.Source, past bool) error {
	l.mu.Lock()
	before := l.is
	q := report.Query{Which: report.Active}
	if before == nil || past || before.Now.Sub(l.full) >= everyPeer || l.full.After(before.Now) {
		q.Which = report.All
	}
	l.mu.Unlock()
	switch {
	case past:
		q.Events = report.MaxEvents
	case before != nil && before.PeerCount <= few:
		q.Events = fewEvents
	}
	var is *report.Interface
	var rx, tx uint64
	err := source.Status(ctx, q, func(line *report.Line) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		switch {
		case line.Interface != nil:
			if is = line.Interface; before != nil && is.PID != before.PID {
				l.sessions.lost(is.Since)
			}
		case line.Peer != nil && is != nil:
			r, t := l.met(before, is, line.Peer)
			rx, tx = rx+r, tx+t
		}
		return nil
	})
	if err == nil && is == nil {
		err = report.ErrCutShort
	}
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sum(before, is, q.Which == report.All, rx, tx)
	return nil
}

// met takes what a sample tells of a peer, and returns what has passed since the one before.
func (l *link) met(before, is *report.Interface, now *report.Peer) (rx, tx uint64) {
	p := l.peers[now.PublicKey]
	if p == nil {
		p = new(peer)
		l.peers[now.PublicKey] = p
	}
	for n := range now.Events {
		e := &now.Events[n]
		e.Peer = now.PublicKey
		l.sessions.happened(e)
	}
	if p.verdict = report.Judge(is, now); is.Engine == report.EngineVPN {
		l.sessions.alive(now)
	} else if at := now.LatestHandshake; !at.IsZero() && (p.now == nil || !at.Equal(p.now.LatestHandshake)) {
		l.sessions.shook(now.PublicKey, at)
	}
	if p.now != nil && before != nil && now.Rates(p.now, is.Now.Sub(p.seen)) {
		rx, tx = now.RxBytes-p.now.RxBytes, now.TxBytes-p.now.TxBytes
	}
	if p.plot == nil && (now.RxBytes != 0 || now.TxBytes != 0) && l.plots < maxPlots {
		p.plot = &series{step: peerStep}
		l.plots++
		if !p.seen.IsZero() { // it was silent until then
			p.plot.add(p.seen, 0, 0)
		}
	}
	if p.plot != nil {
		p.plot.add(is.Now, rx, tx)
	}
	p.active = len(now.Sessions) > 0 || now.Attempt != nil
	now.Events, now.Drops, now.Sessions, now.Candidates = nil, nil, nil, nil // asked for again when they are shown
	p.now, p.seen = now, is.Now
	return rx, tx
}

// sum ends a sample.
func (l *link) sum(before, is *report.Interface, all bool, rx, tx uint64) {
	l.is, l.err = is, nil
	l.total.add(is.Now, rx, tx)
	l.rx, l.tx = 0, 0
	if before != nil {
		if seconds := is.Now.Sub(before.Now).Seconds(); seconds > 0 {
			l.rx, l.tx = float64(rx)/seconds, float64(tx)/seconds
		}
	}
	if all {
		l.full = is.Now
	}
	clear(l.counts)
	for public, p := range l.peers {
		if !p.seen.Equal(is.Now) {
			switch {
			case all:
				if p.plot != nil {
					l.plots--
				}
				delete(l.peers, public)
				continue
			case p.active: // it was removed, or is silent for good
				l.full = time.Time{}
			}
			p.now.RxRate, p.now.TxRate = nil, nil
		}
		l.counts[p.verdict.State]++
	}
	if len(l.peers) != is.PeerCount {
		l.full = time.Time{}
	}
}
