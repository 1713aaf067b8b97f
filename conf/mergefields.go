package conf

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"vpn/noise/key"
)

// The fields of a section in the order of Format, by id.
var (
	interfaceOrder = []string{
		"PrivateKey", "ListenPort", "FwMark", "Address", "DNS", "MTU", "Table", "SaveConfig", "PreUp", "PostUp", "PreDown", "PostDown",
		"#PrivateKeyFile", "#RekeyAfterTime", "#RekeyAfterPackets", "#KillSwitch", "#KillSwitchAllow", "#Masquerade", "#DNSRoute", "#Heal", "#ExcludedIPs", "#PublicEndpoint",
	}
	peerOrder = []string{"#Name", "PublicKey", "PresharedKey", "#PresharedKeyFile", "AllowedIPs", "#ExcludedIPs", "Endpoint", "#Endpoint", "PersistentKeepalive", "#Expires"}
)

// scope is the section whose fields are being changed.
type scope struct {
	*merger
	entries []*entry // the first is a header
	order   []string
}

func (m *merger) iface(old, new *Interface) {
	if len(m.ifaceEntries) == 0 {
		return // there is none: it is written anew, if at all
	}
	s := scope{m, m.ifaceEntries, interfaceOrder}
	change(s, "PrivateKey", old.PrivateKey, new.PrivateKey, samePrivate, func(f *formatter, k key.Private) { f.key(&k) })
	setValue(s, "ListenPort", old.ListenPort, new.ListenPort, number[uint16])
	setValue(s, "FwMark", old.FwMark, new.FwMark, offOr[uint32])
	setList(s, "Address", listOf(old.Addresses, new.Addresses, netip.Prefix.String))
	setList(s, "DNS", listOf(old.DNS, new.DNS, netip.Addr.String), listOf(old.DNSSearch, new.DNSSearch, same))
	setValue(s, "MTU", old.MTU, new.MTU, number[int])
	setValue(s, "Table", old.Table, new.Table, Table.String)
	setValue(s, "SaveConfig", old.SaveConfig, new.SaveConfig, strconv.FormatBool)
	setList(s, "PreUp", listOf(old.PreUp, new.PreUp, same))
	setList(s, "PostUp", listOf(old.PostUp, new.PostUp, same))
	setList(s, "PreDown", listOf(old.PreDown, new.PreDown, same))
	setList(s, "PostDown", listOf(old.PostDown, new.PostDown, same))

	setValue(s, "#PrivateKeyFile", old.PrivateKeyFile, new.PrivateKeyFile, same)
	setValue(s, "#RekeyAfterTime", old.RekeyAfterTime, new.RekeyAfterTime, wholeSeconds)
	setValue(s, "#RekeyAfterPackets", old.RekeyAfterPackets, new.RekeyAfterPackets, number[uint64])
	setValue(s, "#KillSwitch", old.KillSwitch, new.KillSwitch, onOff)
	setList(s, "#KillSwitchAllow", listOf(old.KillSwitchAllow, new.KillSwitchAllow, netip.Prefix.String))
	setValue(s, "#Masquerade", old.Masquerade, new.Masquerade, nameOrOff)
	setList(s, "#DNSRoute", listOf(old.DNSRoute, new.DNSRoute, same))
	setValue(s, "#Heal", old.Heal, new.Heal, onOff)
	setList(s, "#ExcludedIPs", listOf(old.ExcludedIPs, new.ExcludedIPs, netip.Prefix.String))
	setValue(s, "#PublicEndpoint", old.PublicEndpoint, new.PublicEndpoint, Endpoint.String)
}

func (m *merger) peer(section int, old, new *Peer) {
	s := scope{m, m.peerEntries[section], peerOrder}
	setValue(s, "#Name", old.Name, new.Name, same)
	change(s, "PresharedKey", old.Preshared, new.Preshared, samePreshared, func(f *formatter, k key.Preshared) { f.key(&k) })
	setValue(s, "#PresharedKeyFile", old.PresharedKeyFile, new.PresharedKeyFile, same)
	s.allowedIPs(old, new)
	setList(s, "#ExcludedIPs", listOf(old.ExcludedIPs, new.ExcludedIPs, netip.Prefix.String))
	setValue(s, "Endpoint", old.Endpoint, new.Endpoint, Endpoint.String)
	setList(s, "#Endpoint", listOf(old.Candidates, new.Candidates, Endpoint.String))
	setValue(s, "PersistentKeepalive", old.Keepalive, new.Keepalive, offOr[uint16])
	change(s, "#Expires", old.Expires, new.Expires, time.Time.Equal, func(f *formatter, t time.Time) { f.add(timeText(t)) })
}

// giving are the lines that give a field.
func (s scope) giving(id string) (lines []*entry) {
	for _, e := range s.entries {
		if e.field == id {
			lines = append(lines, e)
		}
	}
	return lines
}

// insert writes something for a field that no line gives: behind the fields that
// come before it, or else behind the header.
func (s scope) insert(id string, write func(*formatter)) {
	place, nearest := s.entries[0], -1
	for _, e := range s.entries {
		if n := slices.Index(s.order, e.field); n >= nearest && n < slices.Index(s.order, id) && e.field != "" {
			place, nearest = e, n
		}
	}
	place.after = append(place.after, write)
}

// change brings a single value to what is wanted. As with `wg`, the last line
// that gives it counts.
func change[T any](s scope, id string, old, new Setting[T], same func(a, b T) bool, write func(*formatter, T)) {
	if agree(old, new, same) {
		return
	}
	lines := s.giving(id)
	switch {
	case !new.Given:
		for _, e := range lines {
			e.gone = true
		}
	case len(lines) > 0:
		lines[len(lines)-1].value = func(f *formatter) { write(f, new.Value) }
	default:
		s.insert(id, func(f *formatter) {
			if name, ok := strings.CutPrefix(id, "#"); ok {
				f.add("#vpn: ", name, " = ")
			} else {
				f.add(id, " = ")
			}
			write(f, new.Value)
			f.add(f.end)
		})
	}
}

func setValue[T comparable](s scope, id string, old, new Setting[T], text func(T) string) {
	change(s, id, old, new, equal[T], func(f *formatter, v T) { f.add(text(v)) })
}

// allowedIPs edits the list item by item if its signs can stay, and else writes
// it anew.
func (s scope) allowedIPs(old, new *Peer) {
	if old.Incremental == new.Incremental && slices.EqualFunc(old.AllowedIPs, new.AllowedIPs, sameAllowedIP) {
		return
	}
	lines := s.giving("AllowedIPs")
	write := func(f *formatter) { f.allowedIPs(new) }
	if len(lines) == 0 {
		s.insert("AllowedIPs", write)
		return
	}
	if old.Incremental == new.Incremental {
		setList(s, "AllowedIPs", listEdit{
			script: compare(old.AllowedIPs, new.AllowedIPs, sameAllowedIP),
			text:   func(n int) string { return new.AllowedIPs[n].text(new.Incremental) },
		})
		if signed(lines) == new.Incremental {
			return
		}
	}
	for _, e := range lines {
		e.gone = true
	}
	lines[0].after = append(lines[0].after, write)
}

// signed says whether the last line of a list of AllowedIPs, as it is now, has a
// sign: it decides whether the whole list is a change.
func signed(lines []*entry) bool {
	for _, e := range slices.Backward(lines) {
		if len(e.tokens) > 0 {
			return slices.ContainsFunc(e.tokens, func(t token) bool { return strings.ContainsAny(t.text[:1], "+-") })
		}
	}
	return false
}
