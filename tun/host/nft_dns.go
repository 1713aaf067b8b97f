package host

import (
	"vpn/tun/host/dns"
	"vpn/tun/host/firewall"
)

// LoadTable loads a table of the firewall, of which one is given. What had its
// name before is replaced.
type LoadTable struct {
	FullTunnel *firewall.FullTunnel `json:"full_tunnel,omitempty"`
	KillSwitch *firewall.KillSwitch `json:"kill_switch,omitempty"`
	Masquerade *firewall.Masquerade `json:"masquerade,omitempty"`
}

// ruleset returns the one that is given; nil: a journal has none that is known.
func (a LoadTable) ruleset() firewall.Ruleset {
	switch {
	case a.FullTunnel != nil:
		return *a.FullTunnel
	case a.KillSwitch != nil:
		return *a.KillSwitch
	case a.Masquerade != nil:
		return *a.Masquerade
	}
	return nil
}

func (a LoadTable) String() string {
	if r := a.ruleset(); r != nil {
		return r.String()
	}
	return ""
}

// DeleteTable takes a table of the firewall away.
type DeleteTable struct {
	Table firewall.Table `json:"table"`
}

func (a DeleteTable) String() string { return a.Table.DeleteCommand() }

// SetDNS makes the host ask the tunnel's name servers.
type SetDNS struct {
	Way      dns.Kind     `json:"way"`
	Settings dns.Settings `json:"settings"`
}

func (a SetDNS) String() string { return a.Settings.Command(a.Way) }

// UnsetDNS takes the tunnel's name servers away.
type UnsetDNS struct {
	Way  dns.Kind `json:"way"`
	Link string   `json:"link"`
}

func (a UnsetDNS) String() string { return dns.UndoCommand(a.Way, a.Link) }

// Note is no action: it tells the user of something that was found while others
// were done.
type Note string

func (n Note) String() string { return string(n) }
