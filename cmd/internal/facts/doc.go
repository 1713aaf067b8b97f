// Package facts finds out what of a host matters to a configuration that is
// written or checked on it. It asks without changing anything, and without any
// right.
package facts

import (
	"net"
	"net/netip"

	"vpn/conf/lint"
)

// links returns all links but the one of that name.
func links(except string) ([]lint.Link, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var found []lint.Link
	for _, i := range all {
		if i.Name == except {
			continue
		}
		l := lint.Link{Name: i.Name, MTU: i.MTU}
		addresses, err := i.Addrs()
		if err != nil {
			return nil, err
		}
		for _, a := range addresses {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				l.Addresses = append(l.Addresses, p)
			}
		}
		found = append(found, l)
	}
	return found, nil
}
