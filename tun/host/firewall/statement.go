package firewall

import (
	"fmt"
	"net/netip"
	"strings"
)

// chain is a base chain: it hangs on a hook of the kernel's.
type chain struct {
	name, kind, hook string
	priority         int
	policyDrop       bool
	rules            []rule
}

// rule is a list of conditions and what to do where all hold.
type rule []statement

func (c *chain) add(r ...statement) { c.rules = append(c.rules, r) }

// statement is a part of a rule. Its text is nft's; encode has what the kernel
// is told for it.
type statement interface{ text() string }

type (
	// link compares the name of the link that a packet came or goes by.
	link struct {
		in, not bool
		name    string
	}
	// address compares the destination, or source, with a prefix.
	address struct {
		source bool
		prefix netip.Prefix
	}
	// ports compares the ports of a UDP packet.
	ports struct{ source, destination uint16 }
	// protocol compares the number of the transport protocol.
	protocol uint8
	// network compares the family where a table is for both.
	network uint8
	// icmp6 compares the type of an ICMPv6 packet.
	icmp6 uint8
	// mark compares the packet's mark.
	mark uint32

	notFromUs   struct{} // the source is no address of this host
	saveMark    struct{} // the connection gets the packet's mark
	restoreMark struct{} // the packet gets the connection's mark
	verdict     string   // ends the rule
)

const (
	accept     verdict = "accept"
	drop       verdict = "drop"
	masquerade verdict = "masquerade"

	udp    = 17
	icmpv6 = 58

	nfproto4 network = 2
	nfproto6 network = 10

	routerSolicit    icmp6 = 133
	routerAdvert     icmp6 = 134
	neighbourSolicit icmp6 = 135
	neighbourAdvert  icmp6 = 136
	listenerReport   icmp6 = 131
	listenerDone     icmp6 = 132
	listenerReport2  icmp6 = 143
)

// to compares the destination with one address.
func to(a netip.Addr) address { return address{prefix: netip.PrefixFrom(a, a.BitLen())} }

func (s link) text() string {
	direction, operator := "oifname", ""
	if s.in {
		direction = "iifname"
	}
	if s.not {
		operator = "!= "
	}
	return fmt.Sprintf("%s %s%q", direction, operator, s.name)
}

func (s address) text() string {
	family, field := "ip", "daddr"
	if s.prefix.Addr().Is6() {
		family = "ip6"
	}
	if s.source {
		field = "saddr"
	}
	value := s.prefix.Masked().String()
	if s.prefix.IsSingleIP() {
		value = s.prefix.Addr().String()
	}
	return family + " " + field + " " + value
}

func (s ports) text() string {
	return fmt.Sprintf("udp sport %d udp dport %d", s.source, s.destination)
}

func (s protocol) text() string {
	if s == udp {
		return "meta l4proto udp"
	}
	return fmt.Sprintf("meta l4proto %d", uint8(s))
}

func (s network) text() string {
	if s == nfproto4 {
		return "meta nfproto ipv4"
	}
	return "meta nfproto ipv6"
}

func (s icmp6) text() string     { return fmt.Sprintf("icmpv6 type %d", uint8(s)) }
func (s mark) text() string      { return fmt.Sprintf("meta mark %d", uint32(s)) }
func (notFromUs) text() string   { return "fib saddr type != local" }
func (saveMark) text() string    { return "ct mark set meta mark" }
func (restoreMark) text() string { return "meta mark set ct mark" }
func (s verdict) text() string   { return string(s) }

func (r rule) text() string {
	words := make([]string, len(r))
	for i, s := range r {
		words[i] = s.text()
	}
	return strings.Join(words, " ")
}

// command returns what a person types in a shell for a table. The table is named
// and deleted first, which replaces one that is there and is no error where none is.
func command(t Table, chains []chain) string {
	var b strings.Builder
	fmt.Fprintf(&b, "nft -f - <<EOF\ntable %s\ndelete table %s\ntable %s {\n", t, t, t)
	for _, c := range chains {
		policy := "accept"
		if c.policyDrop {
			policy = "drop"
		}
		fmt.Fprintf(&b, "\tchain %s {\n\t\ttype %s hook %s priority %d; policy %s;\n", c.name, c.kind, c.hook, c.priority, policy)
		for _, r := range c.rules {
			fmt.Fprintf(&b, "\t\t%s\n", r.text())
		}
		b.WriteString("\t}\n")
	}
	b.WriteString("}\nEOF")
	return b.String()
}
