package newconf

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"net/netip"
	"slices"

	"vpn/conf"
)

// ErrNoNetwork says that an interface has no network that peers could be in.
var ErrNoNetwork = errors.New("the interface has no Address with room for peers")

// Networks are those that peers get an address in: the first of each family with
// room for more than the interface itself.
func Networks(c *conf.Config) (networks []netip.Prefix) {
	var has [2]bool
	for _, a := range c.Interface.Addresses {
		family := 0
		if a.Value.Addr().Is6() {
			family = 1
		}
		if !a.Value.IsSingleIP() && !has[family] {
			has[family] = true
			networks = append(networks, a.Value.Masked())
		}
	}
	return networks
}

// Taken are the addresses and networks that peers of a file can't have: those of
// the interface and of other peers.
func Taken(c *conf.Config) (taken []netip.Prefix) {
	for _, a := range c.Interface.Addresses {
		taken = append(taken, netip.PrefixFrom(a.Value.Addr(), a.Value.Addr().BitLen()))
	}
	for i := range c.Peers {
		for _, a := range c.Peers[i].AllowedIPs {
			taken = append(taken, a.Prefix)
		}
	}
	return taken
}

// span is a range of addresses, counted from the start of a network.
type span struct{ first, last uint64 }

// Next returns the next free address in each of the networks, at the same place
// in all of them: 10.0.0.7 goes with fd00::7. What is taken and holds a whole
// network leaves room in it: an address of a peer goes before.
func Next(networks, taken []netip.Prefix) ([]netip.Addr, error) {
	if len(networks) == 0 {
		return nil, ErrNoNetwork
	}
	var spans []span
	n := uint64(0)
	for _, network := range networks {
		n = max(n, firstHost(network))
		for _, p := range taken {
			if s, inside := within(network, p); inside {
				spans = append(spans, s)
			}
		}
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.first, b.first) })
	for _, s := range spans {
		if s.first > n {
			break
		}
		if s.last >= n {
			n = s.last + 1 // lastHost leaves room for one more
		}
	}
	var addresses []netip.Addr
	for _, network := range networks {
		if n > lastHost(network) {
			return nil, fmt.Errorf("%v has no free address left", network)
		}
		addresses = append(addresses, nth(network.Addr(), n))
	}
	return addresses, nil
}

// CheckFree says why a peer can't have an address.
func CheckFree(a netip.Addr, networks, taken []netip.Prefix) error {
	i := slices.IndexFunc(networks, func(p netip.Prefix) bool { return p.Contains(a) })
	if i < 0 {
		return fmt.Errorf("%v is in none of the interface's networks: %v", a, networks)
	}
	s, _ := within(networks[i], netip.PrefixFrom(a, a.BitLen()))
	if s.first < firstHost(networks[i]) || s.first > lastHost(networks[i]) {
		return fmt.Errorf("%v is not for hosts: it is at the edge of %v", a, networks[i])
	}
	for _, p := range taken {
		if _, inside := within(networks[i], p); inside && p.Contains(a) {
			return fmt.Errorf("%v is taken already, by %v", a, p)
		}
	}
	return nil
}

// within returns which part of a network a prefix is, if it is one and not all
// of it. Of a network of more than 2^64 addresses only the first count.
func within(network, p netip.Prefix) (span, bool) {
	if p.Bits() <= network.Bits() || !network.Contains(p.Addr()) {
		return span{}, false
	}
	from, base := p.Masked().Addr().As16(), network.Masked().Addr().As16()
	high := binary.BigEndian.Uint64(from[:8]) - binary.BigEndian.Uint64(base[:8])
	if high != 0 {
		return span{}, false
	}
	s := span{first: binary.BigEndian.Uint64(from[8:]) - binary.BigEndian.Uint64(base[8:])}
	size, carry := bits.Add64(s.first, hosts(p), 0)
	if s.last = size; carry != 0 {
		s.last = math.MaxUint64 - 1
	}
	s.last = min(s.last, math.MaxUint64-1)
	return s, true
}

// hosts is the number of a prefix's addresses, less one, as far as 64 bits go.
func hosts(p netip.Prefix) uint64 {
	n := p.Addr().BitLen() - p.Bits()
	if n >= 64 {
		return math.MaxUint64
	}
	return 1<<n - 1
}

// firstHost and lastHost are the ends of what hosts can have: the first address
// is the network's, and the last one of IPv4 is for broadcasts. Networks of two
// have neither.
func firstHost(network netip.Prefix) uint64 {
	if hosts(network) == 1 {
		return 0
	}
	return 1
}

func lastHost(network netip.Prefix) uint64 {
	n := hosts(network)
	if network.Addr().Is4() && n > 1 {
		return n - 1
	}
	return min(n, math.MaxUint64-1)
}

// nth is the address n after another.
func nth(a netip.Addr, n uint64) netip.Addr {
	b := a.As16()
	binary.BigEndian.PutUint64(b[8:], binary.BigEndian.Uint64(b[8:])+n)
	sum := netip.AddrFrom16(b)
	if a.Is4() {
		return sum.Unmap()
	}
	return sum
}
