// Package conf reads and writes WireGuard configuration files: those of
// wg-quick, with our own settings in comments of the form `#vpn: Name = laptop`,
// so that `wg`, wg-quick and the phone apps still read the file.
//
// A file is first taken apart into lines that keep their text (scan), and the
// lines are then given their meaning ([Parse]). Nothing is resolved, opened or
// applied here: host names, tables by name and key files stay as they are
// written, each with its line, so that whoever uses them can say where an
// unusable one stands.
package conf

import (
	"net/netip"
	"time"

	"vpn/noise/key"
)

// Dialect says which settings a file may have.
type Dialect uint8

const (
	WGQuick Dialect = iota // all of them
	WG                     // what `wg setconf` takes: none of wg-quick's own
)

// Config is the content of a file.
type Config struct {
	Interface Interface
	Peers     []Peer // in the file's order; a public key may stand in several, applied in order
}

// Setting is a value that a file may give, and where it gave it.
type Setting[T any] struct {
	Value T
	Given bool
	Line  int // counted from 1; 0 if it didn't come from a file
}

// Given makes a Setting that came from no file.
func Given[T any](v T) Setting[T] { return Setting[T]{Value: v, Given: true} }

// Interface is the [Interface] section.
type Interface struct {
	Line int // of its header; 0 if the file has none

	PrivateKey     Setting[key.Private]
	PrivateKeyFile Setting[string]         // a path, or credential:NAME; directive
	ListenPort     Setting[uint16]         // 0: random
	FwMark         Setting[uint32]         // 0: off
	Addresses      []Setting[netip.Prefix] // not masked: the address is the interface's own
	DNS            []Setting[netip.Addr]
	DNSSearch      []Setting[string]
	MTU            Setting[int]
	Table          Setting[Table]
	SaveConfig     Setting[bool]
	PreUp          []Setting[string] // commands for bash, %i not yet expanded
	PostUp         []Setting[string]
	PreDown        []Setting[string]
	PostDown       []Setting[string]

	RekeyAfterTime    Setting[time.Duration] // whole seconds; directive, as are all below
	RekeyAfterPackets Setting[uint64]
	KillSwitch        Setting[bool]
	KillSwitchAllow   []Setting[netip.Prefix]
	Masquerade        Setting[string]   // the link that packets leave by; empty: off
	DNSRoute          []Setting[string] // domains
	Heal              Setting[bool]
	ExcludedIPs       []Setting[netip.Prefix]
	PublicEndpoint    Setting[Endpoint] // where peers reach this machine; for their files
}

// TableKind tells the forms of a Table setting apart.
type TableKind uint8

const (
	TableAuto   TableKind = iota // routes go where they work best
	TableOff                     // no routes
	TableNumber                  // into the table of this number
	TableName                    // into the table that /etc/iproute2/rt_tables calls so
)

// Table says into which routing table routes go.
type Table struct {
	Kind   TableKind
	Number uint32
	Name   string
}

// Peer is a [Peer] section.
type Peer struct {
	Line int // of its header

	PublicKey        Setting[key.Public] // always given
	Preshared        Setting[key.Preshared]
	PresharedKeyFile Setting[string] // a path, or credential:NAME; directive
	Keepalive        Setting[uint16] // seconds; 0: off
	Endpoint         Setting[Endpoint]
	Candidates       []Setting[Endpoint]     // further endpoints; directive
	Name             Setting[string]         // directive, or friendly_name
	ExcludedIPs      []Setting[netip.Prefix] // directive
	Expires          Setting[time.Time]      // from then on the peer is left out; UTC, whole seconds; directive

	AllowedIPs []AllowedIP
	// Incremental: AllowedIPs change what the peer has (`+` and `-`) instead
	// of replacing it. As with `wg`, the last AllowedIPs line decides.
	Incremental bool
}

// AllowedIP is one prefix of an AllowedIPs setting.
type AllowedIP struct {
	Prefix netip.Prefix // masked
	Remove bool         // written with `-`
	Line   int
}

// Endpoint is where a peer may be reached. The host is not resolved.
type Endpoint struct {
	Host string // a name or an address, without brackets, with its zone if it has one
	Port uint16
}

// Addr is the endpoint as an address, if its host is one.
func (e Endpoint) Addr() (netip.AddrPort, bool) {
	a, err := netip.ParseAddr(e.Host)
	if err != nil {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(a, e.Port), true
}
