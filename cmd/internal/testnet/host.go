//go:build linux

package testnet

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// TB is what this package asks of a test: *testing.T and *testing.B have it,
// and a benchmark program can.
type TB interface {
	Helper()
	Cleanup(func())
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skip(args ...any)
	Failed() bool
}

// Host is a network namespace with its loopback up. One of NewMachine also has
// files of its own.
type Host struct {
	Name string // for messages only

	tb    TB
	ns    netns.NsHandle
	files *os.File   // the mount namespace, nil where the files are the test's
	more  []*os.File // namespaces of other kinds, for what is started
	nl    *netlink.Handle
	links int // veth ends given so far, for their names
}

// NewHost makes a namespace that lives as long as the test. Processes that are
// left in it at the end are killed.
func NewHost(tb TB, name string) *Host {
	tb.Helper()
	return newHost(tb, name, nil)
}

// newHost makes a host. mount, if it is not nil, makes the calling thread's mount
// namespace another one, and returns it.
func newHost(tb TB, name string, mount func() (*os.File, error)) *Host {
	tb.Helper()
	if os.Geteuid() != 0 {
		tb.Skip("needs root, for network namespaces")
	}
	h := &Host{Name: name, tb: tb}
	made := make(chan error)
	go func() {
		// The thread belongs to the namespace from here on: it is never unlocked,
		// and so ends with this goroutine.
		runtime.LockOSThread()
		var err error
		if h.ns, err = netns.New(); err == nil && mount != nil {
			h.files, err = mount()
		}
		made <- err
	}()
	h.check(<-made, "new namespace")
	tb.Cleanup(func() {
		h.check(h.ns.Close(), "close the namespace")
		if h.files != nil {
			h.check(h.files.Close(), "close the mount namespace")
		}
	})
	tb.Cleanup(h.killAll)
	var err error
	h.nl, err = netlink.NewHandleAt(h.ns, unix.NETLINK_ROUTE, unix.NETLINK_NETFILTER)
	h.check(err, "netlink")
	tb.Cleanup(h.nl.Close)
	h.Link("lo").Up()
	h.Sysctl("ipv6/conf/default/accept_dad", "0") // addresses are there at once
	return h
}

// check fails the test if err is one.
func (h *Host) check(err error, format string, args ...any) {
	h.tb.Helper()
	if err != nil {
		h.tb.Fatalf("%s: %s: %v", h.Name, fmt.Sprintf(format, args...), err)
	}
}

// Do calls f in the namespaces of the host. Sockets that f opens stay in the
// network namespace wherever they are used later; goroutines that it starts do
// not. It may end the test.
func (h *Host) Do(f func()) {
	h.tb.Helper()
	if h.files != nil {
		h.doAway(f)
		return
	}
	runtime.LockOSThread()
	was, err := netns.Get()
	h.check(err, "own namespace")
	h.check(netns.Set(h.ns), "enter the namespace")
	defer func() {
		if err := netns.Set(was); err != nil {
			panic(err) // the thread must not be used by others
		}
		runtime.UnlockOSThread()
		_ = was.Close()
	}()
	f()
}

// doAway calls f on a thread that is used for nothing else: one that has been in
// a mount namespace of its own can't share the process's working folder again.
func (h *Host) doAway(f func()) {
	h.tb.Helper()
	ended := make(chan struct{})
	var entered error
	whole := false
	go func() {
		defer close(ended) // also when f ends the test
		runtime.LockOSThread()
		if entered = h.enter(); entered == nil {
			f()
		}
		whole = true
	}()
	<-ended
	h.check(entered, "enter the namespaces")
	if !whole {
		runtime.Goexit()
	}
}

// enter moves the calling thread into the host's namespaces. It is locked to its
// goroutine, and never unlocked.
func (h *Host) enter() error {
	if h.files != nil {
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return err
		}
		if err := unix.Setns(int(h.files.Fd()), unix.CLONE_NEWNS); err != nil {
			return err
		}
	}
	for _, ns := range h.more {
		if err := unix.Setns(int(ns.Fd()), 0); err != nil {
			return err
		}
	}
	return netns.Set(h.ns)
}

// Sysctl sets a key below /proc/sys/net, such as "ipv4/ip_forward".
func (h *Host) Sysctl(key, value string) {
	h.tb.Helper()
	h.Do(func() {
		h.check(os.WriteFile(filepath.Join("/proc/sys/net", key), []byte(value), 0o644), "sysctl %s", key)
	})
}

// Forward makes the host a router for both families.
func (h *Host) Forward() {
	h.tb.Helper()
	h.Sysctl("ipv4/ip_forward", "1")
	h.Sysctl("ipv6/conf/all/forwarding", "1")
}

// DisableIPv6 makes a host without IPv6.
func (h *Host) DisableIPv6() {
	h.tb.Helper()
	for _, which := range []string{"all", "default"} {
		h.Sysctl("ipv6/conf/"+which+"/disable_ipv6", "1")
	}
}

// ReadFile returns the text of a file as a process of the host sees it.
func (h *Host) ReadFile(path string) string {
	h.tb.Helper()
	var text []byte
	h.Do(func() {
		var err error
		text, err = os.ReadFile(path)
		h.check(err, "read")
	})
	return strings.TrimSpace(string(text))
}
