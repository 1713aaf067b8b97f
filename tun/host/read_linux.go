package host

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"vpn/tun/host/dns"
)

// Read takes down the state of the calling thread's network namespace.
func Read(ctx context.Context, q Query) (*State, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("read the host's state: %w", err)
	}
	defer h.Close()
	r := reader{nl: h, q: q, s: &State{Sysctls: map[string]string{}}}
	for _, part := range []func() error{r.links, r.addresses, r.routes, r.rules, r.paths, r.sysctls, r.shared, r.firewall, r.tableNames, r.sessions} {
		if err := part(); err != nil {
			return nil, fmt.Errorf("read the host's state: %w", err)
		}
	}
	if r.s.Resolver, err = dns.Detect(ctx); err != nil {
		return nil, fmt.Errorf("read the host's state: %w", err)
	}
	return r.s, nil
}

type reader struct {
	nl     *netlink.Handle
	q      Query
	s      *State
	byName map[int]netlink.Link // by index, in spite of its name
}

func (r *reader) links() error {
	return retry(func() error {
		list, err := r.nl.LinkList()
		r.s.Links, r.byName = nil, map[int]netlink.Link{}
		for _, l := range list {
			a := l.Attrs()
			kind := l.Type()
			if kind == "device" {
				kind = ""
			}
			if kind == "tuntap" {
				kind = "tun"
			}
			r.s.Links = append(r.s.Links, Link{Name: a.Name, Index: a.Index, Kind: kind, MTU: a.MTU, Up: a.RawFlags&unix.IFF_UP != 0})
			r.byName[a.Index] = l
		}
		return err
	})
}

func (r *reader) addresses() error {
	l, there := r.s.link(r.q.Link)
	if !there {
		return nil
	}
	x := executor{nl: r.nl}
	var err error
	r.s.Addresses, err = x.addresses(l.Index)
	return err
}

func (r *reader) routes() error {
	routes, err := readRoutes(func(index int) (netlink.Link, error) {
		if l, ok := r.byName[index]; ok {
			return l, nil
		}
		return nil, netlink.LinkNotFoundError{}
	})
	if err != nil {
		return err
	}
	r.s.Routes = make([]FoundRoute, 0, len(routes))
	for _, route := range routes {
		r.s.Routes = append(r.s.Routes, route.FoundRoute)
		if route.Prefix.Bits() == 0 && route.Table == MainTable && route.Link != "" && route.Link != r.q.Link {
			mtu := route.mtu
			if l, ok := r.s.link(route.Link); ok && mtu == 0 {
				mtu = l.MTU
			}
			if r.s.Default == 0 || mtu < r.s.Default {
				r.s.Default = mtu
			}
		}
	}
	return nil
}

// dumped is a route as the kernel tells of it.
type dumped struct {
	FoundRoute
	mtu int // 0: the link's
}

// readRoutes reads the routes of all tables but the local one. There may be a
// million: what isn't looked at is not decoded.
func readRoutes(link func(index int) (netlink.Link, error)) (all []dumped, err error) {
	names := map[int]string{}
	name := func(index int) string {
		if n, ok := names[index]; ok || index == 0 {
			return n
		}
		if l, err := link(index); err == nil {
			names[index] = l.Attrs().Name
		}
		return names[index]
	}
	err = retry(func() error {
		all = all[:0]
		for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
			request := nl.NewNetlinkRequest(unix.RTM_GETROUTE, unix.NLM_F_DUMP)
			message := nl.NewRtMsg()
			message.Family, message.Protocol, message.Scope, message.Type = family, 0, 0, 0
			request.AddData(message)
			err := request.ExecuteIter(unix.NETLINK_ROUTE, unix.RTM_NEWROUTE, func(m []byte) bool {
				if d, ok := parseRoute(m, name); ok {
					all = append(all, d)
				}
				return true
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return all, err
}

// typeNames are the types of route that stand in a table, as ip calls them.
var typeNames = map[uint8]RouteType{
	unix.RTN_UNICAST: Unicast, unix.RTN_THROW: Throw, unix.RTN_UNREACHABLE: Unreachable,
	unix.RTN_BLACKHOLE: "blackhole", unix.RTN_PROHIBIT: "prohibit", unix.RTN_LOCAL: "local", unix.RTN_BROADCAST: "broadcast",
	unix.RTN_MULTICAST: "multicast", unix.RTN_ANYCAST: "anycast", unix.RTN_NAT: "nat",
}

// parseRoute reads a struct rtmsg and its attributes. Routes that were made from
// others, and those that ask for a type of service, are no one's competition.
func parseRoute(m []byte, name func(index int) string) (d dumped, ok bool) {
	if len(m) < unix.SizeofRtMsg || m[3] != 0 || binary.NativeEndian.Uint32(m[8:])&unix.RTM_F_CLONED != 0 {
		return d, false
	}
	address := netip.IPv4Unspecified()
	if m[0] == unix.AF_INET6 {
		address = netip.IPv6Unspecified()
	} else if m[0] != unix.AF_INET {
		return d, false
	}
	bits := int(m[1])
	d.Table, d.Protocol, d.Type = uint32(m[4]), m[5], typeNames[m[7]]
	for kind, value := range attributes(m[unix.SizeofRtMsg:]) {
		switch {
		case kind == unix.RTA_DST:
			address, _ = netip.AddrFromSlice(value)
		case len(value) >= 4 && kind == unix.RTA_TABLE:
			d.Table = binary.NativeEndian.Uint32(value)
		case len(value) >= 4 && kind == unix.RTA_OIF:
			d.Link = name(int(binary.NativeEndian.Uint32(value)))
		case len(value) >= 4 && kind == unix.RTA_PRIORITY:
			d.Metric = binary.NativeEndian.Uint32(value)
		case kind == unix.RTA_MULTIPATH && len(value) >= unix.SizeofRtNexthop: // the first will do
			d.Link = name(int(binary.NativeEndian.Uint32(value[4:])))
		case kind == unix.RTA_METRICS:
			for kind, value := range attributes(value) {
				if kind == unix.RTAX_MTU && len(value) >= 4 {
					d.mtu = int(binary.NativeEndian.Uint32(value))
				}
			}
		}
	}
	if d.Type != Unicast {
		d.Link = "" // the kernel says lo for IPv6
	}
	d.Prefix = netip.PrefixFrom(address, bits)
	return d, d.Table != LocalTable
}

// attributes yields netlink attributes, up to the first whose length is wrong.
func attributes(b []byte) func(yield func(kind uint16, value []byte) bool) {
	const typeMask = 1<<14 - 1 // without the flags
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= unix.SizeofRtAttr {
			n := int(binary.NativeEndian.Uint16(b))
			if n < unix.SizeofRtAttr || n > len(b) || !yield(binary.NativeEndian.Uint16(b[2:])&typeMask, b[unix.SizeofRtAttr:n]) {
				return
			}
			b = b[min(len(b), (n+3)&^3):]
		}
	}
}

func (r *reader) rules() error {
	return retry(func() error {
		list, err := r.nl.RuleList(netlink.FAMILY_ALL)
		r.s.Rules = r.s.Rules[:0]
		for _, rule := range list {
			r.s.Rules = append(r.s.Rules, foundRule(rule))
		}
		return err
	})
}

func foundRule(rule netlink.Rule) FoundRule {
	f := FoundRule{Protocol: rule.Protocol}
	f.Six = rule.Family == netlink.FAMILY_V6
	f.Priority = uint32(max(rule.Priority, 0)) // the kernel leaves a priority of 0 out
	f.Not, f.Mark, f.Table, f.NoDefault = rule.Invert, rule.Mark, uint32(rule.Table), rule.SuppressPrefixlen == 0
	f.Other = rule.Src != nil || rule.Dst != nil || rule.IifName != "" || rule.OifName != "" || rule.Goto > 0 || rule.Tos != 0 ||
		rule.IPProto != 0 || rule.Sport != nil || rule.Dport != nil || rule.UIDRange != nil || rule.TunID != 0 || rule.SuppressPrefixlen > 0 ||
		rule.SuppressIfgroup >= 0 || rule.Mask != nil && rule.Mark != 0 && *rule.Mask != 1<<32-1 || rule.Type != unix.RTN_UNICAST
	return f
}

// paths asks for the MTU on the way to each endpoint: of the route, as far as it
// or what came back says one, else of the link.
func (r *reader) paths() error {
	r.s.Paths = map[netip.Addr]int{}
	for _, a := range r.q.Toward {
		routes, err := netlink.RouteGetWithOptions(a.AsSlice(), &netlink.RouteGetOptions{Mark: r.q.Mark})
		if err != nil || len(routes) == 0 {
			continue // there is no way to it now
		}
		mtu := routes[0].MTU
		if l, ok := r.byName[routes[0].LinkIndex]; ok && mtu == 0 {
			mtu = l.Attrs().MTU
		}
		if l, ok := r.byName[routes[0].LinkIndex]; ok && l.Attrs().Name == r.q.Link {
			continue // into the tunnel itself
		}
		if mtu != 0 {
			r.s.Paths[a] = mtu
		}
	}
	return nil
}

func (r *reader) sysctls() error {
	keys := []string{srcValidMark, sendRedirectsOfAll, forwarding4, forwarding6}
	for _, l := range r.s.Links {
		keys = append(keys, sysctlOf("ipv6", l.Name, "accept_ra"))
		if filter, err := readSysctl(sysctlOf("ipv4", l.Name, "rp_filter")); err == nil && filter == "1" {
			r.s.StrictFilter = true
		}
	}
	for _, which := range []string{"all", "default"} {
		if filter, err := readSysctl(sysctlOf("ipv4", which, "rp_filter")); err == nil && filter == "1" {
			r.s.StrictFilter = true
		}
	}
	for _, key := range keys {
		if value, err := readSysctl(key); err == nil {
			r.s.Sysctls[key] = value
		}
	}
	r.s.SysctlsReadOnly = errors.Is(unix.Access(sysctlPath(srcValidMark), unix.W_OK), unix.EROFS)
	has := func(which string) bool {
		off, err := readSysctl(sysctlOf("ipv6", which, "disable_ipv6"))
		return err == nil && off == "0"
	}
	r.s.IPv6, r.s.LinkIPv6 = has("default"), has(r.q.Link)
	return nil
}

func (r *reader) shared() error {
	s, err := openShared()
	if err != nil {
		return err
	}
	h, err := s.read()
	if err != nil {
		return err
	}
	r.s.Held, r.s.Marks = map[string]bool{}, map[uint32]string{}
	for key, held := range h.Sysctls {
		r.s.Held[key] = len(held.By) > 0
	}
	for mark, link := range h.Marks {
		if link != r.q.Link {
			r.s.Marks[mark] = link
		}
	}
	return nil
}

// tableNames reads the files in which iproute2 names tables; what is in /etc
// goes before what came with it.
func (r *reader) tableNames() error {
	r.s.TableNames = map[string]uint32{"default": 253, "main": MainTable, "local": LocalTable}
	for _, path := range tableFiles() {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if number, name, ok := tableLine(line); ok {
				r.s.TableNames[name] = number
			}
		}
	}
	return nil
}
