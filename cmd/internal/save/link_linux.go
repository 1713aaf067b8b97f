package save

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// link returns what the kernel has of a link: its addresses, in its order, and its
// MTU.
func link(name string) ([]netip.Prefix, int, error) {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return nil, 0, err
	}
	list, err := netlink.AddrList(l, netlink.FAMILY_ALL)
	if err != nil {
		return nil, 0, fmt.Errorf("addresses of %s: %w", name, err)
	}
	var addresses []netip.Prefix
	for _, a := range list {
		addr, ok := netip.AddrFromSlice(a.IP)
		ones, _ := a.Mask.Size()
		if ok {
			addresses = append(addresses, netip.PrefixFrom(addr.Unmap(), ones))
		}
	}
	return addresses, l.Attrs().MTU, nil
}
