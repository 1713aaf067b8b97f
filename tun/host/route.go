package host

import (
	"fmt"
	"net/netip"
	"strings"
)

// RouteType is what becomes of a packet.
type RouteType string

// The types that we make.
const (
	Unicast     RouteType = ""
	Throw       RouteType = "throw"       // looked up by the next rule
	Unreachable RouteType = "unreachable" // refused
)

// The tables that the kernel makes.
const (
	MainTable  = 254
	LocalTable = 255
)

// Route is a route that we make.
type Route struct {
	Prefix netip.Prefix `json:"prefix"` // masked
	Type   RouteType    `json:"type,omitempty"`
	Link   string       `json:"link,omitempty"`   // of a Unicast one
	Table  uint32       `json:"table"`            // never 0
	Metric uint32       `json:"metric,omitempty"` // 0: the family's own
}

func (r Route) command(verb string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "ip %s route %s ", family(r.Prefix.Addr()), verb)
	if r.Type != Unicast {
		b.WriteString(string(r.Type) + " ")
	}
	if r.Type == Unreachable && r.Prefix.Bits() == 0 {
		b.WriteString("default")
	} else {
		b.WriteString(r.Prefix.String())
	}
	if r.Link != "" {
		b.WriteString(" dev " + r.Link)
	}
	if r.Metric != 0 {
		fmt.Fprintf(&b, " metric %d", r.Metric)
	}
	if r.Table != MainTable {
		fmt.Fprintf(&b, " table %d", r.Table)
	}
	return b.String()
}

// AddRoute adds a route.
type AddRoute struct{ Route }

func (a AddRoute) String() string { return a.command("add") }

// DeleteRoute deletes a route.
type DeleteRoute struct{ Route }

func (a DeleteRoute) String() string { return a.command("delete") }

// Rule is a policy rule that we make.
type Rule struct {
	Six      bool   `json:"six,omitempty"` // for IPv6, else for IPv4
	Priority uint32 `json:"priority"`
	Not      bool   `json:"not,omitempty"` // packets without the mark, else with it
	Mark     uint32 `json:"mark,omitempty"`
	Table    uint32 `json:"table"`
	// NoDefault leaves the table's routes of /0 out.
	NoDefault bool `json:"nodefault,omitempty"`
	// For is the mark of the tunnel that needs the rule.
	For uint32 `json:"for"`
}

// command leaves the priority out of an addition: rules are added one before the
// other, and the kernel would choose the same.
func (r Rule) command(verb string) string {
	var b strings.Builder
	b.WriteString("ip -4 rule ")
	if r.Six {
		b.Reset()
		b.WriteString("ip -6 rule ")
	}
	b.WriteString(verb)
	if verb != "add" {
		fmt.Fprintf(&b, " priority %d", r.Priority)
	}
	if r.Not {
		b.WriteString(" not")
	}
	if r.Mark != 0 {
		fmt.Fprintf(&b, " fwmark %d", r.Mark)
	}
	if r.Table == MainTable {
		b.WriteString(" table main")
	} else {
		fmt.Fprintf(&b, " table %d", r.Table)
	}
	if r.NoDefault {
		b.WriteString(" suppress_prefixlength 0")
	}
	return b.String()
}

// AddRule adds a policy rule.
type AddRule struct{ Rule }

func (a AddRule) String() string { return a.command("add") }

// DeleteRule deletes a policy rule.
type DeleteRule struct{ Rule }

func (a DeleteRule) String() string { return a.command("delete") }
