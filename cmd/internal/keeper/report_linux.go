package keeper

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"vpn/cmd/internal/lookup"
	"vpn/cmd/internal/report"
	"vpn/conf"
	"vpn/noise/key"
)

// reporter is the report.Source of a keeper: what its engine says, with what only the file and the keeper know.
type reporter struct{ keeper *Keeper }

// labels are what the file calls its peers, and where it says they are.
type labels struct {
	config *conf.Config // that they were made of
	of     map[key.Public]label
}

type label struct {
	name      string
	endpoints []conf.Endpoint
}

// labels returns what is in force, or on its way to be. Nobody changes it.
func (k *Keeper) labels() labels {
	k.labelling.Lock()
	defer k.labelling.Unlock()
	if c := k.published.Load(); c != nil && c != k.labelled.config {
		k.labelled = newLabels(c)
	}
	return k.labelled
}

func newLabels(c *conf.Config) labels {
	l := labels{config: c, of: make(map[key.Public]label, len(c.Peers))}
	for i := range c.Peers {
		p := &c.Peers[i]
		if p.Name.Value != "" {
			l.of[p.PublicKey.Value] = label{name: p.Name.Value}
		}
	}
	for _, p := range lookup.Peers(c) {
		one := l.of[p.Key]
		one.endpoints = p.Endpoints
		l.of[p.Key] = one
	}
	return l
}

// Status implements report.Source.
func (r reporter) Status(ctx context.Context, q report.Query, tell func(*report.Line) error) error {
	e := r.keeper.running()
	if e == nil {
		return errNoEngine
	}
	labels := r.keeper.labels()
	failures := r.keeper.lookupFailures()
	return e.Source().Status(ctx, q, func(l *report.Line) error {
		switch {
		case l.Interface != nil:
			r.complete(l.Interface, labels)
		case l.Peer != nil:
			r.label(l.Peer, labels, failures)
		}
		return tell(l)
	})
}

// Events implements report.Source.
func (r reporter) Events(ctx context.Context, q report.Query, tell func(*report.Line) error) error {
	e := r.keeper.running()
	if e == nil {
		return errNoEngine
	}
	labels := r.keeper.labels()
	return e.Source().Events(ctx, q, func(l *report.Line) error {
		if l.Event != nil {
			l.Event.PeerName = labels.of[l.Event.Peer].name
		}
		return tell(l)
	})
}

// complete adds what the keeper knows of its interface. Nothing that the engine says of itself is taken for granted.
func (r reporter) complete(i *report.Interface, labels labels) {
	s := r.keeper.State()
	i.Name, i.Engine, i.PID, i.File, i.Phase = s.Name, report.EngineVPN, s.Engine, s.File, string(s.Phase)
	i.Faults = append(slices.Clone(s.Unknown), s.GivenUp...)
	for n := range i.Events {
		i.Events[n].PeerName = labels.of[i.Events[n].Peer].name
	}
}

// label adds what the file says of a peer.
func (r reporter) label(p *report.Peer, labels labels, failures map[string]string) {
	one := labels.of[p.PublicKey]
	p.Name = one.name
	for n := range p.Events {
		p.Events[n].PeerName = one.name
	}
	if len(one.endpoints) > 0 {
		first := one.endpoints[0]
		p.Configured = first.String()
		if _, is := first.Addr(); !is {
			p.LookupError = failures[lookup.Key(first.Host)]
		}
	}
	if p.Endpoint.IsValid() {
		p.EndpointFrom = r.origin(p, one.endpoints)
	}
}

// origin says how a peer's endpoint was found, where the engine knows only that it was told.
func (r reporter) origin(p *report.Peer, endpoints []conf.Endpoint) report.Origin {
	named := false
	for _, e := range endpoints {
		if at, is := e.Addr(); is && at == p.Endpoint {
			return report.OriginFile
		} else if !is {
			named = true
		}
	}
	if named && slices.Contains(r.keeper.knownAddresses(p.PublicKey), p.Endpoint) {
		return report.OriginName
	}
	before := r.keeper.restored.Load()
	if p.EndpointFrom == report.OriginSet && before != nil && (*before)[p.PublicKey] == p.Endpoint {
		return report.OriginCache
	}
	return p.EndpointFrom
}

func (k *Keeper) knownAddresses(peer key.Public) []netip.AddrPort {
	k.mu.Lock()
	names := k.scheduler
	k.mu.Unlock()
	if names == nil {
		return nil
	}
	return names.Known(peer)
}

// lookupFailures says of the names that don't resolve why.
func (k *Keeper) lookupFailures() map[string]string {
	k.mu.Lock()
	names := k.scheduler
	k.mu.Unlock()
	if names == nil {
		return nil
	}
	all := make(map[string]string)
	for _, f := range names.Failures() {
		all[lookup.Key(f.Host)] = strings.TrimSpace(lookup.Reason(f.Err).Error())
	}
	return all
}
