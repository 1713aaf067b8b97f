package host

import (
	"cmp"
	"net/netip"
	"slices"

	"vpn/conf"
)

// target is a prefix that a peer has in the end, and the line that gave it.
type target struct {
	prefix   netip.Prefix
	line     int
	excluded []conf.Setting[netip.Prefix] // the peer's ExcludedIPs
}

// outcome returns what the interface has when all peers of the config have been
// set in turn, the most specific first. Of two peers that give one prefix the later
// one has it, and a peer that is the interface itself has none, as with `wg`.
func outcome(c *conf.Config) []target {
	type claim struct {
		target
		peer string
	}
	own := ""
	if k := &c.Interface.PrivateKey; k.Given && !k.Value.IsZero() {
		own = k.Value.Public().String()
	}
	claims := make(map[netip.Prefix]claim)
	seen := make(map[string]bool, len(c.Peers))
	for i := range c.Peers {
		p := &c.Peers[i]
		id := p.PublicKey.Value.String()
		if id == own {
			continue
		}
		if seen[id] && !p.Incremental {
			for prefix, had := range claims {
				if had.peer == id {
					delete(claims, prefix)
				}
			}
		}
		seen[id] = true
		for _, a := range p.AllowedIPs {
			if !a.Remove {
				claims[a.Prefix] = claim{target{a.Prefix, a.Line, p.ExcludedIPs}, id}
			} else if claims[a.Prefix].peer == id {
				delete(claims, a.Prefix)
			}
		}
	}
	targets := make([]target, 0, len(claims))
	for _, had := range claims {
		targets = append(targets, had.target)
	}
	slices.SortFunc(targets, func(a, b target) int { return bySize(a.prefix, b.prefix) })
	return targets
}

// bySize orders prefixes from the most specific to the least.
func bySize(a, b netip.Prefix) int {
	return cmp.Or(cmp.Compare(b.Bits(), a.Bits()), a.Addr().Compare(b.Addr()))
}

// exclusions returns what stays out of the tunnel of what t has.
func (t target) exclusions(c *conf.Config) []netip.Prefix {
	var all []netip.Prefix
	for _, list := range [][]conf.Setting[netip.Prefix]{c.Interface.ExcludedIPs, t.excluded} {
		for _, e := range list {
			if p := e.Value.Masked(); p.Overlaps(t.prefix) && !slices.Contains(all, p) {
				all = append(all, p)
			}
		}
	}
	return all
}

// isExcluded says whether nothing of t is left.
func (t target) isExcluded(c *conf.Config) bool {
	return slices.ContainsFunc(t.exclusions(c), func(e netip.Prefix) bool { return covers(e, t.prefix) })
}

// covers says whether all of b is in a.
func covers(a, b netip.Prefix) bool { return a.Bits() <= b.Bits() && a.Contains(b.Addr()) }

// subtract returns the prefixes that together are all of p that is in none of
// the excluded ones, in order of address.
func subtract(p netip.Prefix, excluded []netip.Prefix) []netip.Prefix {
	var within []netip.Prefix
	for _, e := range excluded {
		switch {
		case covers(e, p):
			return nil
		case covers(p, e):
			within = append(within, e)
		}
	}
	if len(within) == 0 {
		return []netip.Prefix{p}
	}
	low, high := halves(p)
	return append(subtract(low, within), subtract(high, within)...)
}

// halves splits a prefix that is longer than one address.
func halves(p netip.Prefix) (low, high netip.Prefix) {
	bits := p.Bits() + 1
	a := p.Masked().Addr().AsSlice()
	low = netip.PrefixFrom(p.Masked().Addr(), bits)
	a[p.Bits()/8] |= 0x80 >> (p.Bits() % 8)
	other, _ := netip.AddrFromSlice(a) // as long as it was
	return low, netip.PrefixFrom(other, bits)
}
