package setting

import (
	"net"
	"net/netip"
	"strconv"

	"vpn/noise/key"
	"vpn/tunnel/uapi"
)

// Sync returns what turns current into what want describes, and nothing that
// is so already: sessions of peers that stay are not touched. Want is a whole
// configuration, as FromConf makes it; what it leaves out is reset, except the
// listening port (any port will do, so the current one will) and endpoints, which
// peers may have moved.
//
// Changes come in an order that leaves no prefix without a peer meanwhile: a
// prefix that moves is given to its new peer before the old one goes.
//
// The result shares want's keys. Equal keys are told in constant time.
func Sync(current *uapi.Device, want *uapi.Config) *uapi.Config {
	c := &uapi.Config{
		PrivateKey: syncPrivate(&current.PrivateKey, want.PrivateKey),
		FwMark:     syncValue(current.FwMark, want.FwMark),

		RekeyAfterTime:    syncValue(current.RekeyAfterTime, want.RekeyAfterTime),
		RekeyAfterPackets: syncValue(current.RekeyAfterPackets, want.RekeyAfterPackets),
	}
	if want.ListenPort != nil && *want.ListenPort != 0 && *want.ListenPort != current.ListenPort {
		c.ListenPort = want.ListenPort
	}

	p := newPlan(current.Peers, want.Peers)
	var losses []uapi.PeerConfig
	for _, peer := range p.peers {
		change, needed := peer.change()
		if loss, has := peer.prefixChanges(p.owner, &change); has {
			losses = append(losses, loss)
		}
		if needed || len(change.AllowedIPs) > 0 {
			c.Peers = append(c.Peers, change)
		}
	}
	c.Peers = append(c.Peers, losses...)
	for i := range current.Peers {
		if k := current.Peers[i].PublicKey; p.byKey[k] == nil {
			c.Peers = append(c.Peers, uapi.PeerConfig{PublicKey: k, Remove: true})
		}
	}
	return c
}

// Empty reports whether c changes nothing.
func Empty(c *uapi.Config) bool {
	return c.PrivateKey == nil && c.ListenPort == nil && c.FwMark == nil && !c.ReplacePeers &&
		c.RekeyAfterTime == nil && c.RekeyAfterPackets == nil && len(c.Peers) == 0
}

// syncValue returns what to set a value to that is current now, nil if nothing.
// A value that isn't wanted is reset to zero.
func syncValue[T comparable](current T, want *T) *T {
	if want == nil {
		want = new(T)
	}
	if *want == current {
		return nil
	}
	return want
}

// syncPrivate is syncValue for a private key, which interfaces keep clamped.
func syncPrivate(current, want *key.Private) *key.Private {
	if want == nil {
		want = new(key.Private)
	}
	clamped := want.Clone()
	defer clamped.Erase()
	clamped.Clamp()
	if clamped.Equal(current) {
		return nil
	}
	return want
}

// A plan is what the peers are to be in the end, found by letting the wanted
// sections act one after another on what is there now: a public key may stand
// in several, and a prefix belongs to the peer that was given it last.
type plan struct {
	peers []*planned // in the order of the sections
	byKey map[key.Public]*planned
	owner map[netip.Prefix]*planned
}

type planned struct {
	uapi.PeerConfig
	before   *uapi.Peer     // nil if there is no such peer yet
	prefixes []netip.Prefix // in order; those that another owns count no more, and some stand twice
}

func newPlan(current []uapi.Peer, sections []uapi.PeerConfig) *plan {
	p := &plan{byKey: make(map[key.Public]*planned), owner: make(map[netip.Prefix]*planned)}
	for i := range sections {
		k := sections[i].PublicKey
		if p.byKey[k] == nil {
			p.byKey[k] = &planned{PeerConfig: uapi.PeerConfig{PublicKey: k}}
			p.peers = append(p.peers, p.byKey[k])
		}
	}
	for i := range current {
		if w := p.byKey[current[i].PublicKey]; w != nil {
			w.before = &current[i]
			for _, prefix := range current[i].AllowedIPs {
				p.give(prefix, w)
			}
		}
	}
	for i := range sections {
		p.apply(p.byKey[sections[i].PublicKey], &sections[i])
	}
	return p
}

func (p *plan) give(prefix netip.Prefix, w *planned) {
	p.owner[prefix] = w
	w.prefixes = append(w.prefixes, prefix)
}

func (p *plan) take(prefix netip.Prefix, w *planned) {
	if p.owner[prefix] == w {
		delete(p.owner, prefix)
	}
}

func (p *plan) apply(w *planned, s *uapi.PeerConfig) {
	if s.Preshared != nil {
		w.Preshared = s.Preshared
	}
	if s.Keepalive != nil {
		w.Keepalive = s.Keepalive
	}
	if s.Endpoint.IsValid() {
		w.Endpoint = s.Endpoint
	}
	if s.ReplaceAllowedIPs {
		for _, prefix := range w.prefixes {
			p.take(prefix, w)
		}
		w.prefixes = nil
	}
	for _, a := range s.AllowedIPs {
		if a.Remove {
			p.take(a.Prefix, w)
		} else {
			p.give(a.Prefix, w)
		}
	}
}

// change returns what makes of the peer that is there the peer that is planned,
// all but its prefixes, and whether that is anything.
func (w *planned) change() (c uapi.PeerConfig, needed bool) {
	before := w.before
	if before == nil {
		before, needed = new(uapi.Peer), true
	}
	c = uapi.PeerConfig{PublicKey: w.PublicKey, Keepalive: syncValue(before.Keepalive, w.Keepalive)}
	if w.Preshared == nil {
		w.Preshared = new(key.Preshared)
	}
	if !w.Preshared.Equal(&before.Preshared) {
		c.Preshared = w.Preshared
	}
	if w.Endpoint.IsValid() && !SameEndpoint(w.Endpoint, before.Endpoint) {
		c.Endpoint = w.Endpoint
	}
	return c, needed || c.Keepalive != nil || c.Preshared != nil || c.Endpoint.IsValid()
}

// prefixChanges adds to c the prefixes that the peer gains. If it also loses
// some, and no other peer gains those, it returns what takes them away, for
// when all peers have gained theirs: a new list instead of the old, which is
// what every implementation understands.
func (w *planned) prefixChanges(owner map[netip.Prefix]*planned, c *uapi.PeerConfig) (loss uapi.PeerConfig, has bool) {
	had := make(map[netip.Prefix]bool)
	if w.before != nil {
		for _, prefix := range w.before.AllowedIPs {
			had[prefix] = true
			has = has || owner[prefix] == nil
		}
	}
	loss = uapi.PeerConfig{PublicKey: w.PublicKey, ReplaceAllowedIPs: true}
	listed := make(map[netip.Prefix]bool)
	for _, prefix := range w.prefixes {
		if owner[prefix] != w || listed[prefix] {
			continue
		}
		listed[prefix] = true
		loss.AllowedIPs = append(loss.AllowedIPs, uapi.AllowedIP{Prefix: prefix})
		if !had[prefix] {
			c.AllowedIPs = append(c.AllowedIPs, uapi.AllowedIP{Prefix: prefix})
		}
	}
	return loss, has
}

// SameEndpoint compares endpoints, of which one may name its zone and the other
// number it.
func SameEndpoint(a, b netip.AddrPort) bool {
	if a == b {
		return true
	}
	return a.Port() == b.Port() && a.Addr().WithZone("") == b.Addr().WithZone("") &&
		ZoneName(a.Addr()) == ZoneName(b.Addr())
}

// ZoneName is an address's zone by its name, where a link has the number that it is.
func ZoneName(a netip.Addr) string {
	if index, err := strconv.Atoi(a.Zone()); err == nil {
		if i, err := net.InterfaceByIndex(index); err == nil {
			return i.Name
		}
	}
	return a.Zone()
}
