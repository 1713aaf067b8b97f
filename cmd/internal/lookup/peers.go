package lookup

import (
	"net/netip"
	"strings"

	"vpn/conf"
	"vpn/noise/key"
)

const (
	// MaxCandidates is the most addresses that a peer is given.
	MaxCandidates = 8
	// maxAddrs is the most addresses that are kept of one name.
	maxAddrs = 8
)

// Peer is a peer and where its configuration says it can be reached: its
// Endpoint first, then the further candidates.
type Peer struct {
	Key       key.Public
	Endpoints []conf.Endpoint
}

// Peers returns the peers of a file that have endpoints. Of a peer that stands
// in several sections the last Endpoint counts, as with wg, and all candidates.
func Peers(c *conf.Config) []Peer {
	type parts struct {
		endpoint   []conf.Endpoint
		candidates []conf.Endpoint
	}
	of := map[key.Public]*parts{}
	var order []key.Public
	for i := range c.Peers {
		p := &c.Peers[i]
		if !p.Endpoint.Given && len(p.Candidates) == 0 {
			continue
		}
		id := p.PublicKey.Value
		if of[id] == nil {
			of[id] = &parts{}
			order = append(order, id)
		}
		if p.Endpoint.Given {
			of[id].endpoint = []conf.Endpoint{p.Endpoint.Value}
		}
		for _, candidate := range p.Candidates {
			of[id].candidates = append(of[id].candidates, candidate.Value)
		}
	}
	peers := make([]Peer, 0, len(order))
	for _, id := range order {
		peers = append(peers, Peer{Key: id, Endpoints: append(of[id].endpoint, of[id].candidates...)})
	}
	return peers
}

// hostKey is what names that mean the same have in common.
func hostKey(host string) string {
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// candidates puts together what is known of a peer's endpoints, which addrs
// tells for those that are names: the first address of each, then the second of
// each, and so on, none twice and no more than MaxCandidates.
func candidates(endpoints []conf.Endpoint, addrs func(host string) []netip.Addr) []netip.AddrPort {
	lists := make([][]netip.AddrPort, len(endpoints))
	longest := 0
	for i, e := range endpoints {
		if addr, ok := e.Addr(); ok {
			lists[i] = []netip.AddrPort{addr}
		} else {
			for _, a := range addrs(hostKey(e.Host)) {
				lists[i] = append(lists[i], netip.AddrPortFrom(a, e.Port))
			}
		}
		longest = max(longest, len(lists[i]))
	}
	var all []netip.AddrPort
	seen := map[netip.AddrPort]bool{}
	for n := range longest {
		for _, list := range lists {
			if n < len(list) && !seen[list[n]] && len(all) < MaxCandidates {
				seen[list[n]] = true
				all = append(all, list[n])
			}
		}
	}
	return all
}
