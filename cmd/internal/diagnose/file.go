package diagnose

import (
	"net/netip"

	"vpn/cmd/internal/configfile"
	"vpn/noise/key"
)

// givenTwice finds prefixes that a config file gives to two peers, of which the later one has them. A file that can't be read says nothing:
// it could be read when the link came up.
func givenTwice(path string) (all []Twice) {
	c := configfile.Peek(path)
	if c == nil {
		return nil
	}
	type place struct {
		peer key.Public
		line int
	}
	last := make(map[netip.Prefix]place)
	for i := range c.Peers {
		p := &c.Peers[i]
		if p.Incremental {
			continue // what it comes to depends on what was there
		}
		for _, a := range p.AllowedIPs {
			now := place{p.PublicKey.Value, a.Line}
			if before, twice := last[a.Prefix]; twice && before.peer != now.peer {
				all = append(all, Twice{a.Prefix, before.peer, now.peer, [2]int{before.line, now.line}})
			}
			last[a.Prefix] = now
		}
	}
	return all
}
