package host

import (
	"fmt"
	"strings"

	"vpn/conf"
)

// Up plans what brings a link up as the config wants it, on a host that has no
// such link yet. It is pure. An error of the config is a [conf.Error].
func Up(c *conf.Config, s *State, o Options) (*Plan, error) {
	if l, there := s.link(o.Link); there {
		kind := l.Kind
		if kind != "" {
			kind = ", of kind " + kind
		}
		return nil, fmt.Errorf("%s: there is a link of that name already%s", o.Link, kind)
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

// AutomaticMark says whether the plan's mark is one that the file does not give.
func AutomaticMark(c *conf.Config, p *Plan) bool {
	return p.Mark != 0 && c.Interface.FwMark.Value != p.Mark
}

// checkSessions refuses a kill switch that would cut somebody's SSH session. One
// that is loaded already cuts nothing more.
func (m *maker) checkSessions() error {
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
