package host

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// dump asks for all routes or rules of a family. Routes and rules have headers of
// one form. A kernel without the family, or without rules, has none.
func dump(ask, answer int, family uint8, each func(m []byte)) error {
	request := nl.NewNetlinkRequest(ask, unix.NLM_F_DUMP)
	request.AddData(&nl.RtMsg{RtMsg: unix.RtMsg{Family: family}})
	err := request.ExecuteIter(unix.NETLINK_ROUTE, uint16(answer), func(m []byte) bool {
		if len(m) > 0 && m[0] == family {
			each(m)
		}
		return true
	})
	return not(err, unix.EAFNOSUPPORT, unix.EOPNOTSUPP)
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
		if route.Link != r.q.Link {
			route.Message = nil
		}
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
			err := dump(unix.RTM_GETROUTE, unix.RTM_NEWROUTE, family, func(m []byte) {
				if d, ok := parseRoute(m, name); ok {
					all = append(all, d)
				}
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
	foreign := d.Type == Unicast && !slices.Contains([]uint8{unix.RTPROT_KERNEL, unix.RTPROT_RA, unix.RTPROT_REDIRECT, Protocol}, d.Protocol)
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
		case kind == unix.RTA_GATEWAY:
			d.Via, _ = netip.AddrFromSlice(value)
		case kind == nexthopID: // somebody else's object says where to
			foreign = false
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
	if foreign && d.Link != "" && d.Table != LocalTable {
		d.Message = restorable(m, unix.RTNH_F_ONLINK)
	}
	return d, d.Table != LocalTable
}

// nexthopID is RTA_NH_ID.
const nexthopID = 30

// restorable returns a message of the kernel's about a route or a rule as it can be
// sent back to make the same again: without flags that say how it fares.
func restorable(m []byte, kept uint32) []byte {
	const flags = 8 // where they are in both headers
	m = bytes.Clone(m)
	binary.NativeEndian.PutUint32(m[flags:], binary.NativeEndian.Uint32(m[flags:])&kept)
	return m
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

func (r *reader) rules() (err error) {
	r.s.Rules, err = readRules()
	return err
}

func readRules() (all []FoundRule, err error) {
	err = retry(func() error {
		all = all[:0]
		for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
			err := dump(unix.RTM_GETRULE, unix.RTM_NEWRULE, family, func(m []byte) {
				if rule, ok := parseRule(m); ok {
					all = append(all, rule)
				}
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return all, err
}

// parseRule reads a struct fib_rule_hdr and its attributes.
func parseRule(m []byte) (f FoundRule, ok bool) {
	const header, invert, findSource, none = 12, 2, 1 << 16, 1<<32 - 1
	if len(m) < header {
		return f, false
	}
	f.Six = m[0] == unix.AF_INET6
	f.Table = uint32(m[4])
	f.Not = binary.NativeEndian.Uint32(m[8:])&invert != 0
	f.Message = restorable(m, invert|findSource)
	prefix := func(value []byte, bits byte) netip.Prefix {
		f.Other = true
		a, _ := netip.AddrFromSlice(value)
		return netip.PrefixFrom(a, int(bits))
	}
	f.Other = m[1] != 0 || m[2] != 0 || m[3] != 0 || m[7] != unix.FR_ACT_TO_TBL
	for kind, value := range attributes(m[header:]) {
		number := uint32(0)
		if len(value) == 4 {
			number = binary.NativeEndian.Uint32(value)
		}
		switch kind {
		case unix.FRA_TABLE:
			f.Table = number
		case unix.FRA_PRIORITY:
			f.Priority = number
		case unix.FRA_FWMARK:
			f.Mark = number
		case unix.FRA_SUPPRESS_PREFIXLEN:
			f.NoDefault = number == 0
			f.Other = f.Other || number != 0 && number != none
		case unix.FRA_SUPPRESS_IFGROUP:
			f.Other = f.Other || number != none
		case unix.FRA_FWMASK:
			f.Other = f.Other || number != none && number != 0
		case unix.FRA_SRC:
			f.From = prefix(value, m[2])
		case unix.FRA_DST:
			f.To = prefix(value, m[1])
		case unix.FRA_IIFNAME:
			f.In, f.Other = unix.ByteSliceToString(value), true
		case unix.FRA_OIFNAME:
			f.Out, f.Other = unix.ByteSliceToString(value), true
		case unix.FRA_PROTOCOL:
			if len(value) > 0 {
				f.Protocol = value[0]
			}
		case unix.FRA_PAD:
		default:
			f.Other = true
		}
	}
	return f, true
}
