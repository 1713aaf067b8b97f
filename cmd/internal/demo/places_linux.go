package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"vpn/tun"
	"vpn/tunnel"
	"vpn/tunnel/udp"
)

// Addresses of the link between the namespaces.
var (
	serverOuter = netip.MustParsePrefix("192.0.2.1/24")
	clientOuter = netip.MustParsePrefix("192.0.2.2/24")
)

const (
	outerLink = "veth0"
	tunName   = "tun0"
)

// newNamespaces makes two network namespaces, joined by a pair of veth links.
// They have no names: only this process's descriptors hold them, so that they
// are gone with all links in them when it ends, even if it is killed.
func newNamespaces() (_ *places, err error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("--netns makes TUN devices and network namespaces, which takes root: use sudo, or leave --netns out")
	}
	var made []*namespace
	undo := func() error {
		var errs []error
		for _, n := range made {
			errs = append(errs, n.close())
		}
		return errors.Join(errs...)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, undo())
		}
	}()
	for _, outer := range []netip.Prefix{serverOuter, clientOuter} {
		n, err := newNamespace(outer)
		if err != nil {
			return nil, err
		}
		made = append(made, n)
	}
	if err := join(made[0], made[1]); err != nil {
		return nil, err
	}
	return &places{server: made[0], client: made[1], undo: undo, what: []string{
		"Two complete WireGuard tunnels in one process: each has a real TUN device in a",
		"network namespace of its own, and a veth pair joins them. All goes at the end.",
	}}, nil
}

// namespace is a network namespace with a device in it.
type namespace struct {
	ns     netns.NsHandle
	nl     *netlink.Handle
	prefix netip.Prefix // of the link to the other
}

func newNamespace(outer netip.Prefix) (*namespace, error) {
	n := &namespace{ns: netns.None(), prefix: outer}
	err := onThread(func() (err error) {
		n.ns, err = netns.New()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make a network namespace: %w", err)
	}
	if n.nl, err = netlink.NewHandleAt(n.ns, unix.NETLINK_ROUTE); err != nil {
		return nil, errors.Join(fmt.Errorf("netlink: %w", err), n.close())
	}
	return n, nil
}

// onThread calls f on a thread that ends with it, and may be moved to another
// namespace therefore.
func onThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked
		done <- f()
	}()
	return <-done
}

// do calls f in the namespace. What f opens stays there wherever it is used.
func (n *namespace) do(f func() error) error {
	return onThread(func() error {
		if err := netns.Set(n.ns); err != nil {
			return fmt.Errorf("enter a network namespace: %w", err)
		}
		return f()
	})
}

func (n *namespace) close() error {
	if n.nl != nil {
		n.nl.Close()
	}
	return n.ns.Close()
}

// join makes a veth pair between two namespaces. It never shows in the one that
// we came from.
func join(a, b *namespace) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = outerLink
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: outerLink, PeerNamespace: netlink.NsFd(b.ns)}
	if err := a.nl.LinkAdd(veth); err != nil {
		return fmt.Errorf("add a veth pair: %w", err)
	}
	for _, n := range []*namespace{a, b} {
		if err := n.address(outerLink, n.prefix); err != nil {
			return err
		}
	}
	return nil
}

// address gives a link its addresses and sets it up.
func (n *namespace) address(name string, prefixes ...netip.Prefix) error {
	link, err := n.nl.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find link %s: %w", name, err)
	}
	for _, p := range prefixes {
		a := &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}}
		if err := n.nl.AddrAdd(link, a); err != nil {
			return fmt.Errorf("add %v to %s: %w", p, name, err)
		}
	}
	if err := n.nl.LinkSetUp(link); err != nil {
		return fmt.Errorf("set %s up: %w", name, err)
	}
	return nil
}

func (n *namespace) outer() netip.Addr   { return n.prefix.Addr() }
func (n *namespace) sockets() udp.Opener { return opener{n} }

// opener opens sockets in a namespace.
type opener struct{ *namespace }

func (o opener) Open(port uint16, mark uint32) (s *udp.Sockets, err error) {
	err = o.do(func() (err error) {
		s, err = udp.Spread(tunnel.Lines()).Open(port, mark)
		return err
	})
	return s, err
}

func (n *namespace) device(addrs []netip.Prefix) (d tun.Device, err error) {
	err = n.do(func() (err error) {
		d, err = tun.Create(tunName, tun.DefaultMTU, tunnel.Lines())
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := n.address(d.Name(), addrs...); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (n *namespace) listen(at netip.AddrPort) (l net.Listener, err error) {
	err = n.do(func() (err error) {
		l, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
		return err
	})
	return l, err
}

func (n *namespace) listenPacket(at netip.AddrPort) (c net.PacketConn, err error) {
	err = n.do(func() (err error) {
		c, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
		return err
	})
	return c, err
}

func (n *namespace) dial(ctx context.Context, network string, to netip.AddrPort) (c net.Conn, err error) {
	// The address is a literal, so the dialer makes its socket on this very thread.
	err = n.do(func() (err error) {
		c, err = new(net.Dialer).DialContext(ctx, network, to.String())
		return err
	})
	return c, err
}
