// Package newconf makes what is written into new configuration files: networks
// and addresses that are free, and the file of a peer's side. It asks nobody:
// what is taken is an argument.
package newconf

import (
	"errors"
	"io"
	"net/netip"
	"slices"
)

// drawn is how often a network is drawn at random before all are tried in turn.
const drawn = 100

// pools are the private networks of IPv4, the roomiest first.
var pools = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
}

// common are networks that are free here, and likely not to be where the peers
// are: those that routers, container engines and other VPNs have by default.
var common = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/15"), netip.MustParsePrefix("10.8.0.0/16"), netip.MustParsePrefix("10.10.0.0/16"),
	netip.MustParsePrefix("10.42.0.0/15"), netip.MustParsePrefix("10.88.0.0/16"), netip.MustParsePrefix("10.96.0.0/12"), netip.MustParsePrefix("10.244.0.0/16"),
	netip.MustParsePrefix("172.17.0.0/16"), netip.MustParsePrefix("192.168.0.0/23"), netip.MustParsePrefix("192.168.178.0/24"),
}

// errNoNetwork says that all private networks are taken.
var errNoNetwork = errors.New("every private /24 is taken on this host")

// Network4 draws a private /24 that overlaps none of those taken.
func Network4(random io.Reader, taken []netip.Prefix) (netip.Prefix, error) {
	overlaps := func(p netip.Prefix, list []netip.Prefix) bool {
		return slices.ContainsFunc(list, func(t netip.Prefix) bool { return t.Bits() > 0 && t.Overlaps(p) })
	}
	for range drawn {
		var b [2]byte
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return netip.Prefix{}, err
		}
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, b[0], b[1], 0}), 24)
		if !overlaps(p, taken) && !overlaps(p, common) {
			return p, nil
		}
	}
	for _, pool := range pools {
		for a := pool.Addr(); pool.Contains(a); a = nth(a, 256) {
			if p := netip.PrefixFrom(a, 24); !overlaps(p, taken) {
				return p, nil
			}
		}
	}
	return netip.Prefix{}, errNoNetwork
}

// Network6 draws a unique local /64, as RFC 4193 does: 40 random bits, and the
// first subnet.
func Network6(random io.Reader, taken []netip.Prefix) (netip.Prefix, error) {
	for {
		b := [16]byte{0xfd}
		if _, err := io.ReadFull(random, b[1:6]); err != nil {
			return netip.Prefix{}, err
		}
		p := netip.PrefixFrom(netip.AddrFrom16(b), 64)
		if !slices.ContainsFunc(taken, func(t netip.Prefix) bool { return t.Bits() > 8 && t.Overlaps(p) }) { // fd00::/8 would leave none
			return p, nil
		}
	}
}

// First is the first address of a network that a host can have, with the
// network's length.
func First(network netip.Prefix) netip.Prefix {
	return netip.PrefixFrom(nth(network.Masked().Addr(), firstHost(network)), network.Bits())
}
