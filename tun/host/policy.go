package host

import (
	"fmt"
	"math"
	"net/netip"
	"slices"

	"vpn/conf"
	"vpn/tun/host/firewall"
)

// firstTable is the first of the tables, and marks, that are chosen for a tunnel
// without one.
const firstTable = 51820

// mark chooses the mark of the tunnel's messages. A default route in a table of
// its own has the table of that number, so it has to be empty.
func (m *maker) mark() error {
	m.plan.Mark = m.c.Interface.FwMark.Value
	if m.plan.Mark != 0 || !m.isFull() && !m.c.Interface.KillSwitch.Value {
		return nil
	}
	m.auto = true
	if had := m.prev; had == nil || had.Up() != nil && had.Up().Auto {
		if m.plan.Mark = m.o.Mark; m.plan.Mark != 0 {
			return nil
		}
	}
	taken := make(map[uint32]bool)
	for _, r := range m.s.Routes {
		taken[r.Table] = true
	}
	for mark := range m.s.Marks {
		taken[mark] = true
	}
	for mark := uint32(firstTable); mark != 0; mark++ {
		if !taken[mark] {
			m.plan.Mark = mark
			return nil
		}
	}
	return fmt.Errorf("%s: no routing table is free", m.o.Link)
}

func (m *maker) isFull() bool { return m.full[0] || m.full[1] }

// claim makes sure that a tunnel that comes up beside this one chooses another
// table.
func (m *maker) claim() {
	if m.isFull() || m.auto {
		m.add(ClaimMark{m.o.Link, m.plan.Mark}, ReleaseMark{m.o.Link, m.plan.Mark})
	}
}

// tableName looks at the Table setting before all else.
func (m *maker) tableName() error {
	t := m.c.Interface.Table
	if t.Value.Kind != conf.TableName {
		return nil
	}
	if _, ok := m.s.TableNames[t.Value.Name]; !ok {
		return m.fail(t.Line, "Table", t.Value.Name, "no routing table of that name", "tables are named in /etc/iproute2/rt_tables")
	}
	return nil
}

// fullTunnel makes what a default route of a family needs. The rules stand before
// the route, so that there is no moment in which the tunnel's own messages, or what
// is sent to the neighbourhood, go into the tunnel.
func (m *maker) fullTunnel(isSix bool, throws []netip.Prefix) error {
	all := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	if isSix {
		all = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	} else if err := m.srcValidMark(); err != nil {
		return err
	}
	nft := firewall.FullTunnel{Link: m.o.Link, Six: isSix, Mark: m.plan.Mark, Addrs: []netip.Addr{}}
	for _, a := range m.addresses() {
		if a.Addr().Is6() == isSix {
			nft.Addrs = append(nft.Addrs, a.Addr())
		}
	}
	m.load(LoadTable{FullTunnel: &nft})
	rules, err := m.rules(isSix)
	if err != nil {
		return err
	}
	for _, r := range rules {
		m.add(AddRule{r}, DeleteRule{r})
	}
	table := m.plan.Mark
	for _, p := range throws {
		m.route(Route{Prefix: p, Type: Throw, Table: table})
	}
	m.route(Route{Prefix: all, Link: m.o.Link, Table: table})
	// What the default route would take stays in the host while the link is down.
	m.route(Route{Prefix: all, Type: Unreachable, Table: table, Metric: math.MaxUint32})
	return nil
}

func (m *maker) route(r Route) { m.add(AddRoute{r}, DeleteRoute{r}) }

// rules returns the policy rules of a family in the order in which they are added,
// each before the last. They are looked at the other way round: first main, but for
// its default routes; then the tunnel's table, but for the tunnel's own messages.
func (m *maker) rules(isSix bool) ([]Rule, error) {
	if had := m.rulesBefore(isSix); len(had) > 0 {
		return had, nil
	}
	mark := m.plan.Mark
	rules := []Rule{{Six: isSix, Not: true, Mark: mark, Table: mark, For: mark}}
	for _, other := range m.otherTunnels(isSix) {
		// Else the two tunnels would send each other's messages round and round.
		rules = append(rules, Rule{Six: isSix, Mark: other, Table: MainTable, For: mark})
	}
	rules = append(rules, Rule{Six: isSix, Table: MainTable, NoDefault: true, For: mark})
	// Before the second of all rules is where the kernel puts one that is added
	// without a priority; the first is that of the local table.
	const mainPriority = 32766
	before, seen := uint32(mainPriority), 0
	for _, r := range m.s.Rules {
		if r.Six != isSix {
			continue
		}
		if seen++; seen == 2 {
			before = r.Priority
		}
	}
	if int(before) <= len(rules) {
		return nil, fmt.Errorf("%s: no room for %d policy rules before the one of priority %d", m.o.Link, len(rules), before)
	}
	for i := range rules {
		rules[i].Priority = before - uint32(i) - 1
	}
	return rules, nil
}

// rulesBefore returns the rules that a link that is up has for this mark.
func (m *maker) rulesBefore(isSix bool) (had []Rule) {
	if m.prev == nil {
		return nil
	}
	for _, e := range m.prev.Entries() {
		if a, ok := e.Do.(AddRule); ok && a.Six == isSix && a.For == m.plan.Mark {
			had = append(had, a.Rule)
		}
	}
	return had
}

// otherTunnels returns the marks of other full tunnels, ours and wg-quick's, and
// the one that this tunnel has and is about to change.
func (m *maker) otherTunnels(isSix bool) (marks []uint32) {
	for _, r := range m.s.Rules {
		if r.Six == isSix && r.Not && !r.Other && r.Mark != 0 && r.Table == r.Mark && r.Mark != m.plan.Mark && !slices.Contains(marks, r.Mark) {
			marks = append(marks, r.Mark)
		}
	}
	return marks
}

// The variables of the whole host that a tunnel may want.
const (
	srcValidMark       = "net.ipv4.conf.all.src_valid_mark"
	sendRedirectsOfAll = "net.ipv4.conf.all.send_redirects"
	forwarding4        = "net.ipv4.ip_forward"
	forwarding6        = "net.ipv6.conf.all.forwarding"
)

// srcValidMark lets a strict reverse path filter look at marks too.
func (m *maker) srcValidMark() error {
	if m.s.Sysctls[srcValidMark] == "1" || !m.s.SysctlsReadOnly {
		m.hold(srcValidMark, "1")
		return nil
	}
	const hint = "set it where the host is made: docker run --sysctl " + srcValidMark + "=1"
	if m.s.StrictFilter {
		return m.fail(m.defaultLine(), "AllowedIPs", "0.0.0.0/0", "needs "+srcValidMark+"=1, which is read-only here, because the reverse path filter is strict", hint)
	}
	m.warn(m.defaultLine(), "AllowedIPs", "0.0.0.0/0", srcValidMark+" is read-only and stays 0: with a strict reverse path filter no reply would come through")
	return nil
}

func (m *maker) defaultLine() int {
	for _, t := range m.targets {
		if t.prefix.Bits() == 0 && t.prefix.Addr().Is4() {
			return t.line
		}
	}
	return 0
}
