package diagnose

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"vpn/cmd/internal/report"
)

// hop is what the kernel answers of an address.
type hop struct {
	link  string
	from  net.IP
	mtu   int // of the route, or what came back from the path, or else the link's
	local bool
}

// lookUp asks the kernel for the way to an address, as a message with that mark would go.
func lookUp(a netip.Addr, mark uint32) (hop, error) {
	found, err := netlink.RouteGetWithOptions(a.WithZone("").AsSlice(), &netlink.RouteGetOptions{Mark: mark})
	switch {
	case err != nil:
		return hop{}, err
	case len(found) == 0:
		return hop{}, unix.ENETUNREACH
	}
	r := &found[0]
	h := hop{from: r.Src, mtu: r.MTU, local: r.Type == unix.RTN_LOCAL}
	switch r.Type {
	case unix.RTN_UNREACHABLE, unix.RTN_BLACKHOLE, unix.RTN_PROHIBIT, unix.RTN_THROW:
		return hop{}, unix.EHOSTUNREACH
	}
	l, err := net.InterfaceByIndex(r.LinkIndex)
	if err != nil {
		return hop{}, err
	}
	h.link = l.Name
	if h.mtu == 0 {
		h.mtu = l.MTU
	}
	return h, nil
}

// reason is an error of the system in its own words alone.
func reason(err error) string {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return err.Error()
}

// wayTo is how the tunnel's own messages go.
func wayTo(endpoint netip.Addr, i *report.Interface) *Way {
	if !endpoint.IsValid() {
		return nil
	}
	endpoint = endpoint.Unmap()
	h, err := lookUp(endpoint, i.FwMark)
	if err != nil {
		return &Way{Err: reason(err)}
	}
	w := &Way{Link: h.link, Source: h.from.String(), MTU: h.mtu, Inside: h.link == i.Name}
	if endpoint.Is4() && i.FwMark != 0 && filter(h.link) == "1" && sysctl("ipv4/conf/all/src_valid_mark") != "1" {
		plain, err := lookUp(endpoint, 0)
		w.Filtered = err == nil && plain.link == i.Name
	}
	return w
}

// sysctl is a variable below /proc/sys/net, empty if there is none.
func sysctl(path string) string {
	text, err := os.ReadFile(filepath.Join("/proc/sys/net", path))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// filter is how strict a link's reverse-path filter is: the stricter of its own setting and of everybody's counts.
func filter(link string) string {
	number := func(which string) int {
		n, err := strconv.Atoi(sysctl("ipv4/conf/" + which + "/rp_filter"))
		if err != nil {
			return 0
		}
		return n
	}
	return strconv.Itoa(max(number("all"), number(link)))
}

// filterName is the setting that makes it so.
func filterName(link string) string {
	if sysctl("ipv4/conf/"+link+"/rp_filter") == filter(link) {
		return "net.ipv4.conf." + strings.ReplaceAll(link, ".", "/") + ".rp_filter"
	}
	return "net.ipv4.conf.all.rp_filter"
}

// maxRoutes is how many prefixes of a peer are looked at.
const maxRoutes = 64

// routesTo looks where packets to prefixes go. A prefix of which one address leads into the tunnel is as it should be: what is local, or cut
// out on purpose, says nothing about the rest.
func routesTo(prefixes []netip.Prefix, tunnel string) (all []Prefixed) {
	for _, prefix := range prefixes[:min(len(prefixes), maxRoutes)] {
		if prefix.Addr().Is6() && !hasIPv6() {
			continue
		}
		if r, ok := routeTo(prefix, tunnel); ok {
			all = append(all, r)
		}
	}
	return all
}

func hasIPv6() bool { return sysctl("ipv6/conf/all/disable_ipv6") == "0" }

// routeTo reports false where all that was tried is this host's own.
func routeTo(prefix netip.Prefix, tunnel string) (worst Prefixed, ok bool) {
	for _, a := range samples(prefix) {
		h, err := lookUp(a, 0)
		switch {
		case err != nil:
			worst, ok = Prefixed{Prefix: prefix, Address: a, Err: reason(err)}, true
		case h.local:
		case h.link == tunnel:
			return Prefixed{Prefix: prefix, Address: a, Link: h.link}, true
		default:
			worst, ok = Prefixed{Prefix: prefix, Address: a, Link: h.link}, true
		}
	}
	return worst, ok
}

// samples are addresses of a prefix: the first that a host may have, and some from all over it.
func samples(prefix netip.Prefix) []netip.Addr {
	prefix = prefix.Masked()
	first := prefix.Addr()
	if prefix.IsSingleIP() {
		return []netip.Addr{first}
	}
	all := []netip.Addr{first.Next()}
	for _, part := range []byte{0x55, 0x80, 0xc1} {
		b := first.AsSlice()
		for bit := prefix.Bits(); bit < first.BitLen(); bit++ {
			mask := byte(0x80) >> (bit % 8)
			pattern := part >> ((bit - prefix.Bits()) % 8) & 1
			if pattern == 1 {
				b[bit/8] |= mask
			}
		}
		if a, ok := netip.AddrFromSlice(b); ok && !a.IsMulticast() && !a.IsLoopback() {
			all = append(all, a)
		}
	}
	return all
}
