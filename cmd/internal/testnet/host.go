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

// Host is a network namespace with its loopback up.
type Host struct {
	Name string // for messages only

	tb    TB
	ns    netns.NsHandle
	nl    *netlink.Handle
	links int // veth ends given so far, for their names
}

// NewHost makes a namespace that lives as long as the test.
func NewHost(tb TB, name string) *Host {
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
		h.ns, err = netns.New()
		made <- err
	}()
	h.check(<-made, "new namespace")
	tb.Cleanup(func() { h.check(h.ns.Close(), "close the namespace") })
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

// Do calls f in the namespace, on the caller's goroutine. Sockets that f opens
// stay in the namespace wherever they are used later; goroutines that it starts
// do not.
func (h *Host) Do(f func()) {
	h.tb.Helper()
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
