package host

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"vpn/conf"
)

// Up plans what brings a link up as the config wants it, on a host that has no
// such link yet. It is pure. An error of the config is a [conf.Error].
func Up(c *conf.Config, s *State, o Options) (*Plan, error) {
	if o.Link == "all" || o.Link == "default" {
		return nil, &conf.Error{File: o.File, Message: fmt.Sprintf("the kernel keeps the name %s for itself", o.Link), Hint: "give the file another name"}
	}
	if l, there := s.link(o.Link); there {
		return nil, &takenError{o.Link, l.Kind}
	}
	m := maker{c: c, s: s, o: o, ipv6: s.IPv6}
	if err := m.prepare(); err != nil {
		return nil, err
	}
	if err := m.all(); err != nil {
		return nil, err
	}
	return &m.plan, nil
}

// Hooks returns the hooks of a kind with %i expanded.
func Hooks(kind HookKind, hooks []conf.Setting[string], link string) []Hook {
	var all []Hook
	for _, h := range hooks {
		all = append(all, Hook{kind, strings.ReplaceAll(h.Value, "%i", link), h.Line})
	}
	return all
}

// takenError is a link that somebody else has made under the name of ours.
type takenError struct{ name, kind string }

func (e *takenError) Error() string {
	kind := ""
	if e.kind != "" {
		kind = ", of kind " + e.kind
	}
	return fmt.Sprintf("%s: there is a link of that name already%s", e.name, kind)
}

// Hint says who has it, as far as its kind tells, and what helps.
func (e *takenError) Hint() string {
	switch e.kind {
	case "wireguard":
		return fmt.Sprintf("it is the kernel's WireGuard: \"wg-quick down %s\" ends it if wg-quick has made it, else \"ip link delete %s\" does", e.name, e.name)
	case "tun":
		return fmt.Sprintf("another program runs it, or has left it there: \"vpn show %s\" tells whether one answers, and \"ip link delete %s\" removes it", e.name, e.name)
	case "":
		return "it is one of the host's own links: give the file another name"
	}
	return fmt.Sprintf("\"ip link delete %s\" removes it; or give the file another name", e.name)
}

// AutomaticMark says whether the plan's mark is one that the file does not give.
func AutomaticMark(c *conf.Config, p *Plan) bool {
	return p.Mark != 0 && c.Interface.FwMark.Value != p.Mark
}

// checkKillSwitches refuses a kill switch beside another link's: each would hold
// back what goes through the other's tunnel, and the other's own messages.
func (m *maker) checkKillSwitches() error {
	i := &m.c.Interface
	if !i.KillSwitch.Value || m.s.KillSwitch || len(m.s.KillSwitches) == 0 {
		return nil
	}
	other := m.s.KillSwitches[0]
	return m.fail(i.KillSwitch.Line, "KillSwitch", "on", fmt.Sprintf("%s has one that is loaded, and each would cut the other's tunnel", other),
		fmt.Sprintf("\"vpn down %s\" lifts that one; two tunnels at once can have none", other))
}

// warnOfSessions tells of SSH sessions whose packets would go into the tunnel when
// it comes up.
func (m *maker) warnOfSessions() {
	if m.prev != nil || m.c.Interface.KillSwitch.Value {
		return
	}
	for _, session := range m.s.Sessions {
		peer := session.Peer.Unmap().WithZone("")
		for _, t := range m.targets {
			if t.prefix.Bits() != 0 || t.prefix.Addr().Is4() != peer.Is4() || !m.full[six(peer.Is6())] ||
				peer.IsLoopback() || session.Link == m.o.Link || m.staysOutside(peer, t) {
				continue
			}
			m.warn(t.line, "AllowedIPs", t.prefix.String(), fmt.Sprintf("takes the SSH session with %v into the tunnel, which cuts it: ExcludedIPs = %v keeps it outside", peer, peer))
		}
	}
}

// staysOutside says whether packets to an address don't take the default route of
// t.
func (m *maker) staysOutside(a netip.Addr, t target) bool {
	for _, list := range [][]conf.Setting[netip.Prefix]{m.c.Interface.ExcludedIPs, t.excluded} {
		for _, e := range list {
			if e.Value.Masked().Contains(a) {
				return true
			}
		}
	}
	return slices.ContainsFunc(m.s.Routes, func(r FoundRoute) bool {
		return r.Table == MainTable && r.Prefix.Bits() > 0 && r.Prefix.Contains(a)
	})
}

// checkSessions refuses a kill switch that would cut somebody's SSH session. One
// that is loaded already cuts nothing more.
func (m *maker) checkSessions() error {
	m.warnOfSessions()
	i := &m.c.Interface
	if !i.KillSwitch.Value || m.s.KillSwitch || m.o.Force {
		return nil
	}
sessions:
	for _, session := range m.s.Sessions {
		if session.Peer.IsLoopback() || session.Link == m.o.Link {
			continue
		}
		for _, a := range i.KillSwitchAllow {
			if a.Value.Masked().Contains(session.Peer.WithZone("")) {
				continue sessions
			}
		}
		return m.fail(i.KillSwitch.Line, "KillSwitch", "on", fmt.Sprintf("would cut the SSH session with %v", session.Peer),
			"let it pass with KillSwitchAllow, or use --force")
	}
	return nil
}
