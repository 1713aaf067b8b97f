package lint

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"vpn/conf"
)

func (l *linter) noAllowedIPs() {
	for i := range l.c.Peers {
		if p := &l.c.Peers[i]; len(p.AllowedIPs) == 0 {
			l.warn(p.Line, "[Peer]", "", "has no AllowedIPs: nothing is sent to it, and nothing is taken from it", "add AllowedIPs with its addresses inside the tunnel")
		}
	}
}

func (l *linter) ownAddress() {
	for _, a := range l.c.Interface.Addresses {
		own := netip.PrefixFrom(a.Value.Addr(), a.Value.Addr().BitLen())
		for i := range l.c.Peers {
			for _, p := range l.c.Peers[i].AllowedIPs {
				if p.Prefix == own && !p.Remove {
					l.warn(p.Line, "AllowedIPs", own.String(), fmt.Sprintf("is the address of the interface itself, in line %d", a.Line), "give the peer the addresses that it has inside the tunnel")
				}
			}
		}
	}
}

func (l *linter) nameTwice() {
	first := map[string]int{}
	for i := range l.c.Peers {
		p := &l.c.Peers[i]
		if !p.Name.Given {
			continue
		}
		if n, is := first[p.Name.Value]; is && l.c.Peers[n].PublicKey.Value != p.PublicKey.Value {
			l.warn(p.Name.Line, "Name", "", fmt.Sprintf("the peer of line %d has the same name", l.c.Peers[n].Line), "names tell peers apart: give each its own")
			continue
		}
		first[p.Name.Value] = i
	}
}

func (l *linter) expired() {
	for i := range l.c.Peers {
		if p := &l.c.Peers[i]; p.Expired(l.now) {
			l.warn(p.Expires.Line, "Expires", p.Expires.Value.Format(time.RFC3339), "is over: the peer is left out, but not by wg and wg-quick, to which this is a comment",
				"remove the peer, or give it another time")
		}
	}
}

// owned is a prefix of a peer's.
type owned struct {
	conf.AllowedIP
	peer *conf.Peer
}

// owner returns the longest prefix that an address is in.
func (l *linter) owner(a netip.Addr) (best owned, ok bool) {
	for i := range l.c.Peers {
		for _, p := range l.c.Peers[i].AllowedIPs {
			if !p.Remove && p.Prefix.Contains(a) && (!ok || p.Prefix.Bits() > best.Prefix.Bits()) {
				best, ok = owned{p, &l.c.Peers[i]}, true
			}
		}
	}
	return best, ok
}

// excluded says whether an address of a peer's prefix is kept out of the tunnel.
func (l *linter) excluded(o owned, a netip.Addr) bool {
	return slices.ContainsFunc(slices.Concat(l.c.Interface.ExcludedIPs, o.peer.ExcludedIPs), func(e conf.Setting[netip.Prefix]) bool {
		return e.Value.Contains(a)
	})
}

// endpoint is where a peer may be, by its address.
type endpoint struct {
	addr netip.Addr
	at   conf.Setting[conf.Endpoint]
}

// endpoints are those that are addresses.
func (l *linter) endpoints() (all []endpoint) {
	for _, e := range Endpoints(l.c) {
		addr, _ := e.Value.Addr()
		all = append(all, endpoint{addr.Addr().WithZone("").Unmap(), e})
	}
	return all
}

// Endpoints returns all endpoints of a file that are addresses: what a host's
// path MTUs are asked for.
func Endpoints(c *conf.Config) (all []conf.Setting[conf.Endpoint]) {
	for i := range c.Peers {
		p := &c.Peers[i]
		for _, e := range append([]conf.Setting[conf.Endpoint]{p.Endpoint}, p.Candidates...) {
			if _, literal := e.Value.Addr(); e.Given && literal {
				all = append(all, e)
			}
		}
	}
	return all
}

// endpointInside: messages of the tunnel that would be led into the tunnel.
func (l *linter) endpointInside() {
	if l.c.Interface.Table.Value.Kind != conf.TableAuto { // the user leads packets where they go
		return
	}
	for _, e := range l.endpoints() {
		best, ok := l.owner(e.addr)
		// Beside a /0 the tunnel's own messages have a mark, which keeps them out.
		if !ok || best.Prefix.Bits() == 0 || l.excluded(best, e.addr) || l.leadsElsewhere(e.addr, best.Prefix) {
			continue
		}
		hint := fmt.Sprintf("narrow the prefix, or keep the address out with `#vpn: ExcludedIPs = %v`", netip.PrefixFrom(e.addr, e.addr.BitLen()))
		if best.Prefix.Bits() == 1 {
			hint = "write 0.0.0.0/0 or ::/0 instead of its two halves: then the tunnel's own messages are kept out of it"
		}
		l.warn(e.at.Line, "Endpoint", e.at.Value.String(), fmt.Sprintf("is inside %v of line %d: the tunnel's own messages would be led into the tunnel", best.Prefix, best.Line), hint)
	}
}

// leadsElsewhere says whether the host has a route of its own for an address that
// goes before that of a prefix.
func (l *linter) leadsElsewhere(a netip.Addr, p netip.Prefix) bool {
	return l.host != nil && slices.ContainsFunc(l.host.Routes, func(r Route) bool { return r.Prefix.Contains(a) && r.Prefix.Bits() > p.Bits() })
}

// routeTaken: a prefix that the host reaches by another link already.
func (l *linter) routeTaken() {
	if l.host == nil || l.c.Interface.Table.Value.Kind != conf.TableAuto {
		return
	}
	for i := range l.c.Peers {
		for _, p := range l.c.Peers[i].AllowedIPs {
			for _, r := range l.host.Routes {
				if !p.Remove && p.Prefix.Bits() > 0 && r.Prefix == p.Prefix {
					l.warn(p.Line, "AllowedIPs", p.Prefix.String(), fmt.Sprintf("is reached by %s already", r.Link), "remove one of the two, or keep it out of this tunnel with ExcludedIPs")
				}
			}
		}
	}
}

// sixOutside: a tunnel that is meant for all traffic, and lets IPv6 go around it.
func (l *linter) sixOutside() {
	if l.host == nil || l.c.Interface.Table.Value.Kind == conf.TableOff || l.c.Interface.KillSwitch.Value {
		return
	}
	if _, has := l.host.Default(true); !has {
		return
	}
	line := 0
	for i := range l.c.Peers {
		for _, p := range l.c.Peers[i].AllowedIPs {
			switch {
			case p.Remove || p.Prefix.Bits() > 1:
			case p.Prefix.Addr().Is6():
				return
			case line == 0:
				line = p.Line
			}
		}
	}
	if line != 0 {
		l.warn(line, "AllowedIPs", "", "takes all of IPv4 into the tunnel, and none of IPv6: this host has IPv6, which goes around it", "add ::/0")
	}
}
