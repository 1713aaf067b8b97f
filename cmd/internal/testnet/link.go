//go:build linux

package testnet

import (
	"fmt"
	"net"
	"net/netip"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Link is a network interface of a host.
type Link struct {
	Host *Host
	Name string
}

// Connect joins two hosts by a veth pair, both ends up. The MTU is 68 to 65535,
// or 0 for 1500.
func Connect(a, b *Host, mtu int) (atA, atB *Link) {
	a.tb.Helper()
	if mtu == 0 {
		mtu = 1500
	}
	atA, atB = a.nextLink(), b.nextLink()
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = atA.Name, mtu
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: atB.Name, PeerNamespace: netlink.NsFd(b.ns), PeerMTU: uint32(mtu)}
	a.check(a.nl.LinkAdd(veth), "add veth to %s", b.Name)
	for _, l := range []*Link{atA, atB} {
		// A neighbour that does not answer the first time is asked again soon.
		l.Host.Sysctl("ipv4/neigh/"+l.Name+"/retrans_time_ms", "20")
		l.Host.Sysctl("ipv6/neigh/"+l.Name+"/retrans_time_ms", "20")
		l.Up()
	}
	// The kernel notices carriers once a second at times, and a link drops what is
	// sent before.
	Until(a.tb, "the link has a carrier", func() bool {
		return atA.get().Attrs().OperState == netlink.OperUp && atB.get().Attrs().OperState == netlink.OperUp
	})
	return atA, atB
}

func (h *Host) nextLink() *Link {
	h.links++
	return &Link{Host: h, Name: fmt.Sprintf("eth%d", h.links-1)}
}

// Link names an interface of the host that something else makes.
func (h *Host) Link(name string) *Link { return &Link{Host: h, Name: name} }

func (l *Link) get() netlink.Link {
	l.Host.tb.Helper()
	link, err := l.Host.nl.LinkByName(l.Name)
	l.Host.check(err, "link %s", l.Name)
	return link
}

// Exists says whether the host has such an interface now.
func (l *Link) Exists() bool {
	_, err := l.Host.nl.LinkByName(l.Name)
	return err == nil
}

// Up sets the link up.
func (l *Link) Up() {
	l.Host.tb.Helper()
	l.Host.check(l.Host.nl.LinkSetUp(l.get()), "%s up", l.Name)
}

// Down sets the link down.
func (l *Link) Down() {
	l.Host.tb.Helper()
	l.Host.check(l.Host.nl.LinkSetDown(l.get()), "%s down", l.Name)
}

// SetMTU sets the link's MTU.
func (l *Link) SetMTU(mtu int) {
	l.Host.tb.Helper()
	l.Host.check(l.Host.nl.LinkSetMTU(l.get(), mtu), "%s mtu %d", l.Name, mtu)
}

// MTU returns the link's MTU.
func (l *Link) MTU() int { return l.get().Attrs().MTU }

// Delete removes the link.
func (l *Link) Delete() {
	l.Host.tb.Helper()
	l.Host.check(l.Host.nl.LinkDel(l.get()), "delete %s", l.Name)
}

// MoveTo moves the link to another host, where it is down and without addresses.
func (l *Link) MoveTo(to *Host) *Link {
	l.Host.tb.Helper()
	l.Host.check(l.Host.nl.LinkSetNsFd(l.get(), int(to.ns)), "move %s to %s", l.Name, to.Name)
	return to.Link(l.Name)
}

// Address gives the link addresses, such as "10.0.0.1/24". IPv6 ones are usable
// at once: there is no duplicate address detection.
func (l *Link) Address(prefixes ...string) {
	l.Host.tb.Helper()
	for _, prefix := range prefixes {
		l.Host.check(l.Host.nl.AddrReplace(l.get(), address(prefix)), "add %s to %s", prefix, l.Name)
	}
}

// RemoveAddress takes addresses from the link.
func (l *Link) RemoveAddress(prefixes ...string) {
	l.Host.tb.Helper()
	for _, prefix := range prefixes {
		l.Host.check(l.Host.nl.AddrDel(l.get(), address(prefix)), "remove %s from %s", prefix, l.Name)
	}
}

func address(prefix string) *netlink.Addr {
	p := netip.MustParsePrefix(prefix)
	a := &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}}
	if p.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD
	}
	return a
}

// Route sends a prefix out by the link. Via is the next router, or empty; an mtu
// of 0 leaves the link's.
func (l *Link) Route(prefix, via string, mtu int) {
	l.Host.tb.Helper()
	p := netip.MustParsePrefix(prefix).Masked()
	route := &netlink.Route{
		LinkIndex: l.get().Attrs().Index,
		Dst:       &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())},
		MTU:       mtu,
	}
	if via != "" {
		route.Gw = netip.MustParseAddr(via).AsSlice()
	} else {
		route.Scope = netlink.SCOPE_LINK
	}
	if p.Addr().Is6() {
		route.Priority = 256 // of the route that comes with an address, to replace it
	}
	l.Host.check(l.Host.nl.RouteReplace(route), "route %s via %s dev %s", prefix, via, l.Name)
}

// DisableTxChecksum does what `ethtool --offload LINK tx off` does: without
// checksum offload the kernel has no segmentation offload either.
func (l *Link) DisableTxChecksum() {
	l.Host.tb.Helper()
	value := struct{ Command, Data uint32 }{unix.ETHTOOL_STXCSUM, 0}
	request := struct {
		Name [unix.IFNAMSIZ]byte
		Data unsafe.Pointer
		_    [16]byte
	}{Data: unsafe.Pointer(&value)}
	copy(request.Name[:], l.Name)
	l.Host.Do(func() {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		l.Host.check(err, "socket")
		defer func() { _ = unix.Close(fd) }()
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request))); errno != 0 {
			l.Host.check(errno, "%s tx off", l.Name)
		}
	})
}

// Sent returns the bytes that the host has sent out by the link.
func (l *Link) Sent() uint64 {
	l.Host.tb.Helper()
	return l.get().Attrs().Statistics.TxBytes
}
