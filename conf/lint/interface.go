package lint

import (
	"bytes"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"

	"vpn/conf"
)

func (l *linter) privateKey() {
	i := &l.c.Interface
	if i.PrivateKey.Given || i.PrivateKeyFile.Given || len(i.PreUp) > 0 || len(i.PostUp) > 0 { // a hook may set it
		return
	}
	l.warn(i.Line, "[Interface]", "", "has no PrivateKey: nothing can be sent", "make one with \"vpn genkey\"")
}

func (l *linter) keyFiles() {
	if l.host == nil || l.host.KeyFile == nil {
		return
	}
	look := func(s conf.Setting[string], key string, private bool) {
		if !s.Given || strings.HasPrefix(s.Value, "credential:") { // of a service, which is not us
			return
		}
		if err := l.host.KeyFile(s.Value, private); err != nil {
			l.add(Error, s.Line, key, s.Value, err.Error(), "")
		}
	}
	look(l.c.Interface.PrivateKeyFile, "PrivateKeyFile", true)
	for i := range l.c.Peers {
		look(l.c.Peers[i].PresharedKeyFile, "PresharedKeyFile", false)
	}
}

// listenPort: a peer whose address we don't know has to know ours.
func (l *linter) listenPort() {
	if l.c.Interface.ListenPort.Value != 0 {
		return
	}
	for i := range l.c.Peers {
		p := &l.c.Peers[i]
		if p.Endpoint.Given || len(p.Candidates) > 0 {
			continue
		}
		line, value := l.c.Interface.ListenPort.Line, ""
		if line != 0 {
			value = "0"
		} else {
			line = l.c.Interface.Line
		}
		l.warn(line, "ListenPort", value, fmt.Sprintf("there is none, so another one at each start: the peer of line %d, which has no Endpoint, can't know it", p.Line),
			"add ListenPort = 51820, or give the peer an Endpoint")
		return
	}
}

// saveConfig: what wg-quick's own save loses.
func (l *linter) saveConfig() {
	s := l.c.Interface.SaveConfig
	if !s.Value {
		return
	}
	const hint = "\"vpn save\" and \"vpn down\" keep it; under wg-quick take SaveConfig out"
	number := 0
	for line := range bytes.Lines(l.text) {
		number++
		if text := bytes.TrimSpace(line); bytes.HasPrefix(text, []byte("#")) && !l.warned("SaveConfig") {
			l.warn(s.Line, "SaveConfig", "true", fmt.Sprintf("wg-quick drops all comments when it saves (the first is in line %d)", number), hint)
		}
	}
	for i := range l.c.Peers {
		e := l.c.Peers[i].Endpoint
		if _, literal := e.Value.Addr(); e.Given && !literal {
			l.warn(e.Line, "Endpoint", e.Value.String(), fmt.Sprintf("wg-quick, which saves because of line %d, writes the address in place of the name", s.Line), hint)
		}
	}
}

// hooks: what stays behind.
func (l *linter) hooks() {
	i := &l.c.Interface
	if len(i.PreDown) > 0 || len(i.PostDown) > 0 {
		return
	}
	look := func(key string, hooks []conf.Setting[string]) {
		for _, h := range hooks {
			command := lasting(h.Value)
			if command == "" {
				continue
			}
			hint := "undo it in PostDown"
			if strings.Contains(strings.ToLower(h.Value), "masquerade") {
				hint += ", or write `#vpn: Masquerade = LINK` instead, which undoes itself"
			}
			l.warn(h.Line, key, "", "what "+command+" does stays when the link goes down: there is no PreDown and no PostDown", hint)
			return
		}
	}
	look("PreUp", i.PreUp)
	look("PostUp", i.PostUp)
}

// lasting returns the first program in a hook whose work does not go with the
// link, or nothing.
func lasting(hook string) string {
	words := strings.FieldsFunc(hook, func(r rune) bool { return strings.ContainsRune(" \t;&|()", r) })
	for i, w := range words {
		switch name := path.Base(w); {
		case name == "iptables", name == "ip6tables", name == "nft", name == "sysctl":
			return name
		case w == "rule" && i+1 < len(words) && words[i+1] == "add":
			return "ip rule add"
		}
	}
	return ""
}

// dnsOutside: questions that leave by another way than the tunnel.
func (l *linter) dnsOutside() {
	for _, s := range l.c.Interface.DNS {
		a := s.Value.WithZone("").Unmap()
		own := slices.ContainsFunc(l.c.Interface.Addresses, func(p conf.Setting[netip.Prefix]) bool { return p.Value.Addr() == a })
		if a.IsLoopback() || own {
			continue
		}
		if best, ok := l.owner(a); ok && !l.excluded(best, a) {
			continue
		}
		l.warn(s.Line, "DNS", s.Value.String(), "no peer has it in its AllowedIPs: questions go around the tunnel",
			fmt.Sprintf("add %v to the AllowedIPs of a peer, or name a server that is inside", netip.PrefixFrom(a, a.BitLen())))
	}
}

// masquerade: the link that packets are to leave by.
func (l *linter) masquerade() {
	m := l.c.Interface.Masquerade
	if l.host == nil || m.Value == "" {
		return
	}
	var names []string
	for _, link := range l.host.Links {
		if link.Name == m.Value {
			return
		}
		if link.Name != "lo" {
			names = append(names, link.Name)
		}
	}
	if m.Value == l.host.Link {
		l.warn(m.Line, "Masquerade", m.Value, "is this link itself", "name the one that packets leave by")
		return
	}
	hint := "this host has none but lo"
	if len(names) > 0 {
		hint = "there are " + strings.Join(names, ", ")
	}
	l.warn(m.Line, "Masquerade", m.Value, "there is no such link", hint)
}

// addressTaken: a network that the host has already.
func (l *linter) addressTaken() {
	if l.host == nil {
		return
	}
	for _, a := range l.c.Interface.Addresses {
		if r, is := l.host.Taken(a.Value.Masked()); is {
			l.warn(a.Line, "Address", a.Value.String(), fmt.Sprintf("overlaps %v, which is reached by %s: of the two networks one hides the other", r.Prefix, r.Link),
				"take another network; \"vpn init\" finds one that is free")
		}
	}
}

// Taken returns a route of the host, not a default one, that a prefix overlaps.
func (h *Host) Taken(p netip.Prefix) (Route, bool) {
	for _, r := range h.Routes {
		if r.Prefix.Bits() > 0 && r.Prefix.Overlaps(p) {
			return r, true
		}
	}
	return Route{}, false
}

// Default returns the default route of a family, the one that is taken first.
func (h *Host) Default(six bool) (best Route, ok bool) {
	for _, r := range h.Routes {
		if r.Prefix.Bits() == 0 && r.Prefix.Addr().Is6() == six && (!ok || r.Metric < best.Metric) {
			best, ok = r, true
		}
	}
	return best, ok
}

// What a message has around the packet: the outer headers, and WireGuard's own.
const (
	overhead4 = 20 + 8 + 32
	overhead6 = 40 + 8 + 32
)

// mtu: packets that don't fit through the path to a peer.
func (l *linter) mtu() {
	m := l.c.Interface.MTU
	if l.host == nil || !m.Given {
		return
	}
	outer, room, known := 0, 0, false
	see := func(mtu, overhead int) {
		if mtu > 0 && (!known || mtu-overhead < room) {
			outer, room, known = mtu, mtu-overhead, true
		}
	}
	for _, e := range l.endpoints() {
		overhead := overhead4
		if e.addr.Is6() {
			overhead = overhead6
		}
		see(l.host.PathMTU[e.addr], overhead)
	}
	if !known { // it leaves by one of the default routes
		for _, six := range []bool{false, true} {
			if r, ok := l.host.Default(six); ok {
				see(l.host.mtuOf(r.Link), overhead4)
			}
		}
	}
	if known && m.Value > room {
		l.warn(m.Line, "MTU", fmt.Sprint(m.Value), fmt.Sprintf("too large for the path, whose MTU is %d: packets of more than %d bytes are cut up or lost on the way", outer, room),
			fmt.Sprintf("leave MTU out, which finds it; or write MTU = %d", outer-overhead6))
	}
}

func (h *Host) mtuOf(link string) int {
	for _, l := range h.Links {
		if l.Name == link {
			return l.MTU
		}
	}
	return 0
}
