package lookup

import (
	"net"
	"net/netip"
	"slices"
)

// order puts the addresses that have a route first, and both families in turn,
// IPv6 first where the host has a global address for it. The route is the one of
// the tunnel's messages, not of what goes into the tunnel: so the standard
// library's own order (RFC 6724) would be wrong.
func (r *Resolver) order(addrs []netip.Addr) []netip.Addr {
	var v4, v6, last []netip.Addr
	seen := map[netip.Addr]bool{}
	for _, a := range addrs {
		if seen[a] {
			continue
		}
		seen[a] = true
		source, ok := r.source(a)
		switch {
		case !ok || !matches(source, a):
			last = append(last, a)
		case a.Is4():
			v4 = append(v4, a)
		default:
			v6 = append(v6, a)
		}
	}
	var all []netip.Addr
	for len(v6) > 0 || len(v4) > 0 {
		for _, family := range []*[]netip.Addr{&v6, &v4} {
			if len(*family) > 0 {
				all = append(all, (*family)[0])
				*family = (*family)[1:]
			}
		}
	}
	all = append(all, last...)
	return slices.Clip(all[:min(len(all), maxAddrs)])
}

// matches says whether answers to source come back: a private IPv6 address, or
// one of a link, reaches only its like.
func matches(source, destination netip.Addr) bool {
	return destination.Is4() || destination.IsPrivate() || destination.IsLinkLocalUnicast() || destination.IsLoopback() ||
		!source.IsPrivate() && !source.IsLinkLocalUnicast() && !source.IsLoopback()
}

// source returns the address that messages to a leave from, false if they don't:
// a UDP socket that is connected has looked its route up and sent nothing.
func (r *Resolver) source(a netip.Addr) (netip.Addr, bool) {
	d := net.Dialer{Control: r.control()}
	const discard = 9
	conn, err := d.Dial("udp", netip.AddrPortFrom(a, discard).String())
	if err != nil {
		return netip.Addr{}, false
	}
	defer func() { _ = conn.Close() }()
	local, err := netip.ParseAddrPort(conn.LocalAddr().String())
	return local.Addr(), err == nil
}
