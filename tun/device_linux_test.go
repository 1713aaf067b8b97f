package tun

import (
	"net/netip"
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// namespace is a network namespace of a test's own. It has no name and ends with the
// last descriptor, also when the test is killed.
type namespace struct {
	t      *testing.T
	handle netns.NsHandle
	nl     *netlink.Handle
}

func newNamespace(t *testing.T) *namespace {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it makes network namespaces and TUN links")
	}
	n := &namespace{t: t}
	var err error
	onThread(func() { n.handle, err = netns.New() })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.handle.Close() })
	if n.nl, err = netlink.NewHandleAt(n.handle); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.nl.Close)
	return n
}

// onThread runs f on a thread that is thrown away afterwards.
func onThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		f()
	}()
	<-done
}

// do runs f inside the namespace.
func (n *namespace) do(f func()) {
	n.t.Helper()
	var err error
	onThread(func() {
		if err = netns.Set(n.handle); err == nil {
			f()
		}
	})
	if err != nil {
		n.t.Fatal(err)
	}
}

// create makes a device in the namespace, closed at the test's end.
func (n *namespace) create(name string, mtu, queues int) *native {
	n.t.Helper()
	var d Device
	var err error
	n.do(func() { d, err = Create(name, mtu, queues) })
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { d.Close() })
	return d.(*native)
}

func (n *namespace) link(name string) netlink.Link {
	n.t.Helper()
	l, err := n.nl.LinkByName(name)
	if err != nil {
		n.t.Fatal(err)
	}
	return l
}

func (n *namespace) check(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

// up gives the link addresses and switches it on.
func (n *namespace) up(name string, prefixes ...string) {
	n.t.Helper()
	l := n.link(name)
	for _, p := range prefixes {
		a, err := netlink.ParseAddr(p)
		n.check(err)
		if netip.MustParsePrefix(p).Addr().Is6() {
			a.Flags = 0x02 // IFA_F_NODAD: usable at once
		}
		n.check(n.nl.AddrAdd(l, a))
	}
	n.check(n.nl.LinkSetUp(l))
}

// expect waits for the next event, which must be want.
func expect(t *testing.T, d Device, want Event) {
	t.Helper()
	if e, ok := <-d.Events(); !ok || e != want {
		t.Fatalf("event %v (open %v), want %v", e, ok, want)
	}
}
