package host

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"vpn/conf"
	"vpn/tun/host/dns"
	"vpn/tun/host/firewall"
)

// maker makes the steps that bring a host to what a config wants. It changes
// neither config nor state.
type maker struct {
	c    *conf.Config
	s    *State
	o    Options
	ipv6 bool     // the link can have it
	prev *Journal // of the link that is up; nil: it isn't

	targets []target // AllowedIPs, as they end
	full    [2]bool  // by family (see six): it has a default route in a table of its own
	auto    bool     // the mark is not the file's
	plan    Plan
}

// six makes an index of a family.
func six(is bool) int {
	if is {
		return 1
	}
	return 0
}

// prepare finds out what is decided before the first step.
func (m *maker) prepare() error {
	if err := m.tableName(); err != nil {
		return err
	}
	m.mtu()
	m.targets = outcome(m.c)
	if !m.ipv6 {
		m.dropIPv6()
	}
	if m.c.Interface.Table.Value.Kind == conf.TableAuto {
		for _, t := range m.targets {
			if t.prefix.Bits() == 0 && !t.isExcluded(m.c) {
				m.full[six(t.prefix.Addr().Is6())] = true
			}
		}
	}
	if err := m.mark(); err != nil {
		return err
	}
	if err := m.checkKillSwitches(); err != nil {
		return err
	}
	return m.checkSessions()
}

// mtu chooses the MTU, which leaves room for the headers of IPv6, UDP and data
// messages.
func (m *maker) mtu() {
	const headers, ethernet, leastForIPv6 = 80, 1500, 1280
	mtu := 0
	for _, path := range m.s.Paths {
		if mtu == 0 || path < mtu {
			mtu = path
		}
	}
	switch given := m.c.Interface.MTU; {
	case given.Given:
		m.plan.MTU = given.Value
	case mtu != 0:
		m.plan.MTU = mtu - headers
	case m.s.Default != 0:
		m.plan.MTU = m.s.Default - headers
	default:
		m.plan.MTU = ethernet - headers
	}
	if m.plan.MTU < leastForIPv6 && m.ipv6 {
		m.ipv6 = false
		m.warnOfIPv6(fmt.Sprintf("the MTU is %d, less than the 1280 that IPv6 needs: IPv6 addresses and routes are left out", m.plan.MTU))
	} else if !m.ipv6 {
		m.warnOfIPv6("IPv6 is off on this host: IPv6 addresses and routes are left out")
	}
}

// warnOfIPv6 warns of the first line that wants IPv6, if there is one.
func (m *maker) warnOfIPv6(message string) {
	for _, a := range m.c.Interface.Addresses {
		if a.Value.Addr().Is6() {
			m.warn(a.Line, "Address", a.Value.String(), message)
			return
		}
	}
	for i := range m.c.Peers {
		for _, a := range m.c.Peers[i].AllowedIPs {
			if a.Prefix.Addr().Is6() && !a.Remove && m.c.Interface.Table.Value.Kind != conf.TableOff {
				m.warn(a.Line, "AllowedIPs", a.Prefix.String(), message)
				return
			}
		}
	}
}

func (m *maker) warn(line int, key, value, message string) {
	w := conf.Warning{File: m.o.File, Line: line, Key: key, Value: value, Message: message}
	m.plan.Warnings = append(m.plan.Warnings, w.String())
}

func (m *maker) fail(line int, key, value, message, hint string) error {
	return &conf.Error{File: m.o.File, Line: line, Key: key, Value: value, Message: message, Hint: hint}
}

func (m *maker) dropIPv6() {
	var kept []target
	for _, t := range m.targets {
		if t.prefix.Addr().Is4() {
			kept = append(kept, t)
		}
	}
	m.targets = kept
}

// addresses returns those that the link gets, each once.
func (m *maker) addresses() []netip.Prefix {
	var all []netip.Prefix
	seen := map[netip.Prefix]bool{}
	for _, a := range m.c.Interface.Addresses {
		if (m.ipv6 || a.Value.Addr().Is4()) && !seen[a.Value] {
			seen[a.Value] = true
			all = append(all, a.Value)
		}
	}
	return all
}

// add appends a step.
func (m *maker) add(do, undo Action) {
	m.plan.Steps = append(m.plan.Steps, Step{Do: do, Undo: undo})
}

// all makes all steps of a link that isn't there yet.
func (m *maker) all() error {
	name := m.o.Link
	i := &m.c.Interface
	m.claim()
	m.add(OpenLink{name}, DeleteLink{name})
	m.noRedirects()
	m.killSwitch()
	m.hooks(PreUp, i.PreUp)
	m.add(Configure{name, m.o.File}, nil)
	if m.auto {
		m.add(SetMark{name, m.plan.Mark}, nil)
	}
	for _, a := range m.addresses() {
		m.add(AddAddress{name, a}, DeleteAddress{name, a})
	}
	m.add(SetLink{name, m.plan.MTU, true}, nil)
	if err := m.dns(); err != nil {
		return err
	}
	if err := m.routes(); err != nil {
		return err
	}
	if err := m.masquerade(); err != nil {
		return err
	}
	m.hooks(PostUp, i.PostUp)
	return nil
}

func (m *maker) hooks(kind HookKind, hooks []conf.Setting[string]) {
	for _, h := range Hooks(kind, hooks, m.o.Link) {
		m.add(h, nil)
	}
}

// noRedirects keeps the host from sending ICMP redirects for what a peer sends to
// another. The kernel asks both variables, and sends them if either is set.
func (m *maker) noRedirects() {
	if m.s.SysctlsReadOnly {
		return
	}
	m.hold(sendRedirectsOfAll, "0")
	m.add(Sysctl{sysctlOf("ipv4", m.o.Link, "send_redirects"), "0"}, nil)
}

// hold sets a variable of the whole host's, unless somebody else has.
func (m *maker) hold(key, value string) {
	is, there := m.s.Sysctls[key]
	if !there || is == value && !m.s.Held[key] {
		return
	}
	m.add(HoldSysctl{m.o.Link, key, value, is}, ReleaseSysctl{m.o.Link, key})
}

func (m *maker) killSwitch() {
	i := &m.c.Interface
	if !i.KillSwitch.Value {
		return
	}
	k := firewall.KillSwitch{Link: m.o.Link, Mark: m.plan.Mark}
	for _, a := range i.KillSwitchAllow {
		k.Allow = append(k.Allow, a.Value)
	}
	for _, e := range i.ExcludedIPs {
		if !slices.ContainsFunc(k.Allow, func(a netip.Prefix) bool { return covers(a.Masked(), e.Value.Masked()) }) {
			m.warn(e.Line, "ExcludedIPs", e.Value.String(), "is kept out of the tunnel, and the kill switch lets it nowhere else: name it in KillSwitchAllow too")
		}
	}
	m.load(LoadTable{KillSwitch: &k})
}

func (m *maker) load(a LoadTable) { m.add(a, DeleteTable{a.ruleset().Table()}) }

func (m *maker) dns() error {
	i := &m.c.Interface
	if len(i.DNS) == 0 {
		if len(i.DNSSearch) > 0 {
			m.warn(i.DNSSearch[0].Line, "DNS", i.DNSSearch[0].Value, "a search domain without any server's address has no effect")
		}
		return nil
	}
	d := dns.Settings{Link: m.o.Link}
	for _, a := range i.DNS {
		d.Servers = append(d.Servers, a.Value)
	}
	for _, a := range i.DNSSearch {
		d.Search = append(d.Search, a.Value)
	}
	for _, a := range i.DNSRoute {
		d.Routes = append(d.Routes, a.Value)
	}
	if err := d.Check(m.s.Resolver); err != nil {
		if errors.Is(err, dns.ErrSplit) {
			return m.fail(i.DNSRoute[0].Line, "DNSRoute", i.DNSRoute[0].Value, err.Error(), "take it out to have all names asked for through the tunnel, or have systemd-resolved manage /etc/resolv.conf")
		}
		return m.fail(i.DNS[0].Line, "DNS", "", err.Error(), "")
	}
	m.add(SetDNS{m.s.Resolver, d}, UnsetDNS{m.s.Resolver, m.o.Link})
	return nil
}
