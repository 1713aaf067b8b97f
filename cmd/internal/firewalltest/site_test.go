//go:build linux

package firewalltest

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vpn/cmd/internal/testnet"
	"vpn/tun/host/firewall"
)

func TestMain(m *testing.M) { os.Exit(testnet.Main(m)) }

// tunnel is the gateway's link that stands for the tunnel.
const tunnel = "eth1"

// fwmark is that of the tunnel's messages.
const fwmark = 51820

// site is a gateway with the net at eth0, the tunnel's far end at eth1, and a
// local network at eth2.
type site struct {
	t                      *testing.T
	gateway, net, far, lan *testnet.Host
	atNet, atFar, atLAN    *testnet.Link           // the far ends of the gateway's links
	sinks                  map[string]*net.UDPConn // by address: what comes to port 9000 of its host, over both families
}

// address is one in both families.
type address struct{ four, six string }

func (a address) in(six bool) string {
	if six {
		return a.six
	}
	return a.four
}

// The hosts' addresses. The net has a further one that the kill switch allows.
var (
	netHost  = address{"192.0.2.2", "fd02::2"}
	netNear  = address{"192.0.2.1", "fd02::1"} // the gateway's
	allowed  = address{"203.0.113.1", "fd13::1"}
	farHost  = address{"10.9.0.2", "fd09::2"}
	farNear  = address{"10.9.0.1", "fd09::1"} // the gateway's, in the tunnel
	lanHost  = address{"10.3.0.2", "fd03::2"}
	lanNear  = address{"10.3.0.1", "fd03::1"}
	anywhere = address{"198.51.100.1", "fd99::1"} // behind the default route
)

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, gateway: testnet.NewHost(t, "gateway"), net: testnet.NewHost(t, "net"), far: testnet.NewHost(t, "far end"),
		lan: testnet.NewHost(t, "local network"), sinks: map[string]*net.UDPConn{}}
	s.gateway.Forward()
	connect := func(h *testnet.Host, own, near address) (at *testnet.Link) {
		gateway, at := testnet.Connect(s.gateway, h, 0)
		gateway.Address(near.four+"/24", near.six+"/64")
		at.Address(own.four+"/24", own.six+"/64")
		return at
	}
	s.atNet = connect(s.net, netHost, netNear)
	s.atFar = connect(s.far, farHost, farNear)
	s.atLAN = connect(s.lan, lanHost, lanNear)
	s.atFar.Route("0.0.0.0/0", farNear.four, 0)
	s.atFar.Route("::/0", farNear.six, 0)
	s.atLAN.Route("0.0.0.0/0", lanNear.four, 0)
	s.atLAN.Route("::/0", lanNear.six, 0)
	eth0 := s.gateway.Link("eth0")
	eth0.Route("0.0.0.0/0", netHost.four, 0)
	eth0.Route("::/0", netHost.six, 0)
	s.net.Link("lo").Address(allowed.four+"/32", allowed.six+"/128", anywhere.four+"/32", anywhere.six+"/128")
	for _, a := range []address{netHost, farHost, lanHost} {
		s.gateway.MustPing(a.four)
		s.gateway.MustPing(a.six)
	}
	s.knows(s.net, netHost, allowed, anywhere)
	s.knows(s.far, farHost)
	s.knows(s.lan, lanHost)
	s.knows(s.gateway, netNear, farNear, lanNear, address{"127.0.0.1", "::1"})
	return s
}

// knows opens a host's sink for its addresses.
func (s *site) knows(h *testnet.Host, all ...address) {
	s.t.Helper()
	k := h.ListenUDP("[::]:9000")
	for _, a := range all {
		s.sinks[a.four], s.sinks[a.six] = k, k
	}
}

// netReturns lets the net know its way back to what is behind the gateway.
func (s *site) netReturns() {
	s.t.Helper()
	for _, a := range []address{farHost, lanHost} {
		s.atNet.Route(a.four+"/24", netNear.four, 0)
		s.atNet.Route(a.six+"/64", netNear.six, 0)
	}
}

// each runs a test in both families.
func each(t *testing.T, test func(t *testing.T, six bool)) {
	t.Helper()
	t.Run("IPv4", func(t *testing.T) { test(t, false) })
	t.Run("IPv6", func(t *testing.T) { test(t, true) })
}

// load loads a table and takes it away at the end, when nothing may be left.
func (s *site) load(r firewall.Ruleset) {
	s.t.Helper()
	s.gateway.Do(func() {
		if err := r.Load(); err != nil {
			s.t.Fatal(err)
		}
	})
}

// unload takes a table away, after which the gateway has none.
func (s *site) unload(r firewall.Ruleset) {
	s.t.Helper()
	s.gateway.Do(func() {
		if err := r.Table().Delete(); err != nil {
			s.t.Error(err)
		}
	})
	if left := s.gateway.MustRun("nft", "list", "ruleset"); strings.TrimSpace(left) != "" {
		s.t.Errorf("left behind:\n%s", left)
	}
}

// socket opens one on a host, with a mark if it is not 0, from a port, or 0 for any.
func (s *site) socket(from *testnet.Host, six bool, mark, port int) *net.UDPConn {
	s.t.Helper()
	any := address{"0.0.0.0", "::"}.in(six)
	conn := from.ListenUDP(netip.AddrPortFrom(netip.MustParseAddr(any), uint16(port)).String())
	raw, err := conn.SyscallConn()
	if err == nil && mark != 0 {
		err = errors.Join(raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, mark) }), err)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return conn
}

// count numbers the datagrams.
var count atomic.Int64

func send(conn *net.UDPConn, to string) (text string, err error) {
	text = fmt.Sprint("datagram ", count.Add(1))
	_, err = conn.WriteToUDPAddrPort([]byte(text), netip.AddrPortFrom(netip.MustParseAddr(to), 9000))
	return text, err
}

// comes waits for a text at an address and returns who sent it. It fails the test
// where another that must not come is there first.
func (s *site) comes(to, text, not string) (from netip.AddrPort) {
	s.t.Helper()
	conn := s.sinks[to]
	if err := conn.SetReadDeadline(time.Now().Add(testnet.Patience)); err != nil {
		s.t.Fatal(err)
	}
	b := make([]byte, 2048)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(b)
		if err != nil {
			s.t.Fatalf("%s does not come to %s: %v", text, to, err)
		}
		switch string(b[:n]) {
		case text:
			return netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		case not:
			s.t.Errorf("%s comes to %s", not, to)
		}
	}
}

// passes wants a datagram to come, at the first try, and returns whom it comes from.
func (s *site) passes(conn *net.UDPConn, to string) netip.AddrPort {
	s.t.Helper()
	text, err := send(conn, to)
	if err != nil {
		s.t.Errorf("to %s: %v", to, err)
		return netip.AddrPort{}
	}
	return s.comes(to, text, "")
}

// stops wants a datagram not to come: it is not there when a later one is that goes
// the same way to where it may.
func (s *site) stops(conn *net.UDPConn, to string, later *net.UDPConn, mayGo string) {
	s.t.Helper()
	not, err := send(conn, to)
	if isPermission(err) {
		return // as the kernel says where it drops what a host itself sends
	}
	if err != nil {
		s.t.Errorf("to %s: %v", to, err)
	}
	text, err := send(later, mayGo)
	if err != nil {
		s.t.Errorf("to %s: %v", mayGo, err)
		return
	}
	s.comes(mayGo, text, not)
}
