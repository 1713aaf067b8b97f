package conf

import (
	"fmt"
	"net/netip"

	"vpn/noise/key"
)

// Erase zeroes all keys.
func (c *Config) Erase() {
	c.Interface.PrivateKey.Value.Erase()
	for i := range c.Peers {
		c.Peers[i].Preshared.Value.Erase()
	}
}

// checkWhole looks at what no single line can tell.
func (p *parser) checkWhole() {
	i := p.iface()
	if i.PrivateKey.Given && i.PrivateKeyFile.Given {
		p.both("PrivateKey", i.PrivateKey.Line, "PrivateKeyFile", i.PrivateKeyFile.Line)
	}
	for n := range p.config.Peers {
		peer := &p.config.Peers[n]
		if !peer.PublicKey.Given {
			p.fail(peer.Line, "[Peer]", "", "has no PublicKey", "")
		}
		if peer.Preshared.Given && peer.PresharedKeyFile.Given {
			p.both("PresharedKey", peer.Preshared.Line, "PresharedKeyFile", peer.PresharedKeyFile.Line)
		}
	}
	if len(p.errs) > 0 {
		return
	}
	p.warnOfInterface()
	p.warnOfPeers()
}

func (p *parser) both(key string, line int, other string, otherLine int) {
	if line < otherLine {
		key, line, other, otherLine = other, otherLine, key, line
	}
	p.fail(line, key, "", fmt.Sprintf("there is a %s in line %d already", other, otherLine), "only one of the two can be meant")
}

func (p *parser) warnOfInterface() {
	i := p.iface()
	if line := p.firstDirective(); i.SaveConfig.Value && line != 0 {
		p.warn(i.SaveConfig.Line, "SaveConfig", "", fmt.Sprintf("wg-quick drops all comments when it saves, and with them the directives (the first is in line %d)", line), "\"vpn save\" and \"vpn down\" keep them; under wg-quick take SaveConfig out")
	}
	if len(i.KillSwitchAllow) > 0 && !i.KillSwitch.Value {
		p.warn(i.KillSwitchAllow[0].Line, "KillSwitchAllow", "", "has no effect without KillSwitch = on", "add `#vpn: KillSwitch = on`, or take the line out")
	}
	if len(i.DNSRoute) > 0 && len(i.DNS) == 0 {
		p.warn(i.DNSRoute[0].Line, "DNSRoute", "", "has no effect without a server in DNS", "add DNS with the address of a server")
	}
	const leastForIPv6 = 1280
	if i.MTU.Given && i.MTU.Value < leastForIPv6 {
		for _, a := range i.Addresses {
			if a.Value.Addr().Is6() {
				p.warn(i.MTU.Line, "MTU", fmt.Sprint(i.MTU.Value), fmt.Sprintf("is less than the 1280 that IPv6 needs: the address of line %d will not work", a.Line), "make it 1280 or more, or take the address out")
				return
			}
		}
	}
}

// firstDirective is the line of the first directive, or 0.
func (p *parser) firstDirective() int {
	first := 0
	see := func(line int) {
		if line != 0 && (first == 0 || line < first) {
			first = line
		}
	}
	i := p.iface()
	for _, line := range []int{i.PrivateKeyFile.Line, i.RekeyAfterTime.Line, i.RekeyAfterPackets.Line, i.KillSwitch.Line, i.Masquerade.Line, i.Heal.Line, i.PublicEndpoint.Line,
		lineOf(i.KillSwitchAllow), lineOf(i.DNSRoute), lineOf(i.ExcludedIPs)} {
		see(line)
	}
	for n := range p.config.Peers {
		peer := &p.config.Peers[n]
		see(peer.Name.Line)
		see(peer.PresharedKeyFile.Line)
		see(peer.Expires.Line)
		see(lineOf(peer.Candidates))
		see(lineOf(peer.ExcludedIPs))
	}
	return first
}

func lineOf[T any](list []Setting[T]) int {
	if len(list) == 0 {
		return 0
	}
	return list[0].Line
}

// warnOfPeers plays through what `wg` does with the peers in their order, and
// says where a later one silently undoes an earlier one.
func (p *parser) warnOfPeers() {
	t := outcome{
		parser: p,
		peers:  p.config.Peers,
		latest: make(map[key.Public]int, len(p.config.Peers)),
		before: make(map[int]int),
		owners: make(map[netip.Prefix]claim, len(p.config.Peers)),
	}
	var own key.Public
	if k := &p.iface().PrivateKey; k.Given && !k.Value.IsZero() {
		own = k.Value.Public()
	}
	for n := range t.peers {
		id := t.peers[n].PublicKey
		if id.Value == own && !own.IsZero() {
			p.warn(id.Line, "PublicKey", "", "is the interface's own: the peer is ignored", "a [Peer] has the public key of the other machine")
			continue
		}
		t.add(n)
	}
}

// outcome is what an interface would have after some of a file's peers.
type outcome struct {
	*parser
	peers  []Peer
	latest map[key.Public]int // the last section of a key
	before map[int]int        // the section that an incremental one adds to
	owners map[netip.Prefix]claim
}

// claim is the section that gave a prefix, and the line.
type claim struct{ peer, line int }

// add adds the section of that number.
func (t *outcome) add(n int) {
	peer := &t.peers[n]
	id := peer.PublicKey.Value
	if earlier, ok := t.latest[id]; ok {
		t.warn(peer.PublicKey.Line, "PublicKey", "", fmt.Sprintf("the same peer as in line %d: of what both give, the later one wins", t.peers[earlier].PublicKey.Line), "make one section of the two")
		if peer.Incremental {
			t.before[n] = earlier
		} else {
			t.replace(id, earlier)
		}
	}
	t.latest[id] = n
	for _, a := range peer.AllowedIPs {
		had, taken := t.owners[a.Prefix]
		others := taken && t.peers[had.peer].PublicKey.Value != id
		if a.Remove {
			if !others {
				delete(t.owners, a.Prefix)
			}
			continue
		}
		if others {
			t.warn(a.Line, "AllowedIPs", a.Prefix.String(), fmt.Sprintf("given in line %d to the peer of line %d too: the later one wins", had.line, t.peers[had.peer].Line), "a prefix belongs to one peer: take it from one of the two")
		}
		t.owners[a.Prefix] = claim{n, a.Line}
	}
}

// replace takes away what a peer has from a section and those that it added to.
func (t *outcome) replace(id key.Public, section int) {
	for more := true; more; section, more = t.before[section] {
		for _, a := range t.peers[section].AllowedIPs {
			if had, taken := t.owners[a.Prefix]; taken && t.peers[had.peer].PublicKey.Value == id {
				delete(t.owners, a.Prefix)
			}
		}
	}
}
