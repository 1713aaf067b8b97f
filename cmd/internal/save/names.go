package save

import (
	"context"
	"net/netip"
	"path/filepath"
	"slices"
	"time"

	"vpn/cmd/internal/lookup"
	"vpn/cmd/internal/setting"
	"vpn/conf"
	"vpn/tun/host/dns"
)

// lookupLimit is how long a save waits for the names of endpoints, all together.
const lookupLimit = 10 * time.Second

// names knows where endpoints are.
type names struct {
	ctx    context.Context
	known  map[string][]netip.Addr // the addresses that worked, or were last heard of
	lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	asked  map[string][]netip.Addr // nil where there was no answer
}

// newNames makes names for an interface, whose mark lets questions go where its
// own messages go.
func newNames(ctx context.Context, name string, mark uint32) *names {
	servers := func(ctx context.Context) ([]netip.AddrPort, error) { return dns.Servers(ctx, name) }
	known, _ := lookup.Cached(filepath.Join("/var/lib/vpn", name, "addresses")) // without it they are asked for
	return &names{ctx: ctx, known: known, lookup: lookup.NewResolver(servers, mark).Lookup, asked: map[string][]netip.Addr{}}
}

// has says whether an endpoint is at an address, as far as can be known: a name
// that nobody can tell the addresses of has not moved.
func (n *names) has(e conf.Endpoint, at netip.AddrPort) bool {
	if addr, ok := e.Addr(); ok {
		return setting.SameEndpoint(unmapped(addr), unmapped(at))
	}
	if e.Port != at.Port() {
		return false
	}
	host, ip := lookup.Key(e.Host), at.Addr().Unmap()
	if slices.Contains(n.known[host], ip) {
		return true
	}
	addrs, asked := n.asked[host]
	if !asked {
		addrs, _ = n.lookup(n.ctx, e.Host)
		n.asked[host] = addrs
	}
	return addrs == nil || slices.Contains(addrs, ip)
}

func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
