package tun

import (
	"errors"
	"os"
	"runtime"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestEvents(t *testing.T) {
	n := newNamespace(t)
	d := n.create("events", 1400, 1)
	if d.Name() != "events" || d.MTU() != 1400 {
		t.Fatalf("%s, MTU %d", d.Name(), d.MTU())
	}
	expect(t, d, Down)
	l := n.link("events")
	n.up("events")
	expect(t, d, Up)
	n.check(n.nl.LinkSetMTU(l, 1300))
	expect(t, d, MTUChanged)
	if d.MTU() != 1300 {
		t.Errorf("MTU %d after the event", d.MTU())
	}
	n.check(n.nl.LinkSetDown(l))
	expect(t, d, Down)
	n.check(n.nl.LinkSetName(l, "renamed"))
	n.up("renamed")
	expect(t, d, Up)
	if d.Name() != "renamed" {
		t.Errorf("name %q", d.Name())
	}
}

func TestNoLinkLocalAddress(t *testing.T) {
	n := newNamespace(t)
	d := n.create("nolinklocal", 0, 1)
	if d.MTU() != DefaultMTU {
		t.Errorf("MTU %d", d.MTU())
	}
	n.up("nolinklocal", "fd00::1/64")
	expect(t, d, Down)
	expect(t, d, Up)
	as, err := n.nl.AddrList(n.link("nolinklocal"), unix.AF_INET6)
	n.check(err)
	for _, a := range as {
		if a.IP.IsLinkLocalUnicast() {
			t.Errorf("the link has %v", a)
		}
	}
	if len(as) != 1 {
		t.Errorf("%d addresses, want the one that was given", len(as))
	}
}

func TestDeletedLink(t *testing.T) {
	n := newNamespace(t)
	d := n.create("deleted", 0, 2)
	a, b := readUntilClosed(d.Queues()[0]), readUntilClosed(d.Queues()[1])
	n.check(n.nl.LinkDel(n.link("deleted")))
	for _, ended := range []<-chan error{a, b} {
		if err := <-ended; err != os.ErrClosed {
			t.Errorf("read: %v", err)
		}
	}
	drain(d) // ends when the channel is closed
	if _, err := d.Queues()[0].Write([][]byte{{0x45}}); err != os.ErrClosed {
		t.Errorf("write: %v", err)
	}
}

func TestDeletedWithoutReader(t *testing.T) {
	n := newNamespace(t)
	d := n.create("deleted", 0, 1)
	n.check(n.nl.LinkDel(n.link("deleted")))
	drain(d)
}

func TestCloseWakesReaders(t *testing.T) {
	n := newNamespace(t)
	d := n.create("closed", 0, 2)
	a, b := readUntilClosed(d.Queues()[0]), readUntilClosed(d.Queues()[1])
	n.check(d.Close())
	n.check(d.Close())
	for _, ended := range []<-chan error{a, b} {
		if err := <-ended; err != os.ErrClosed {
			t.Errorf("read: %v", err)
		}
	}
	drain(d)
	if _, err := n.nl.LinkByName("closed"); err == nil {
		t.Error("the link is still there")
	}
}

// Nobody has looked at the events: Close ends who has one more to tell.
func TestCloseWithEventsUnread(t *testing.T) {
	n := newNamespace(t)
	others := goleak.IgnoreCurrent()
	d := n.create("unread", 0, 1)
	for i := range 3 * cap(d.events) {
		n.check(n.nl.LinkSetMTU(n.link("unread"), 1300+i%2))
	}
	for len(d.Events()) < cap(d.Events()) {
		runtime.Gosched()
	}
	n.check(d.Close())
	goleak.VerifyNone(t, others)
}

func TestMovedLink(t *testing.T) {
	for _, test := range []struct {
		name string
		deaf bool // without the privilege to hear of other namespaces
	}{{"followed", false}, {"unheard of", true}} {
		t.Run(test.name, func(t *testing.T) {
			from, to := newNamespace(t), newNamespace(t)
			var d Device
			var err error
			from.do(func() {
				if test.deaf {
					err = dropCapability(unix.CAP_NET_BROADCAST)
				}
				if err == nil {
					d, err = Create("moved", 0, 1)
				}
			})
			from.check(err)
			defer d.Close()
			expect(t, d, Down)
			ended := readUntilClosed(d.Queues()[0])
			from.up("moved")
			expect(t, d, Up)
			from.check(from.nl.LinkSetNsFd(from.link("moved"), int(to.handle)))
			expect(t, d, Down) // the kernel takes a link down that it moves
			to.up("moved", "10.9.0.1/24")
			expect(t, d, Up)
			if !test.deaf {
				to.check(to.nl.LinkSetMTU(to.link("moved"), 1333))
				expect(t, d, MTUChanged)
				if d.MTU() != 1333 {
					t.Errorf("MTU %d", d.MTU())
				}
			}
			to.check(to.nl.LinkDel(to.link("moved")))
			if err := <-ended; err != os.ErrClosed {
				t.Errorf("read: %v", err)
			}
			drain(d)
		})
	}
}

// dropCapability takes a capability from the calling thread.
func dropCapability(capability uint) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return err
	}
	data[capability/32].Effective &^= 1 << (capability % 32)
	return unix.Capset(&header, &data[0])
}

func TestNamespaceThatDies(t *testing.T) {
	from, to := newNamespace(t), newNamespace(t)
	d := from.create("orphan", 0, 1)
	expect(t, d, Down)
	ended := readUntilClosed(d.Queues()[0])
	from.check(from.nl.LinkSetNsFd(from.link("orphan"), int(to.handle)))
	to.nl.Close()
	to.handle.Close()
	if err := <-ended; err != os.ErrClosed {
		t.Errorf("read: %v", err)
	}
	drain(d)
}

func TestCreateErrors(t *testing.T) {
	n := newNamespace(t)
	n.create("taken", 0, 1)
	n.create("several", 0, 2)
	n.up("lo")
	for _, test := range []struct {
		name   string
		queues int
		want   string
	}{
		{"taken", 1, "tun \"taken\": device or resource busy (the name is taken by a running program: stop that one, or choose another name)"},
		{"taken", 2, "tun \"taken\": device or resource busy (the name is taken by a running program: stop that one, or choose another name)"},
		{"several", 1, "tun \"several\": device or resource busy (the name is taken by a running program: stop that one, or choose another name)"},
		{"several", 2, "tun \"several\": device or resource busy (the name is taken by a running program: stop that one, or choose another name)"},
		{"lo", 1, "tun \"lo\": invalid argument (a link of that name is there and is no TUN link: delete it, or choose another name)"},
		{"lo", 2, "tun \"lo\": invalid argument (a link of that name is there and is no TUN link: delete it, or choose another name)"},
		{"0123456789abcdef", 1, "tun \"0123456789abcdef\": name is longer than 15 characters"},
	} {
		n.do(func() {
			_, err := Create(test.name, 0, test.queues)
			if err == nil || err.Error() != test.want {
				t.Errorf("%q: %v", test.name, err)
			}
		})
	}
	for _, test := range []struct {
		err  error
		want string
	}{
		{&os.PathError{Op: "open", Path: clonePath, Err: unix.ENOENT}, "tun \"x\": open /dev/net/tun: no such file or directory (load the kernel's module (modprobe tun), or give the container the device)"},
		{&os.PathError{Op: "open", Path: clonePath, Err: unix.EACCES}, "tun \"x\": open /dev/net/tun: permission denied (run as root, or with CAP_NET_ADMIN)"},
		{unix.EPERM, "tun \"x\": operation not permitted (run as root, or with CAP_NET_ADMIN)"},
		{unix.ENOMEM, "tun \"x\": cannot allocate memory"},
	} {
		if got := explain("x", test.err, false); got.Error() != test.want || !errors.Is(got, test.err) {
			t.Errorf("%v", got)
		}
	}
}
