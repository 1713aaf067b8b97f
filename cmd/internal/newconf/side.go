package newconf

import (
	"net/netip"
	"slices"

	"vpn/conf"
	"vpn/noise/key"
)

// Side is what a peer's own file is made of. It shares its keys with the file.
type Side struct {
	Private    *key.Private // nil: the peer has its own
	Preshared  *key.Preshared
	Addresses  []netip.Addr
	Public     key.Public // of the machine that the peer is added to
	Endpoint   conf.Endpoint
	FullTunnel bool           // all traffic goes through the tunnel
	Split      []netip.Prefix // goes through it besides the tunnel's own networks
	DNS        []netip.Addr
	DNSSearch  []string
	Keepalive  uint16 // seconds; 0: off
}

// Config is the file of a peer of the machine whose file is c.
func (s *Side) Config(c *conf.Config) *conf.Config {
	peer := conf.Peer{
		PublicKey:  conf.Given(s.Public),
		Preshared:  conf.Given(*s.Preshared),
		Endpoint:   conf.Given(s.Endpoint),
		AllowedIPs: s.allowedIPs(c),
	}
	if s.Keepalive != 0 {
		peer.Keepalive = conf.Given(s.Keepalive)
	}
	other := &conf.Config{Peers: []conf.Peer{peer}}
	i := &other.Interface
	if s.Private != nil {
		i.PrivateKey = conf.Given(*s.Private)
	}
	for _, a := range s.Addresses {
		i.Addresses = append(i.Addresses, conf.Given(netip.PrefixFrom(a, a.BitLen())))
	}
	for _, a := range s.DNS {
		i.DNS = append(i.DNS, conf.Given(a))
	}
	for _, d := range s.DNSSearch {
		i.DNSSearch = append(i.DNSSearch, conf.Given(d))
	}
	if c.Interface.MTU.Given { // what does not fit here does not fit from there
		i.MTU = conf.Given(c.Interface.MTU.Value)
	}
	return other
}

// allowedIPs are the prefixes that the peer sends through the tunnel, without
// those that another one covers.
func (s *Side) allowedIPs(c *conf.Config) (list []conf.AllowedIP) {
	if s.FullTunnel {
		return []conf.AllowedIP{{Prefix: netip.MustParsePrefix("0.0.0.0/0")}, {Prefix: netip.MustParsePrefix("::/0")}}
	}
	var all []netip.Prefix
	for _, a := range c.Interface.Addresses {
		all = append(all, a.Value.Masked())
	}
	for _, p := range s.Split {
		all = append(all, p.Masked())
	}
	for i, p := range all {
		covered := slices.ContainsFunc(all, func(o netip.Prefix) bool { return o.Bits() < p.Bits() && o.Contains(p.Addr()) })
		if !covered && !slices.Contains(all[:i], p) {
			list = append(list, conf.AllowedIP{Prefix: p})
		}
	}
	return list
}
