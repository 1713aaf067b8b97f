//go:build linux

package firewalltest

import (
	"net/netip"
	"testing"

	"vpn/cmd/internal/testnet"
	"vpn/tun/host/firewall"
)

var killSwitch = firewall.KillSwitch{Link: tunnel, Mark: fwmark, Allow: []netip.Prefix{
	netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("fd13::/64"),
}}

func TestKillSwitchOfTheHost(t *testing.T) {
	each(t, func(t *testing.T, six bool) {
		s := newSite(t)
		plain, marked, other := s.socket(s.gateway, six, 0, 0), s.socket(s.gateway, six, fwmark, 0), s.socket(s.gateway, six, fwmark+1, 0)
		s.passes(plain, netHost.in(six))
		s.load(killSwitch)
		s.gateway.MustRun("ip", "neigh", "flush", "all") // the neighbours are looked for anew
		for _, blocked := range []address{netHost, anywhere, lanHost} {
			if _, err := send(plain, blocked.in(six)); !isPermission(err) {
				t.Errorf("to %s: %v", blocked.in(six), err)
			}
			if _, err := send(other, blocked.in(six)); !isPermission(err) {
				t.Errorf("to %s with another mark: %v", blocked.in(six), err)
			}
		}
		s.passes(marked, netHost.in(six))
		s.passes(marked, anywhere.in(six))
		s.passes(plain, allowed.in(six))
		s.passes(plain, farHost.in(six))
		s.passes(plain, address{"127.0.0.1", "::1"}.in(six))
		s.passes(plain, netNear.in(six)) // its own, over loopback
		s.unload(killSwitch)
		s.passes(plain, netHost.in(six))
		s.passes(plain, lanHost.in(six))
	})
}

func TestKillSwitchForwards(t *testing.T) {
	each(t, func(t *testing.T, six bool) {
		s := newSite(t)
		s.netReturns()
		lan, far, net := s.socket(s.lan, six, 0, 0), s.socket(s.far, six, 0, 0), s.socket(s.net, six, 0, 0)
		s.passes(lan, anywhere.in(six))
		s.load(killSwitch)
		s.stops(lan, anywhere.in(six), lan, allowed.in(six))
		s.stops(net, lanHost.in(six), far, lanHost.in(six))
		s.passes(lan, farHost.in(six))
		s.passes(far, lanHost.in(six))
		s.lan.MustPing(farHost.in(six))
		s.unload(killSwitch)
		s.passes(lan, anywhere.in(six))
	})
}

// TestKillSwitchDHCP speaks as client and as server, IPv6 from the link's own address.
func TestKillSwitchDHCP(t *testing.T) {
	s := newSite(t)
	s.load(killSwitch)
	for _, test := range []struct {
		from, to int
		passes   bool
	}{{68, 67, true}, {67, 68, true}, {68, 69, false}, {66, 67, false}, {67, 67, false}} {
		s.dhcp(netHost.four, test.from, test.to, test.passes)
	}
	var scoped string
	s.net.Do(func() { scoped = linkLocal(t, s.atNet.Name) + "%eth0" })
	for _, test := range []struct {
		from, to int
		passes   bool
	}{{546, 547, true}, {547, 546, true}, {546, 53, false}, {68, 67, false}} {
		s.dhcp(scoped, test.from, test.to, test.passes)
	}
	s.dhcp(netHost.six, 546, 547, false) // from a global address
	s.unload(killSwitch)
}

// dhcp sends a datagram between two ports.
func (s *site) dhcp(to string, source, destination int, passes bool) {
	s.t.Helper()
	at := netip.AddrPortFrom(netip.MustParseAddr(to), uint16(destination))
	from := s.socket(s.gateway, at.Addr().Is6(), 0, source)
	receiver := s.socket(s.net, at.Addr().Is6(), 0, destination)
	defer func() { _, _ = from.Close(), receiver.Close() }()
	var err error
	s.gateway.Do(func() { _, err = from.WriteToUDPAddrPort([]byte("hello"), at) }) // a zone is the caller's namespace's
	if !passes {
		if !isPermission(err) {
			s.t.Errorf("from %d to %s: %v", source, at, err)
		}
		return
	}
	if err != nil {
		s.t.Errorf("from %d to %s: %v", source, at, err)
		return
	}
	_ = receiver.SetReadDeadline(deadline())
	if _, _, err := receiver.ReadFromUDPAddrPort(make([]byte, 100)); err != nil {
		s.t.Errorf("from %d to %s: %v", source, at, err)
	}
}

// TestKillSwitchBeforeTheLink loads it first, without a mark, and makes the link then.
func TestKillSwitchBeforeTheLink(t *testing.T) {
	s := newSite(t)
	early := firewall.KillSwitch{Link: "late0"}
	s.load(early)
	plain, marked := s.socket(s.gateway, false, 0, 0), s.socket(s.gateway, false, fwmark, 0)
	for _, to := range []string{netHost.four, farHost.four} {
		if _, err := send(marked, to); !isPermission(err) {
			t.Errorf("to %s: %v", to, err)
		}
	}
	s.gateway.MustRun("ip", "link", "set", tunnel, "down")
	s.gateway.MustRun("ip", "link", "set", tunnel, "name", "late0")
	s.gateway.MustRun("ip", "link", "set", "late0", "up")
	testnet.Until(t, "the link is up", func() bool { _, err := send(plain, farHost.four); return err == nil })
	s.passes(plain, farHost.four)

	early.Mark = fwmark
	s.load(early) // in the place of the first
	s.passes(marked, netHost.four)
	if _, err := send(plain, netHost.four); !isPermission(err) {
		t.Errorf("to %s: %v", netHost.four, err)
	}
	s.unload(early)
}
