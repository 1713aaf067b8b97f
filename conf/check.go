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
		p.warn(i.SaveConfig.Line, "SaveConfig", "", fmt.Sprintf("wg-quick drops all comments when it saves, and with them the directives (the first is in line %d)", line))
	}
	if len(i.KillSwitchAllow) > 0 && !i.KillSwitch.Value {
		p.warn(i.KillSwitchAllow[0].Line, "KillSwitchAllow", "", "has no effect without KillSwitch = on")
	}
	if len(i.DNSRoute) > 0 && len(i.DNS) == 0 {
		p.warn(i.DNSRoute[0].Line, "DNSRoute", "", "has no effect without a server in DNS")
	}
	const leastForIPv6 = 1280
	if i.MTU.Given && i.MTU.Value < leastForIPv6 {
		for _, a := range i.Addresses {
			if a.Value.Addr().Is6() {
				p.warn(i.MTU.Line, "MTU", fmt.Sprint(i.MTU.Value), fmt.Sprintf("is less than the 1280 that IPv6 needs: the address of line %d will not work", a.Line))
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
	for _, line := range []int{i.PrivateKeyFile.Line, i.RekeyAfterTime.Line, i.RekeyAfterPackets.Line, i.KillSwitch.Line, i.Masquerade.Line, i.Heal.Line,
		lineOf(i.KillSwitchAllow), lineOf(i.DNSRoute), lineOf(i.ExcludedIPs)} {
		see(line)
	}
	for n := range p.config.Peers {
		peer := &p.config.Peers[n]
		see(peer.Name.Line)
		see(peer.PresharedKeyFile.Line)
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
	peers := p.config.Peers
	latest := make(map[key.Public]int, len(peers)) // section by key
	before := make(map[int]int)                    // a section's key's section before it
	type claim struct{ peer, line int }            // the section and line that gave a prefix
	owners := make(map[netip.Prefix]claim, len(peers))
	var own key.Public
	if k := &p.iface().PrivateKey; k.Given && !k.Value.IsZero() {
		own = k.Value.Public()
	}
	for n := range peers {
		peer := &peers[n]
		id := peer.PublicKey.Value
		if id == own && !id.IsZero() {
			p.warn(peer.PublicKey.Line, "PublicKey", "", "is the interface's own: the peer is ignored")
			continue
		}
		if earlier, ok := latest[id]; ok {
			p.warn(peer.PublicKey.Line, "PublicKey", "", fmt.Sprintf("the same peer as in line %d: of what both give, the later one wins", peers[earlier].PublicKey.Line))
			before[n] = earlier
			for ; ok && !peer.Incremental; earlier, ok = before[earlier] {
				for _, a := range peers[earlier].AllowedIPs {
					if owners[a.Prefix].line != 0 && peers[owners[a.Prefix].peer].PublicKey.Value == id {
						delete(owners, a.Prefix)
					}
				}
			}
		}
		latest[id] = n
		for _, a := range peer.AllowedIPs {
			had := owners[a.Prefix]
			others := had.line != 0 && peers[had.peer].PublicKey.Value != id
			switch {
			case a.Remove && !others:
				delete(owners, a.Prefix)
			case a.Remove:
			case others:
				p.warn(a.Line, "AllowedIPs", a.Prefix.String(), fmt.Sprintf("given in line %d to the peer of line %d too: the later one wins", had.line, peers[had.peer].Line))
				fallthrough
			default:
				owners[a.Prefix] = claim{n, a.Line}
			}
		}
	}
}
