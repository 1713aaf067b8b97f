package diagnose

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"vpn/cmd/internal/gather"
	"vpn/cmd/internal/report"
	"vpn/noise/key"
)

const (
	// askInterval is how often the interface is asked what has become of the handshakes.
	askInterval = 200 * time.Millisecond
	// Silence counts once two initiations have had no answer, since one may be lost: the second goes out 5 s and a little after the first,
	// and has had oneWay then. refusalTime is what the kernel takes to find that a neighbour is not there.
	silenceTime = 6500 * time.Millisecond
	oneWay      = 1200 * time.Millisecond
	refusalTime = 4 * time.Second
	// fresh is how long before the watch a handshake may have been that is as good as one in it: no other may be asked for sooner.
	fresh = 5 * time.Second
	// maxWatch is when a handshake has had its time: the next initiation may have to wait for 5 s, and once more with a cookie.
	maxWatch = 15 * time.Second
)

// Run watches an interface for at least as long as watch says, 15 s at most, or 60 with the probes of many peers. Of its peers it looks at the
// one that wanted names, by its name or public key, or at all of up to report.MaxPeers if that is empty.
func Run(ctx context.Context, name, wanted string, watch time.Duration) (*Seen, error) {
	source, err := gather.Open(name)
	if err != nil {
		return nil, err
	}
	w := &watcher{source: source, seen: &Seen{Whole: wanted == "", Others: make(map[key.Public]*report.Peer)}}
	if err := w.choose(ctx, name, wanted); err != nil {
		return nil, err
	}
	w.seen.Began = w.seen.Before.Now
	traffic := captureTraffic(name)
	defer traffic.stop()
	if err := w.provoke(ctx); err != nil {
		return nil, err
	}
	if err := w.await(ctx, watch); err != nil {
		return nil, err
	}
	for i := range w.seen.Peers {
		p := &w.seen.Peers[i]
		p.Way = wayTo(p.After.Endpoint.Addr(), w.seen.After)
		p.Routes = routesTo(p.After.AllowedIPs, name)
		if w.worthProbing(p) {
			p.Reach = reach(ctx, name, w.seen.After.MTU, targets(p))
		}
	}
	if err := w.look(ctx); err != nil { // the probes are watched, too
		return nil, err
	}
	w.seen.Traffic = traffic.kept(name)
	if w.seen.After.File != "" {
		w.seen.Twice = givenTwice(w.seen.After.File)
	}
	return w.seen, w.owners(ctx)
}

type watcher struct {
	source report.Source
	seen   *Seen
	keys   []key.Public
}

// choose finds the peers to look at.
func (w *watcher) choose(ctx context.Context, name, wanted string) error {
	i, _, err := gather.Snapshot(ctx, w.source, report.Query{Which: report.None})
	if err != nil {
		return err
	}
	if wanted == "" && i.PeerCount > report.MaxPeers {
		return fmt.Errorf("%s has %d peers: name the one to look at, of more than %d", name, i.PeerCount, report.MaxPeers)
	}
	q := report.Query{Events: report.MaxEvents}
	if id, err := key.ParsePublic(wanted); err == nil {
		q.Peers = []key.Public{id}
	} else if wanted != "" {
		q.Events = 0 // of perhaps very many
	}
	i, peers, err := gather.Snapshot(ctx, w.source, q)
	if err != nil {
		return err
	}
	if wanted != "" && len(q.Peers) == 0 {
		peers = slices.DeleteFunc(peers, func(p report.Peer) bool { return p.Name != wanted })
	}
	switch {
	case wanted != "" && len(peers) == 0:
		return fmt.Errorf("%s has no peer %q", name, wanted)
	case wanted != "" && len(peers) > 1:
		return fmt.Errorf("%s has %d peers called %q: give the public key", name, len(peers), wanted)
	}
	w.seen.Before, w.seen.After = i, i
	for _, p := range peers {
		w.keys = append(w.keys, p.PublicKey)
		w.seen.Peers = append(w.seen.Peers, PeerSeen{Before: p, After: p})
	}
	return nil
}

// provoke asks for a handshake with each peer that can be called.
func (w *watcher) provoke(ctx context.Context) error {
	q := report.Query{Peers: w.keys, Handshake: true}
	if len(w.keys) == 0 || w.seen.Before.Engine != report.EngineVPN {
		return nil // with the engines of others it is our probes that want a session
	}
	return w.source.Status(ctx, q, func(*report.Line) error { return nil })
}

// look asks how the interface and the peers are now. Who has gone meanwhile stays as it was.
func (w *watcher) look(ctx context.Context) error {
	q := report.Query{Peers: w.keys, Events: report.MaxEvents}
	if len(w.keys) == 0 {
		q.Which = report.None
	}
	i, peers, err := gather.Snapshot(ctx, w.source, q)
	if err != nil {
		return err
	}
	w.seen.After = i
	for _, p := range peers {
		if n := slices.Index(w.keys, p.PublicKey); n >= 0 {
			w.seen.Peers[n].After = p
		}
	}
	return nil
}

// await looks until the handshakes have ended one way or the other, and the watch has.
func (w *watcher) await(ctx context.Context, watch time.Duration) error {
	began := time.Now()
	tick := time.NewTicker(askInterval)
	defer tick.Stop()
	for {
		if err := w.look(ctx); err != nil {
			return err
		}
		if age := time.Since(began); age >= maxWatch || age >= watch && w.settled() {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// settled reports whether no more is to be expected of the handshakes.
func (w *watcher) settled() bool {
	i := w.seen.After
	if i.Engine != report.EngineVPN || !i.LinkUp || !i.Listening || i.PublicKey.IsZero() || i.Asleep {
		return true
	}
	for n := range w.seen.Peers {
		p := &w.seen.Peers[n].After
		if p.LatestHandshake.After(w.seen.Began.Add(-fresh)) || !p.Endpoint.IsValid() {
			continue
		}
		if find(p.Events, w.seen.Began, "path_refused", "") != nil || find(p.Events, w.seen.Began, "handshake_failed", "bad_handshake") != nil {
			continue
		}
		sent := find(p.Events, w.seen.Began, "initiation_sent", "")
		if sent == nil || i.Now.Sub(sent.Time) < oneWay || i.Now.Sub(w.seen.Began) < refusalTime || i.Now.Sub(p.SilentSince) < silenceTime {
			return false
		}
		if cookie := find(p.Events, w.seen.Began, "cookie_received", ""); cookie != nil && sent.Time.Before(cookie.Time) {
			return false // the one that proves where it comes from is still to be sent
		}
	}
	return true
}

// worthProbing reports whether anything could pass: with the engines of others a probe is what shows that.
func (w *watcher) worthProbing(p *PeerSeen) bool {
	if w.seen.After.Engine != report.EngineVPN {
		return p.After.Endpoint.IsValid()
	}
	return p.After.Current() != nil && (p.After.LatestHandshake.After(w.seen.Began.Add(-fresh)) || !p.After.Endpoint.IsValid())
}

// maxTargets is how many of a peer's addresses are tried.
const maxTargets = 4

// targets are the peer's own addresses, as far as its AllowedIPs say them.
func targets(p *PeerSeen) (all []netip.Addr) {
	for _, prefix := range p.After.AllowedIPs {
		if prefix.IsSingleIP() && len(all) < maxTargets {
			all = append(all, prefix.Addr())
		}
	}
	return all
}

// owners asks for the peers that findings may name besides those looked at.
func (w *watcher) owners(ctx context.Context) error {
	var ask []key.Public
	add := func(id key.Public) {
		if !id.IsZero() && !slices.Contains(w.keys, id) && !slices.Contains(ask, id) && len(ask) < report.MaxPeers {
			ask = append(ask, id)
		}
	}
	for i := range w.seen.Peers {
		for _, e := range w.seen.Peers[i].After.Events {
			add(e.Owner)
		}
	}
	for _, t := range w.seen.Twice {
		if slices.Contains(w.keys, t.First) || slices.Contains(w.keys, t.Second) {
			add(t.First)
			add(t.Second)
		}
	}
	if len(ask) == 0 {
		return nil
	}
	_, peers, err := gather.Snapshot(ctx, w.source, report.Query{Peers: ask})
	for i := range peers {
		w.seen.Others[peers[i].PublicKey] = &peers[i]
	}
	return err
}
