// Package firewall makes the nft tables that stand beside a tunnel: what keeps a
// full tunnel's addresses and routing sound, the kill switch, and masquerading.
//
// Each is a plain value, which can be kept as JSON, says the nft command that a
// person would have typed for it, and is loaded over netlink in one transaction:
// no nft program is needed. A table is found again by its name alone, so that it
// can be taken away by who knows nothing but that.
//
// All work happens in the network namespace of the calling thread. Functions may
// be called concurrently.
package firewall

import (
	"net/netip"
	"strings"
)

// Table names an nft table.
type Table struct {
	Family string `json:"family"` // ip, ip6 or inet
	Name   string `json:"name"`
}

// String returns the table as nft names it, such as "ip wg-quick-wg0".
func (t Table) String() string { return t.Family + " " + t.Name }

// KillSwitchOf returns the link whose kill switch the table is, if it is one.
func (t Table) KillSwitchOf() (link string, is bool) {
	return strings.CutPrefix(t.Name, killSwitchPrefix)
}

// Delete takes the table away. It is no error if there is none.
func (t Table) Delete() error { return Delete(t) }

// DeleteCommand returns the nft command that does what [Table.Delete] does.
func (t Table) DeleteCommand() string { return "nft delete table " + t.String() }

// Ruleset is a table with what belongs into it.
type Ruleset interface {
	// Table returns the name it has.
	Table() Table
	// Load makes the table, or puts it in the place of the one that has its name,
	// in one transaction: there is no moment with neither or half of it.
	Load() error
	// Intact says whether the table is there just as Load makes it.
	Intact() (bool, error)
	// String returns the nft command that does what Load does; of several lines.
	String() string
}

// The prefixes of our tables' names; that of a full tunnel is wg-quick's.
const (
	fullTunnelPrefix = "wg-quick-"
	killSwitchPrefix = "vpn-killswitch-"
	masqueradePrefix = "vpn-masquerade-"
)

// FullTunnel is what a route of /0 needs in one family, with the effect of
// wg-quick's table: packets to our addresses that come in by another link are
// dropped unless they are our own, and replies to our marked messages carry the
// mark again, so that a reverse path filter looks for their way where theirs is.
type FullTunnel struct {
	Link  string       `json:"link"`
	Six   bool         `json:"six,omitempty"` // for IPv6, else for IPv4
	Addrs []netip.Addr `json:"addrs"`         // of the link; those of the other family are left out
	Mark  uint32       `json:"mark"`          // of the tunnel's messages
}

// KillSwitch lets nothing leave the host, of its own or forwarded, but over
// loopback, by the tunnel, as the tunnel's marked message (endpoint lookups carry
// the mark too), for DHCP, for neighbour discovery, and to the allowed prefixes.
// The link need not exist yet.
type KillSwitch struct {
	Link  string         `json:"link"`
	Mark  uint32         `json:"mark"` // of the tunnel's messages; 0: there are none yet
	Allow []netip.Prefix `json:"allow,omitempty"`
}

// Masquerade gives what comes in by the tunnel and leaves by another link the
// address of that link. It needs Linux 5.7, and forwarding switched on.
type Masquerade struct {
	Link string `json:"link"`
	Out  string `json:"out"`
}

var _ = []Ruleset{FullTunnel{}, KillSwitch{}, Masquerade{}}

// Tables returns the names that the tables of a link can have.
func Tables(link string) []Table {
	return []Table{
		FullTunnel{Link: link}.Table(),
		FullTunnel{Link: link, Six: true}.Table(),
		KillSwitch{Link: link}.Table(),
		Masquerade{Link: link}.Table(),
	}
}

// LinkOf returns the link that a table of ours is for.
func LinkOf(t Table) (link string, ok bool) {
	for _, prefix := range []string{fullTunnelPrefix, killSwitchPrefix, masqueradePrefix} {
		if link, ok = strings.CutPrefix(t.Name, prefix); ok {
			return link, true
		}
	}
	return "", false
}

// Table implements [Ruleset].
func (f FullTunnel) Table() Table {
	if f.Six {
		return Table{"ip6", fullTunnelPrefix + f.Link}
	}
	return Table{"ip", fullTunnelPrefix + f.Link}
}

// Table implements [Ruleset].
func (k KillSwitch) Table() Table { return Table{"inet", killSwitchPrefix + k.Link} }

// Table implements [Ruleset].
func (m Masquerade) Table() Table { return Table{"inet", masqueradePrefix + m.Link} }

// Load implements [Ruleset].
func (f FullTunnel) Load() error { return load(f.Table(), f.chains()) }

// Load implements [Ruleset].
func (k KillSwitch) Load() error { return load(k.Table(), k.chains()) }

// Load implements [Ruleset].
func (m Masquerade) Load() error { return load(m.Table(), m.chains()) }

// Intact implements [Ruleset].
func (f FullTunnel) Intact() (bool, error) { return intact(f.Table(), f.chains()) }

// Intact implements [Ruleset].
func (k KillSwitch) Intact() (bool, error) { return intact(k.Table(), k.chains()) }

// Intact implements [Ruleset].
func (m Masquerade) Intact() (bool, error) { return intact(m.Table(), m.chains()) }

func (f FullTunnel) String() string { return command(f.Table(), f.chains()) }

func (k KillSwitch) String() string { return command(k.Table(), k.chains()) }

func (m Masquerade) String() string { return command(m.Table(), m.chains()) }

func (f FullTunnel) chains() []chain {
	preraw := chain{name: "preraw", kind: "filter", hook: "prerouting", priority: -300}
	for _, a := range f.Addrs {
		if a = a.Unmap(); a.Is6() == f.Six {
			preraw.add(link{in: true, not: true, name: f.Link}, to(a), notFromUs{}, drop)
		}
	}
	premangle := chain{name: "premangle", kind: "filter", hook: "prerouting", priority: -150}
	premangle.add(protocol(udp), restoreMark{})
	postmangle := chain{name: "postmangle", kind: "filter", hook: "postrouting", priority: -150}
	postmangle.add(protocol(udp), mark(f.Mark), saveMark{})
	return []chain{preraw, premangle, postmangle}
}

// Neighbour discovery that a host sends (RFC 4861), and the listener reports
// without which a switch does not pass on what is sent to its groups (RFC 2710, 3810).
var neighbourDiscovery = []icmp6{routerSolicit, routerAdvert, neighbourSolicit, neighbourAdvert, listenerReport, listenerDone, listenerReport2}

// linkLocal is where DHCPv6 speaks from.
var linkLocal = netip.MustParsePrefix("fe80::/10")

func (k KillSwitch) chains() []chain {
	output := chain{name: "output", kind: "filter", hook: "output", policyDrop: true}
	output.add(link{name: "lo"}, accept)
	output.add(link{name: k.Link}, accept)
	if k.Mark != 0 {
		output.add(mark(k.Mark), accept)
	}
	// A client and a server, which also renew by unicast.
	output.add(nfproto4, ports{68, 67}, accept)
	output.add(nfproto4, ports{67, 68}, accept)
	output.add(address{source: true, prefix: linkLocal}, ports{546, 547}, accept)
	output.add(address{source: true, prefix: linkLocal}, ports{547, 546}, accept)
	for _, kind := range neighbourDiscovery {
		output.add(kind, accept)
	}
	forward := chain{name: "forward", kind: "filter", hook: "forward", policyDrop: true}
	forward.add(link{name: k.Link}, accept)
	forward.add(link{in: true, name: k.Link}, accept)
	for _, prefix := range k.Allow {
		output.add(address{prefix: prefix}, accept)
		forward.add(address{prefix: prefix}, accept)
	}
	return []chain{output, forward}
}

func (m Masquerade) chains() []chain {
	c := chain{name: "postrouting", kind: "nat", hook: "postrouting", priority: 100}
	c.add(link{in: true, name: m.Link}, link{name: m.Out}, masquerade)
	return []chain{c}
}
