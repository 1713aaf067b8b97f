package host

import (
	"fmt"
	"net/netip"
	"slices"

	"vpn/conf"
	"vpn/tun/host/firewall"
)

// place is where the kernel has one route at most: a second one is refused.
type place struct {
	prefix netip.Prefix
	table  uint32
	metric uint32
}

// placeOf returns a route's place, with the metric that the kernel gives it.
func placeOf(r Route) place {
	const metricOfIPv6 = 1024
	if r.Metric == 0 && r.Prefix.Addr().Is6() {
		r.Metric = metricOfIPv6
	}
	return place{r.Prefix, r.Table, r.Metric}
}

// routes makes the routes to what the peers have, the most specific first.
func (m *maker) routes() error {
	setting := m.c.Interface.Table.Value
	table := uint32(MainTable)
	switch setting.Kind {
	case conf.TableOff:
		return nil
	case conf.TableNumber:
		if setting.Number != 0 {
			table = setting.Number
		}
	case conf.TableName:
		table = m.s.TableNames[setting.Name]
	}
	taken := m.taken()
	added := make(map[netip.Prefix]bool)
	var throws [2][]netip.Prefix
	for _, t := range m.targets {
		isSix := six(t.prefix.Addr().Is6())
		exclusions := t.exclusions(m.c)
		if t.prefix.Bits() == 0 && m.full[isSix] {
			r := Route{Prefix: t.prefix, Link: m.o.Link, Table: m.plan.Mark}
			if err := m.checkFree(taken, r, t.line); err != nil {
				return err
			}
			throws[isSix] = exclusions
			continue
		}
		for _, p := range subtract(t.prefix, exclusions) {
			r := Route{Prefix: p, Link: m.o.Link, Table: table}
			if added[p] || table == MainTable && m.isConnected(p) {
				continue
			}
			if err := m.checkFree(taken, r, t.line); err != nil {
				return err
			}
			added[p] = true
			m.route(r)
		}
	}
	for isSix, full := range m.full {
		if full {
			slices.SortFunc(throws[isSix], bySize)
			if err := m.fullTunnel(isSix == 1, throws[isSix]); err != nil {
				return err
			}
		}
	}
	return nil
}

// taken returns the routes of others by their place.
func (m *maker) taken() map[place]FoundRoute {
	taken := make(map[place]FoundRoute, len(m.s.Routes))
	for _, r := range m.s.Routes {
		if r.Link != m.o.Link {
			taken[placeOf(r.Route)] = r
		}
	}
	return taken
}

func (m *maker) checkFree(taken map[place]FoundRoute, r Route, line int) error {
	other, is := taken[placeOf(r)]
	if !is {
		return nil
	}
	whose := other.Link
	if whose == "" {
		whose = "a route of type " + string(other.Type)
	}
	return m.fail(line, "AllowedIPs", r.Prefix.String(), fmt.Sprintf("%s has it already, in table %s with the same metric", whose, tableName(r.Table)),
		"remove one of the two, or keep it out of this tunnel with ExcludedIPs")
}

func tableName(table uint32) string {
	if table == MainTable {
		return "main"
	}
	return fmt.Sprint(table)
}

// isConnected says whether the kernel makes a route for one of the link's
// addresses that covers the prefix.
func (m *maker) isConnected(p netip.Prefix) bool {
	for _, a := range m.addresses() {
		hasRoute := a.Addr().Is6() || a.Bits() < a.Addr().BitLen()
		if hasRoute && covers(a.Masked(), p) {
			return true
		}
	}
	return false
}

// masquerade lets what comes out of the tunnel leave by another link, with that
// one's address.
func (m *maker) masquerade() error {
	out := m.c.Interface.Masquerade
	if out.Value == "" {
		return nil
	}
	if _, there := m.s.link(out.Value); !there {
		m.warn(out.Line, "Masquerade", out.Value, "there is no such link now")
	}
	for _, f := range []struct {
		six bool
		key string
	}{{false, forwarding4}, {true, forwarding6}} {
		if !m.speaks(f.six) {
			continue
		}
		if m.s.SysctlsReadOnly && m.s.Sysctls[f.key] == "0" {
			return m.fail(out.Line, "Masquerade", out.Value, "needs "+f.key+"=1, which is read-only here", "set it where the host is made: docker run --sysctl "+f.key+"=1")
		}
		if advertised := sysctlOf("ipv6", out.Value, "accept_ra"); f.six && m.s.Sysctls[advertised] == "1" && m.s.Sysctls[f.key] == "0" || f.six && m.s.Held[advertised] {
			m.hold(advertised, "2") // a router takes no router's advice unless told to
		}
		m.hold(f.key, "1")
	}
	m.load(LoadTable{Masquerade: &firewall.Masquerade{Link: m.o.Link, Out: out.Value}})
	return nil
}

// speaks says whether the tunnel has addresses or peers of a family.
func (m *maker) speaks(isSix bool) bool {
	for _, t := range m.targets {
		if t.prefix.Addr().Is6() == isSix {
			return true
		}
	}
	return slices.ContainsFunc(m.addresses(), func(a netip.Prefix) bool { return a.Addr().Is6() == isSix })
}
