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

func (m *merger) iface(old, now *Interface) {
	if len(m.ifaceEntries) == 0 {
		return // there is none: it is written anew, if at all
	}
	s := scope{m, m.ifaceEntries, interfaceOrder}
	change(s, "PrivateKey", old.PrivateKey, now.PrivateKey, samePrivate, func(f *formatter, k key.Private) { f.key(&k) })
	setValue(s, "ListenPort", old.ListenPort, now.ListenPort, number[uint16])
	setValue(s, "FwMark", old.FwMark, now.FwMark, offOr[uint32])
	setList(s, "Address", listOf(old.Addresses, now.Addresses, netip.Prefix.String))
	setList(s, "DNS", listOf(old.DNS, now.DNS, netip.Addr.String), listOf(old.DNSSearch, now.DNSSearch, same))
	setValue(s, "MTU", old.MTU, now.MTU, number[int])
	setValue(s, "Table", old.Table, now.Table, Table.String)
	setValue(s, "SaveConfig", old.SaveConfig, now.SaveConfig, strconv.FormatBool)
	setList(s, "PreUp", listOf(old.PreUp, now.PreUp, same))
	setList(s, "PostUp", listOf(old.PostUp, now.PostUp, same))
	setList(s, "PreDown", listOf(old.PreDown, now.PreDown, same))
	setList(s, "PostDown", listOf(old.PostDown, now.PostDown, same))

	setValue(s, "#PrivateKeyFile", old.PrivateKeyFile, now.PrivateKeyFile, same)
	setValue(s, "#RekeyAfterTime", old.RekeyAfterTime, now.RekeyAfterTime, wholeSeconds)
	setValue(s, "#RekeyAfterPackets", old.RekeyAfterPackets, now.RekeyAfterPackets, number[uint64])
	setValue(s, "#KillSwitch", old.KillSwitch, now.KillSwitch, onOff)
	setList(s, "#KillSwitchAllow", listOf(old.KillSwitchAllow, now.KillSwitchAllow, netip.Prefix.String))
	setValue(s, "#Masquerade", old.Masquerade, now.Masquerade, nameOrOff)
	setList(s, "#DNSRoute", listOf(old.DNSRoute, now.DNSRoute, same))
	setValue(s, "#Heal", old.Heal, now.Heal, onOff)
	setList(s, "#ExcludedIPs", listOf(old.ExcludedIPs, now.ExcludedIPs, netip.Prefix.String))
	setValue(s, "#PublicEndpoint", old.PublicEndpoint, now.PublicEndpoint, Endpoint.String)
}

func (m *merger) peer(section int, old, now *Peer) {
	s := scope{m, m.peerEntries[section], peerOrder}
	setValue(s, "#Name", old.Name, now.Name, same)
	change(s, "PresharedKey", old.Preshared, now.Preshared, samePreshared, func(f *formatter, k key.Preshared) { f.key(&k) })
	setValue(s, "#PresharedKeyFile", old.PresharedKeyFile, now.PresharedKeyFile, same)
	s.allowedIPs(old, now)
	setList(s, "#ExcludedIPs", listOf(old.ExcludedIPs, now.ExcludedIPs, netip.Prefix.String))
	setValue(s, "Endpoint", old.Endpoint, now.Endpoint, Endpoint.String)
	setList(s, "#Endpoint", listOf(old.Candidates, now.Candidates, Endpoint.String))
	setValue(s, "PersistentKeepalive", old.Keepalive, now.Keepalive, offOr[uint16])
	change(s, "#Expires", old.Expires, now.Expires, time.Time.Equal, func(f *formatter, t time.Time) { f.add(timeText(t)) })
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
func change[T any](s scope, id string, old, now Setting[T], same func(a, b T) bool, write func(*formatter, T)) {
	if agree(old, now, same) {
		return
	}
	lines := s.giving(id)
	switch {
	case !now.Given:
		for _, e := range lines {
			e.gone = true
		}
	case len(lines) > 0:
		lines[len(lines)-1].value = func(f *formatter) { write(f, now.Value) }
	default:
		s.insert(id, func(f *formatter) {
			if name, ok := strings.CutPrefix(id, "#"); ok {
				f.add("#vpn: ", name, " = ")
			} else {
				f.add(id, " = ")
			}
			write(f, now.Value)
			f.add(f.end)
		})
	}
}

func setValue[T comparable](s scope, id string, old, now Setting[T], text func(T) string) {
	change(s, id, old, now, equal[T], func(f *formatter, v T) { f.add(text(v)) })
}

// allowedIPs edits the list item by item if its signs can stay, and else writes
// it anew.
func (s scope) allowedIPs(old, now *Peer) {
	if old.Incremental == now.Incremental && slices.EqualFunc(old.AllowedIPs, now.AllowedIPs, sameAllowedIP) {
		return
	}
	lines := s.giving("AllowedIPs")
	write := func(f *formatter) { f.allowedIPs(now) }
	if len(lines) == 0 {
		s.insert("AllowedIPs", write)
		return
	}
	if old.Incremental == now.Incremental {
		setList(s, "AllowedIPs", listEdit{
			script: compare(old.AllowedIPs, now.AllowedIPs, sameAllowedIP),
			text:   func(n int) string { return now.AllowedIPs[n].text(now.Incremental) },
		})
		if signed(lines) == now.Incremental {
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
