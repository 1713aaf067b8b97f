package conf

import (
	"net/netip"
	"strings"
	"time"
)

// field is a setting or a directive: its name as it is documented, and how it
// is taken in.
type field struct {
	name  string
	take  func(p *parser, v value)
	quick bool // wg-quick's, not wg's; may be empty, as there
}

// The fields by lower-case name.
var (
	interfaceSettings = index(
		field{name: "PrivateKey", take: (*parser).privateKey},
		field{name: "ListenPort", take: one(func(p *parser) *Setting[uint16] { return &p.iface().ListenPort }, readPort)},
		field{name: "FwMark", take: one(func(p *parser) *Setting[uint32] { return &p.iface().FwMark }, readMark)},
		field{quick: true, name: "Address", take: many(spaced, func(p *parser) *[]Setting[netip.Prefix] { return &p.iface().Addresses }, readLinkAddress)},
		field{quick: true, name: "DNS", take: (*parser).dns},
		field{quick: true, name: "MTU", take: one(func(p *parser) *Setting[int] { return &p.iface().MTU }, readMTU)},
		field{quick: true, name: "Table", take: one(func(p *parser) *Setting[Table] { return &p.iface().Table }, readTable)},
		field{quick: true, name: "SaveConfig", take: one(func(p *parser) *Setting[bool] { return &p.iface().SaveConfig }, readBool)},
		field{quick: true, name: "PreUp", take: hook(func(i *Interface) *[]Setting[string] { return &i.PreUp })},
		field{quick: true, name: "PostUp", take: hook(func(i *Interface) *[]Setting[string] { return &i.PostUp })},
		field{quick: true, name: "PreDown", take: hook(func(i *Interface) *[]Setting[string] { return &i.PreDown })},
		field{quick: true, name: "PostDown", take: hook(func(i *Interface) *[]Setting[string] { return &i.PostDown })},
	)
	interfaceDirectives = index(
		field{name: "PrivateKeyFile", take: one(func(p *parser) *Setting[string] { return &p.iface().PrivateKeyFile }, readKeyFile)},
		field{name: "RekeyAfterTime", take: one(func(p *parser) *seconds { return &p.iface().RekeyAfterTime }, readSeconds)},
		field{name: "RekeyAfterPackets", take: one(func(p *parser) *Setting[uint64] { return &p.iface().RekeyAfterPackets }, readPackets)},
		field{name: "KillSwitch", take: one(func(p *parser) *Setting[bool] { return &p.iface().KillSwitch }, readSwitch)},
		field{name: "KillSwitchAllow", take: prefixes(func(p *parser) *[]Setting[netip.Prefix] { return &p.iface().KillSwitchAllow })},
		field{name: "Masquerade", take: one(func(p *parser) *Setting[string] { return &p.iface().Masquerade }, readOutLink)},
		field{name: "DNSRoute", take: many(spaced, func(p *parser) *[]Setting[string] { return &p.iface().DNSRoute }, readDomain)},
		field{name: "Heal", take: one(func(p *parser) *Setting[bool] { return &p.iface().Heal }, readSwitch)},
		field{name: "ExcludedIPs", take: prefixes(func(p *parser) *[]Setting[netip.Prefix] { return &p.iface().ExcludedIPs })},
		field{name: "PublicEndpoint", take: (*parser).publicEndpoint},
	)
	peerSettings = index(
		field{name: "PublicKey", take: (*parser).publicKey},
		field{name: "PresharedKey", take: (*parser).presharedKey},
		field{name: "AllowedIPs", take: (*parser).allowedIPs},
		field{name: "Endpoint", take: (*parser).endpoint},
		field{name: "PersistentKeepalive", take: one(func(p *parser) *Setting[uint16] { return &p.peer().Keepalive }, readKeepalive)},
	)
	peerDirectives = index(
		field{name: "Name", take: one(func(p *parser) *Setting[string] { return &p.peer().Name }, readName)},
		field{name: "PresharedKeyFile", take: one(func(p *parser) *Setting[string] { return &p.peer().PresharedKeyFile }, readKeyFile)},
		field{name: "Endpoint", take: (*parser).candidate},
		field{name: "ExcludedIPs", take: prefixes(func(p *parser) *[]Setting[netip.Prefix] { return &p.peer().ExcludedIPs })},
		field{name: "Expires", take: one(func(p *parser) *Setting[time.Time] { return &p.peer().Expires }, readTime)},
	)
)

func index(fields ...field) map[string]field {
	m := make(map[string]field, len(fields))
	for _, f := range fields {
		m[strings.ToLower(f.name)] = f
	}
	return m
}

// isDirective says whether either section has a directive of that lower-case
// name.
func isDirective(name string) bool { return directiveName(name) != "" }

// directiveName is the directive's name as it is documented.
func directiveName(name string) string {
	if f, ok := interfaceDirectives[name]; ok {
		return f.name
	}
	return peerDirectives[name].name
}

// one takes a setting that a file should give once. As with `wg`, the last one
// counts.
func one[T any](at func(*parser) *Setting[T], read func(string) (T, problem)) func(*parser, value) {
	return func(p *parser, v value) {
		x, wrong := read(string(v.text))
		if p.refused(v, string(v.text), wrong) {
			return
		}
		s := at(p)
		p.again(v, s.Given, s.Line)
		*s = Setting[T]{Value: x, Given: true, Line: v.line}
	}
}

// many takes a list, which goes on where the setting is repeated.
func many[T any](split func(string) []string, at func(*parser) *[]Setting[T], read func(string) (T, problem)) func(*parser, value) {
	return func(p *parser, v value) {
		for _, item := range split(string(v.text)) {
			x, wrong := read(item)
			if !p.refused(v, item, wrong) {
				s := at(p)
				*s = append(*s, Setting[T]{Value: x, Given: true, Line: v.line})
			}
		}
	}
}

// prefixes takes a list of prefixes, with a warning of host bits.
func prefixes(at func(*parser) *[]Setting[netip.Prefix]) func(*parser, value) {
	return func(p *parser, v value) {
		for _, item := range spaced(string(v.text)) {
			x, wrong := readAddress(item)
			if !p.refused(v, item, wrong) {
				s := at(p)
				*s = append(*s, Setting[netip.Prefix]{Value: p.masked(v, item, x), Given: true, Line: v.line})
			}
		}
	}
}

// hook takes a command as it stands.
func hook(at func(*Interface) *[]Setting[string]) func(*parser, value) {
	return func(p *parser, v value) {
		s := at(p.iface())
		*s = append(*s, Setting[string]{Value: string(v.text), Given: true, Line: v.line})
	}
}

// spaced splits at commas and white space, and takes no offence at too many, as
// wg-quick does.
func spaced(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || strings.ContainsRune(space, r) })
}
