package host

import (
	"net/netip"

	"vpn/conf"
	"vpn/tun/host/dns"
)

// State is what a plan looks at of a host: a snapshot of its network namespace.
type State struct {
	Links     []Link
	Addresses []netip.Prefix // of the link that was asked for
	Routes    []FoundRoute   // of all tables but the kernel's local one
	Rules     []FoundRule    // of both families, in the order in which they are looked at
	IPv6      bool           // a new link can have IPv6 addresses
	LinkIPv6  bool           // the link that was asked for can
	Paths     map[netip.Addr]int
	Default   int // the least MTU of the default routes; 0: there is none

	Sysctls         map[string]string // those that a plan may want, as far as they are there
	SysctlsReadOnly bool
	StrictFilter    bool            // a link has a strict reverse path filter
	Held            map[string]bool // variables that our tunnels hold
	Marks           map[uint32]string
	TableNames      map[string]uint32 // of rt_tables
	Damaged         map[string]bool   // tables of the firewall (as nft names them) that are not as we loaded them
	KillSwitch      bool              // the link's is loaded
	KillSwitches    []string          // other links whose is loaded
	Sessions        []Session
	Resolver        dns.Kind
	ServersLost     bool // the link's are no longer in the file that has them

	placed map[placed]bool // Routes; made when it is first asked for
}

// Link is an interface of the host.
type Link struct {
	Name  string
	Index int
	Kind  string // as ip knows it, such as tun; empty for a real one
	MTU   int
	Up    bool // administratively
}

// FoundRoute is a route that is there.
type FoundRoute struct {
	Route
	Protocol uint8
	Via      netip.Addr // its first gateway; invalid: none
	// Message is how the kernel tells of a route through the link that was asked
	// for, which somebody else has made; nil of all others.
	Message []byte
}

// FoundRule is a policy rule that is there. Its For is never known.
type FoundRule struct {
	Rule
	Protocol uint8
	Other    bool // it selects by more than a mark, or does something else than look up
	From, To netip.Prefix
	In, Out  string // links
	Message  []byte // how the kernel tells of it
}

// Session is somebody's SSH session with this host.
type Session struct {
	Peer netip.Addr
	Link string // that packets to the peer leave by; empty if that isn't known
}

// Query says what a [State] is read for.
type Query struct {
	Link    string
	Toward  []netip.Addr // where the tunnel's messages will go, as far as is known
	Mark    uint32       // that they carry now
	Journal *Journal     // whose firewall tables are compared; may be nil

	SSH Whose // sessions are looked for; see [WhoseSSH]
	// Sessions are the other ends of those that somebody else has found: a confined
	// process sees none.
	Sessions []netip.Addr
}

// Whose is a choice of SSH sessions with this host.
type Whose int

// To find everybody's, all processes are looked at, which takes longer than all else
// that is read.
const (
	Nobodys Whose = iota
	Ours          // that of this very process
	Everybodys
)

// WhoseSSH says whose SSH sessions the plan for a config asks about: a default route
// may cut ours, and a kill switch any.
func WhoseSSH(c *conf.Config) Whose {
	if c.Interface.KillSwitch.Value {
		return Everybodys
	}
	for i := range c.Peers {
		for _, a := range c.Peers[i].AllowedIPs {
			if a.Prefix.Bits() == 0 {
				return Ours
			}
		}
	}
	return Nobodys
}

// link returns the link of that name.
func (s *State) link(name string) (Link, bool) {
	for _, l := range s.Links {
		if l.Name == name {
			return l, true
		}
	}
	return Link{}, false
}
