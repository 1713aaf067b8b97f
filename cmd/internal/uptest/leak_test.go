//go:build linux

package uptest

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"vpn/cmd/internal/testnet"

	"golang.org/x/sys/unix"
)

// leaks returns what left by the captured link that is not the tunnel's: neither
// a message to an endpoint nor how hosts of a link find each other.
func leaks(c *testnet.Capture, endpoints ...string) (found []string) {
	ours := map[netip.AddrPort]bool{}
	for _, e := range endpoints {
		ours[netip.MustParseAddrPort(e)] = true
	}
	for _, m := range c.Messages() {
		if m.Outgoing && !ours[m.To] {
			found = append(found, "UDP "+m.From.String()+" > "+m.To.String())
		}
	}
	for _, o := range c.Others() {
		if o.Outgoing && !neighbourDiscovery(o) {
			found = append(found, o.From.String()+" > "+o.To.String())
		}
	}
	return found
}

// neighbourDiscovery says whether a packet is one of NDP or MLD.
func neighbourDiscovery(o testnet.Other) bool {
	const multicastReport, hopByHop = 143, 0
	switch {
	case o.Protocol == hopByHop && o.To.IsMulticast():
		return true
	case o.Protocol == unix.IPPROTO_ICMPV6:
		return o.Type >= 133 && o.Type <= 137 || o.Type == multicastReport
	}
	return false
}

// flood sends echo requests to both addresses beyond the gateway all the time,
// from programs that don't care which way they take, until stop is called.
func (w *world) flood() (stop func()) {
	w.t.Helper()
	four, six := w.laptop.NewPinger(beyond4, 16), w.laptop.NewPinger(beyond6, 16)
	asked, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		each := time.NewTicker(time.Millisecond)
		defer each.Stop()
		for {
			select {
			case <-asked:
				return
			case <-each.C:
				_, _ = four.Send() // no route, or a filter: so be it
				_, _ = six.Send()
			}
		}
	}()
	return func() {
		close(asked)
		<-ended
	}
}

// TestFullTunnelLeaksNothing holds that from the moment `vpn up` has returned
// until `vpn down` begins, nothing but the tunnel's messages leaves by the outer
// link, whatever happens to the program.
func TestFullTunnelLeaksNothing(t *testing.T) {
	for _, kind := range []testnet.Kind{testnet.WireGuardGo, testnet.VPN} {
		t.Run(string(kind), func(t *testing.T) {
			w := newWorld(t, kind)
			before := w.look()
			w.up("wg0", w.config(everything, nil, nil))
			c := testnet.NewCapture(w.outer)
			stop := w.flood()
			w.through()

			t.Log("reload")
			w.write("wg0", w.config(everything, []string{"MTU = 1380"}, []string{"PersistentKeepalive = 20"}))
			w.must("reload", "wg0")
			w.through()
			t.Log("SIGKILL of the engine")
			w.kill(engine)
			w.through()
			t.Log("SIGKILL of the keeper")
			w.kill(keeper)
			w.must("up", "wg0")
			w.through()
			t.Log("SIGKILL of both")
			pid := w.pid(engine)
			w.kill(keeper)
			_ = unix.Kill(pid, unix.SIGKILL) // the keeper's end may have been its own already
			w.must("up", "wg0")
			w.through()
			t.Log("restart")
			w.must("restart", "wg0")
			w.through()

			stop()
			if found := leaks(c, gatewayOuter4+":"+port); len(found) > 0 {
				t.Errorf("%d packets leaked, the first: %s", len(found), found[0])
			}
			w.must("down", "wg0")
			w.same(before)
		})
	}
}

// TestNothingLeavesWithInnerAddresses holds that also while the tunnel goes down
// nothing of the connections inside it takes another way. It is about IPv4: of IPv6
// the kernel lets a socket send from an address that is gone, for ever.
func TestNothingLeavesWithInnerAddresses(t *testing.T) {
	w := newWorld(t, testnet.WireGuardGo)
	c := testnet.NewCapture(w.outer)
	w.write("wg0", w.config(everything, nil, nil))
	for range 3 {
		w.must("up", "wg0")
		w.through()
		stop := w.talk()
		w.must("down", "wg0")
		stop()
	}
	for _, m := range c.Messages() {
		if m.Outgoing && m.From.Addr() == netip.MustParseAddr(laptopInner4) {
			t.Fatalf("%v > %v left by the outer link", m.From, m.To)
		}
	}
}

// talk sends datagrams from the link's own address as fast as it can, until stop is
// called.
func (w *world) talk() (stop func()) {
	w.t.Helper()
	conn := w.laptop.ListenUDP(laptopInner4 + ":0")
	asked, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-asked:
				return
			default:
				_, _ = conn.WriteTo([]byte("hello"), &net.UDPAddr{IP: net.ParseIP(beyond4), Port: 9})
			}
		}
	}()
	return func() {
		close(asked)
		<-ended
	}
}

// TestKillSwitchLeaksNothing holds it from before the link comes up until after
// it has gone, also while nobody runs.
func TestKillSwitchLeaksNothing(t *testing.T) {
	w := newWorld(t, testnet.WireGuardGo)
	before := w.look()
	// PreUp is the first that a user can see of an up, PostDown the last of a down:
	// the switch is there for all in between.
	w.write("wg0", w.config(everything, []string{
		"#vpn: KillSwitch = on", "PreUp = touch /run/begin; while [ -e /run/begin ]; do sleep 0.01; done",
	}, nil))
	up := w.laptop.Start(nil, w.vpn, "up", "wg0")
	testnet.Until(t, "PreUp runs", func() bool {
		_, code := w.laptop.Run("test", "-e", "/run/begin")
		return code == 0
	})
	c := testnet.NewCapture(w.outer)
	stop := w.flood()
	w.laptop.MustRun("rm", "/run/begin")
	if code := up.WaitEnd(); code != 0 {
		t.Fatalf("up ends with %d: %s", code, up.Output())
	}
	w.through()
	w.kill(keeper)
	w.laptop.MustRun("ip", "link", "delete", "wg0")
	w.laptop.MustRun("sh", "-c", "ip rule flush; ip rule add lookup main pref 32766; ip -6 rule flush; ip -6 rule add lookup main pref 32766")
	if w.laptop.Ping(beyond4, 3, time.Second).Received > 0 || w.laptop.Ping(gatewayOuter4, 3, time.Second).Received > 0 {
		t.Error("the kill switch lets pings pass")
	}
	stop()
	if found := leaks(c, gatewayOuter4+":"+port); len(found) > 0 {
		t.Errorf("%d packets leaked, the first: %s", len(found), found[0])
	}
	w.must("down", "wg0")
	w.laptop.MustRun("sh", "-c", "ip rule flush; ip rule add lookup main pref 32766; ip rule add lookup default pref 32767; ip -6 rule flush; ip -6 rule add lookup main pref 32766")
	w.same(before)
	w.laptop.MustPing(gatewayOuter4)
}
