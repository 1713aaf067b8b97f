package udp

import (
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// world is two network namespaces without names, joined by a veth pair. They
// live as long as the test's thread, which is never used for anything else,
// and their sockets.
type world struct {
	t    *testing.T
	a, b *place
}

// place is one of the namespaces.
type place struct {
	t    *testing.T
	ns   netns.NsHandle
	nl   *netlink.Handle
	veth netlink.Link
}

// newWorld makes a world, or reports false to a user who may not. What it made
// is gone when the test ends.
func newWorld(t *testing.T) (*world, bool) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Log("needs root to make network namespaces: nothing was tested")
		return nil, false
	}
	runtime.LockOSThread() // and never unlocked: the thread ends with the test
	w := &world{t: t, a: newPlace(t), b: newPlace(t)}
	pair := &netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: "left"},
		PeerName:      "right",
		PeerNamespace: netlink.NsFd(w.b.ns),
	}
	must(t, w.a.nl.LinkAdd(pair))
	w.a.veth, w.b.veth = w.a.up("left"), w.b.up("right")
	for i, p := range []*place{w.a, w.b} {
		p.up("lo")
		n := string(rune('1' + i))
		p.addr(p.veth, "10.7.0."+n+"/24")
		p.addr(p.veth, "fd07::"+n+"/64")
	}
	return w, true
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newPlace(t *testing.T) *place {
	t.Helper()
	ns, err := netns.New() // and enters it
	must(t, err)
	nl, err := netlink.NewHandleAt(ns)
	must(t, err)
	t.Cleanup(func() {
		nl.Close()
		ns.Close()
	})
	p := &place{t: t, ns: ns, nl: nl}
	// Link-local addresses are given by hand, without the seconds that it
	// takes the kernel to be sure of its own.
	must(t, os.WriteFile("/proc/sys/net/ipv6/conf/default/addr_gen_mode", []byte("1"), 0))
	return p
}

func (p *place) up(name string) netlink.Link {
	p.t.Helper()
	link, err := p.nl.LinkByName(name)
	must(p.t, err)
	must(p.t, p.nl.LinkSetUp(link))
	return link
}

func (p *place) addr(link netlink.Link, cidr string) {
	p.t.Helper()
	a, err := netlink.ParseAddr(cidr)
	must(p.t, err)
	if a.IP.To4() == nil {
		a.Flags = unix.IFA_F_NODAD
	}
	must(p.t, p.nl.AddrAdd(link, a))
}

func (p *place) delAddr(link netlink.Link, cidr string) {
	p.t.Helper()
	a, err := netlink.ParseAddr(cidr)
	must(p.t, err)
	must(p.t, p.nl.AddrDel(link, a))
}

// other is another interface, with addresses, that leads nowhere.
func (p *place) other(cidrs ...string) {
	p.t.Helper()
	must(p.t, p.nl.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "other"}, PeerName: "nowhere"}))
	p.up("nowhere")
	link := p.up("other")
	for _, cidr := range cidrs {
		p.addr(link, cidr)
	}
}

func (p *place) route(cidr, via string, kind int) {
	p.t.Helper()
	_, dst, err := net.ParseCIDR(cidr)
	must(p.t, err)
	r := &netlink.Route{Dst: dst, Type: kind}
	if via != "" {
		r.Gw = net.ParseIP(via)
		r.LinkIndex = p.veth.Attrs().Index
	}
	must(p.t, p.nl.RouteAdd(r))
}

// enter makes the test's thread work in the namespace.
func (p *place) enter() {
	p.t.Helper()
	must(p.t, netns.Set(p.ns))
}

func (p *place) open(o Opener) *Sockets {
	p.t.Helper()
	p.enter()
	return open(p.t, o)
}

func at(addr string, port uint16) *Endpoint {
	return &Endpoint{Addr: netip.AddrPortFrom(netip.MustParseAddr(addr), port)}
}
