//go:build linux

package firewalltest

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"vpn/cmd/internal/testnet"
	"vpn/tun/host/firewall"
)

func isPermission(err error) bool { return errors.Is(err, unix.EPERM) }

func deadline() time.Time { return time.Now().Add(testnet.Patience) }

// linkLocal returns the address that the kernel has given a link.
func linkLocal(t *testing.T, link string) string {
	t.Helper()
	i, err := net.InterfaceByName(link)
	if err != nil {
		t.Fatal(err)
	}
	all, err := i.Addrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is6() && p.Addr().IsLinkLocalUnicast() {
			return p.Addr().String()
		}
	}
	t.Fatalf("%s has no address of its own", link)
	return ""
}

// fullTunnels are the tables of both families.
func fullTunnels() []firewall.Ruleset {
	addrs := []netip.Addr{netip.MustParseAddr(farNear.four), netip.MustParseAddr(farNear.six)}
	return []firewall.Ruleset{
		firewall.FullTunnel{Link: tunnel, Addrs: addrs, Mark: fwmark},
		firewall.FullTunnel{Link: tunnel, Six: true, Addrs: addrs, Mark: fwmark},
	}
}

// TestFullTunnelSpoofed sends to the tunnel's address from everywhere.
func TestFullTunnelSpoofed(t *testing.T) {
	each(t, func(t *testing.T, six bool) {
		s := newSite(t)
		s.netReturns()
		inside := farNear.in(six)
		net, lan, far, own := s.socket(s.net, six, 0, 0), s.socket(s.lan, six, 0, 0), s.socket(s.far, six, 0, 0), s.socket(s.gateway, six, 0, 0)
		s.passes(net, inside)
		for _, r := range fullTunnels() {
			s.load(r)
		}
		s.stops(net, inside, net, netNear.in(six))
		s.stops(lan, inside, lan, lanNear.in(six))
		s.passes(far, inside)
		s.passes(own, inside) // from a local source
		s.passes(net, lanHost.in(six))
		for _, r := range fullTunnels() {
			s.gateway.Do(func() {
				if err := r.Table().Delete(); err != nil {
					t.Error(err)
				}
			})
		}
		s.passes(net, inside)
		s.unload(fullTunnels()[0]) // again: no error
	})
}

// there says whether a socket has a datagram now, and takes it.
func there(t *testing.T, conn *net.UDPConn) (is bool) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) {
		_, _, err := unix.Recvfrom(int(fd), make([]byte, 100), unix.MSG_DONTWAIT)
		is = err == nil
	}); err != nil {
		t.Fatal(err)
	}
	return is
}

// TestFullTunnelMarks sends the tunnel's message where only a marked one goes, past
// a strict reverse path filter: the answer comes only if its mark is restored.
func TestFullTunnelMarks(t *testing.T) {
	each(t, func(t *testing.T, six bool) {
		s := newSite(t)
		family := map[bool]string{false: "-4", true: "-6"}[six]
		s.gateway.MustRun("ip", family, "route", "add", "default", "dev", tunnel, "table", fmt.Sprint(fwmark))
		s.gateway.MustRun("ip", family, "rule", "add", "not", "fwmark", fmt.Sprint(fwmark), "table", fmt.Sprint(fwmark))
		s.gateway.MustRun("ip", family, "rule", "add", "table", "main", "suppress_prefixlength", "0")
		s.gateway.Sysctl("ipv4/conf/all/src_valid_mark", "1")
		s.gateway.Sysctl("ipv4/conf/all/rp_filter", "1")
		s.gateway.Sysctl("ipv4/conf/eth0/rp_filter", "1")
		// IPv6 has its filter in nft.
		s.gateway.MustRun("nft", "add table ip6 strict; add chain ip6 strict c { type filter hook prerouting priority -140; }; "+
			"add rule ip6 strict c icmpv6 type 135-136 accept; add rule ip6 strict c iifname eth0 fib saddr . mark . iif oif missing drop")
		conn := s.socket(s.gateway, six, fwmark, 0)

		answered := func() bool {
			from := s.passes(conn, anywhere.in(six))
			source := (&ipv4.ControlMessage{Src: net.ParseIP(anywhere.four)}).Marshal()
			if six {
				source = (&ipv6.ControlMessage{Src: net.ParseIP(anywhere.six)}).Marshal()
			}
			if _, _, err := s.sinks[anywhere.in(six)].WriteMsgUDPAddrPort([]byte("answer"), source, from); err != nil {
				t.Fatal(err)
			}
			// What comes after it, from the link's own network, is let through in any case.
			_, err := s.sinks[anywhere.in(six)].WriteToUDPAddrPort([]byte("fence"), netip.AddrPortFrom(netip.MustParseAddr(netNear.in(six)), 9000))
			if err != nil {
				t.Fatal(err)
			}
			s.comes(netNear.in(six), "fence", "")
			return there(t, conn)
		}
		if answered() {
			t.Error("the filter lets the answer through without the table: the test proves nothing")
		}
		table := fullTunnels()[map[bool]int{false: 0, true: 1}[six]]
		s.load(table)
		if !answered() {
			t.Error("no answer with the table")
		}
		s.gateway.Do(func() {
			if err := table.Table().Delete(); err != nil {
				t.Error(err)
			}
		})
	})
}

func TestMasquerade(t *testing.T) {
	each(t, func(t *testing.T, six bool) {
		s := newSite(t) // whose net knows no way back
		r := firewall.Masquerade{Link: tunnel, Out: "eth0"}
		far, lan, own := s.socket(s.far, six, 0, 0), s.socket(s.lan, six, 0, 0), s.socket(s.gateway, six, 0, 0)
		from := func(conn *net.UDPConn, to address, want address) {
			t.Helper()
			if a := s.passes(conn, to.in(six)); a.Addr().String() != want.in(six) {
				t.Errorf("to %s it comes from %s, want %s", to.in(six), a, want.in(six))
			}
		}
		from(far, anywhere, farHost)
		far = s.socket(s.far, six, 0, 0) // a flow keeps the address it began with
		s.load(r)
		from(far, anywhere, netNear)
		from(far, netHost, netNear)
		from(far, lanHost, farHost) // by another link
		from(lan, anywhere, lanHost)
		from(own, anywhere, netNear)
		s.far.MustPing(anywhere.in(six))
		testnet.Dial(s.far, s.net, anywhere.in(six)).Transfer(1<<20, testnet.Patience)

		s.unload(r)
		from(s.socket(s.far, six, 0, 0), anywhere, farHost)
		if text := s.gateway.MustRun("nft", "list", "tables"); strings.TrimSpace(text) != "" {
			t.Errorf("left: %s", text)
		}
	})
}
