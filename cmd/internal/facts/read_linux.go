package facts

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"vpn/conf/lint"
)

// dumpAttempts bounds how often a list is asked for that changes meanwhile.
const dumpAttempts = 10

// Read returns what there is besides the link of that name, and the MTU of the
// paths to those addresses.
func Read(link string, toward []netip.Addr) (*lint.Host, error) {
	h := &lint.Host{Link: link, PathMTU: map[netip.Addr]int{}}
	var err error
	if h.Links, err = links(link); err != nil {
		return nil, fmt.Errorf("list the links: %w", err)
	}
	names := map[int]lint.Link{}
	for _, l := range h.Links {
		if i, err := net.InterfaceByName(l.Name); err == nil {
			names[i.Index] = l
		}
	}
	var routes []netlink.Route
	for range dumpAttempts {
		routes, err = netlink.RouteListFiltered(unix.AF_UNSPEC, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("list the routes: %w", err)
	}
	for i := range routes {
		h.Routes = append(h.Routes, routeOf(&routes[i], names)...)
	}
	for _, a := range toward {
		found, err := netlink.RouteGet(a.AsSlice())
		if err != nil || len(found) == 0 {
			continue // there is no way to it now
		}
		l, other := names[found[0].LinkIndex]
		switch {
		case !other: // into the tunnel itself
		case found[0].MTU != 0:
			h.PathMTU[a] = found[0].MTU
		default:
			h.PathMTU[a] = l.MTU
		}
	}
	return h, nil
}

// routeOf returns a route as often as it leaves by another link; not one for
// multicast or for link-local addresses, which every link has.
func routeOf(r *netlink.Route, names map[int]lint.Link) (all []lint.Route) {
	if r.Type != unix.RTN_UNICAST || r.Dst == nil {
		return nil
	}
	a, ok := netip.AddrFromSlice(r.Dst.IP)
	if !ok {
		return nil
	}
	ones, _ := r.Dst.Mask.Size()
	p := netip.PrefixFrom(a.Unmap(), ones)
	if a.IsMulticast() || a.IsLinkLocalUnicast() {
		return nil
	}
	indexes := []int{r.LinkIndex}
	for _, hop := range r.MultiPath {
		indexes = append(indexes, hop.LinkIndex)
	}
	for _, i := range indexes {
		if l, there := names[i]; there {
			all = append(all, lint.Route{Prefix: p, Link: l.Name, Metric: r.Priority})
		}
	}
	return all
}
