package save

import (
	"net/netip"
	"slices"

	"vpn/cmd/internal/setting"
	"vpn/conf"
	"vpn/noise/key"
	"vpn/tunnel/uapi"
)

// apply makes c say what the interface has. What a file says in other words, and
// what it leaves to be found out at the next up, stays. Has says whether an
// endpoint, by its name, is at an address.
//
// The keys that c is given are its own, those it loses are erased.
func (l *Live) apply(c *conf.Config, has func(conf.Endpoint, netip.AddrPort) bool) {
	i := &c.Interface
	l.applyKey(i)
	set(&i.ListenPort, l.ListenPort, l.ListenPort != 0)
	if i.FwMark.Given || !automaticMark(c) {
		set(&i.FwMark, l.FwMark, l.FwMark != 0)
	}
	i.Addresses = merge(i.Addresses, l.Addresses, func(s conf.Setting[netip.Prefix]) netip.Prefix { return s.Value }, conf.Given[netip.Prefix])
	if i.MTU.Given {
		set(&i.MTU, l.MTU, true)
	}
	set(&i.RekeyAfterTime, l.RekeyAfterTime, l.RekeyAfterTime != 0)
	set(&i.RekeyAfterPackets, l.RekeyAfterPackets, l.RekeyAfterPackets != 0)
	l.applyPeers(c, has)
}

// set gives a setting a value, or takes it away. One that says by a value of its
// own that there is none stays.
func set[T comparable](s *conf.Setting[T], v T, there bool) {
	switch {
	case there && (!s.Given || s.Value != v):
		s.Given, s.Value = true, v
	case !there && s.Value != v:
		*s = conf.Setting[T]{}
	}
}

// applyKey leaves a key that the file doesn't hold where it is held.
func (l *Live) applyKey(i *conf.Interface) {
	if i.PrivateKeyFile.Given {
		return
	}
	clamped := i.PrivateKey.Value.Clone() // as interfaces show theirs
	defer clamped.Erase()
	clamped.Clamp()
	if clamped.Equal(&l.PrivateKey) {
		return
	}
	i.PrivateKey.Value.Erase()
	i.PrivateKey = conf.Setting[key.Private]{}
	if !l.PrivateKey.IsZero() {
		i.PrivateKey = conf.Given(l.PrivateKey.Clone())
	}
}

// automaticMark says whether the mark is chosen at up: a file that leaves it open
// is not to be bound to this one.
func automaticMark(c *conf.Config) bool {
	return c.Interface.Table.Value.Kind == conf.TableAuto && slices.ContainsFunc(c.Peers, func(p conf.Peer) bool {
		return slices.ContainsFunc(p.AllowedIPs, func(a conf.AllowedIP) bool { return a.Prefix.Bits() == 0 && !a.Remove })
	})
}

// applyPeers keeps the file's order; peers that it doesn't have come last.
func (l *Live) applyPeers(c *conf.Config, has func(conf.Endpoint, netip.AddrPort) bool) {
	live := make(map[key.Public]*uapi.Peer, len(l.Peers))
	for n := range l.Peers {
		live[l.Peers[n].PublicKey] = &l.Peers[n]
	}
	var peers []conf.Peer
	for n := range c.Peers {
		p := &c.Peers[n]
		now := live[p.PublicKey.Value]
		if now == nil && p.Expired(l.Now) { // left out, but not removed
			peers = append(peers, *p)
			continue
		}
		if now == nil { // gone, or in a section above this one
			p.Preshared.Value.Erase()
			continue
		}
		delete(live, p.PublicKey.Value)
		applyPeer(p, now, has)
		peers = append(peers, *p)
	}
	for n := range l.Peers {
		now := &l.Peers[n]
		if live[now.PublicKey] == nil {
			continue
		}
		p := conf.Peer{PublicKey: conf.Given(now.PublicKey)}
		applyPeer(&p, now, has)
		peers = append(peers, p)
	}
	c.Peers = peers
}

func applyPeer(p *conf.Peer, now *uapi.Peer, has func(conf.Endpoint, netip.AddrPort) bool) {
	if !p.PresharedKeyFile.Given && !p.Preshared.Value.Equal(&now.Preshared) {
		p.Preshared.Value.Erase()
		p.Preshared = conf.Setting[key.Preshared]{}
		if !now.Preshared.IsZero() {
			p.Preshared = conf.Given(now.Preshared.Clone())
		}
	}
	set(&p.Keepalive, now.Keepalive, now.Keepalive != 0)
	if now.Endpoint.IsValid() && !reaches(p, now.Endpoint, has) {
		addr := now.Endpoint.Addr().Unmap()
		p.Endpoint = conf.Given(conf.Endpoint{Host: addr.WithZone(setting.ZoneName(addr)).String(), Port: now.Endpoint.Port()})
	}
	applyPrefixes(p, now.AllowedIPs)
}

// reaches says whether one of the endpoints that the file gives is at an address.
func reaches(p *conf.Peer, at netip.AddrPort, has func(conf.Endpoint, netip.AddrPort) bool) bool {
	return p.Endpoint.Given && has(p.Endpoint.Value, at) ||
		slices.ContainsFunc(p.Candidates, func(e conf.Setting[conf.Endpoint]) bool { return has(e.Value, at) })
}

// applyPrefixes leaves a list that comes to the same as it is.
func applyPrefixes(p *conf.Peer, now []netip.Prefix) {
	var before []conf.AllowedIP // what the list comes to
	if !p.Incremental {
		for _, a := range p.AllowedIPs {
			before = slices.DeleteFunc(before, func(b conf.AllowedIP) bool { return b.Prefix == a.Prefix })
			if !a.Remove {
				before = append(before, a)
			}
		}
		if len(before) == len(now) && !slices.ContainsFunc(before, func(a conf.AllowedIP) bool { return !slices.Contains(now, a.Prefix) }) {
			return
		}
	}
	p.Incremental = false
	p.AllowedIPs = merge(before, now, func(a conf.AllowedIP) netip.Prefix { return a.Prefix },
		func(prefix netip.Prefix) conf.AllowedIP { return conf.AllowedIP{Prefix: prefix} })
}

// merge makes of a list what there is now: what stays in the list's order, then
// what is new.
func merge[T any](list []T, now []netip.Prefix, prefix func(T) netip.Prefix, item func(netip.Prefix) T) (merged []T) {
	taken := map[netip.Prefix]bool{}
	there := map[netip.Prefix]bool{}
	for _, p := range now {
		there[p] = true
	}
	for _, old := range list {
		if p := prefix(old); there[p] && !taken[p] {
			taken[p] = true
			merged = append(merged, old)
		}
	}
	for _, p := range now {
		if !taken[p] {
			taken[p] = true
			merged = append(merged, item(p))
		}
	}
	return merged
}
