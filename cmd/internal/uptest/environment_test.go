//go:build linux

package uptest

import (
	"net"
	"strings"
	"testing"
	"time"

	"vpn/cmd/internal/testnet"

	"golang.org/x/net/dns/dnsmessage"
)

// TestReadOnlySysctl is a container: variables can't be set, and the one that
// matters is set already, or the file asks for nothing that needs it.
func TestReadOnlySysctl(t *testing.T) {
	w := newWorld(t, testnet.WireGuardGo)
	w.laptop.Sysctl("ipv4/conf/all/src_valid_mark", "1")
	w.laptop.MustRun("mount", "--bind", "-o", "ro", "/proc/sys", "/proc/sys")
	before := w.look()
	w.up("wg0", w.config(everything, nil, nil))
	w.through()
	w.must("down", "wg0")
	w.same(before)
}

// TestWithoutIPv6 holds that a host that has none gets what is left.
func TestWithoutIPv6(t *testing.T) {
	w := newWorld(t, testnet.WireGuardGo)
	w.laptop.DisableIPv6()
	before := w.look()
	w.write("wg0", w.config(everything, nil, nil))
	if text := w.must("up", "wg0"); !strings.Contains(text, "IPv6 is off") {
		t.Errorf("nothing is said of IPv6: %s", text)
	}
	w.laptop.MustPing(beyond4)
	w.must("down", "wg0")
	w.same(before)
}

// nameServer answers every question for an A record with an address, from one of
// the router's, until the test ends.
func (w *world) nameServer(answer string) {
	w.t.Helper()
	conn := w.router.ListenUDP("192.168.77.254:53")
	go func() {
		b := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return // the test is over
			}
			if reply := answerTo(b[:n], answer); reply != nil {
				_, _ = conn.WriteTo(reply, from)
			}
		}
	}()
}

// answerTo answers a query, one for another type of record with nothing.
func answerTo(query []byte, address string) []byte {
	var m dnsmessage.Message
	if m.Unpack(query) != nil || len(m.Questions) != 1 {
		return nil
	}
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 60},
			Body:   &dnsmessage.AResource{A: [4]byte(net.ParseIP(address).To4())},
		}}
	}
	reply, err := m.Pack()
	if err != nil {
		return nil
	}
	return reply
}

// TestResolverThatComesUpLate holds that a name that nobody resolves keeps
// nothing from coming up, and that the tunnel works as soon as somebody does: also a
// full tunnel with a kill switch, whose look-ups go around it.
func TestResolverThatComesUpLate(t *testing.T) {
	for name, inInterface := range map[string][]string{
		"full tunnel": nil, "kill switch": {"#vpn: KillSwitch = on"},
		"its own DNS": {"DNS = 10.77.0.53"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, testnet.WireGuardGo)
			w.laptop.WriteFile("/etc/resolv.conf", "nameserver 192.168.77.254\n", 0o644)
			before := w.look()
			w.up("wg0", w.config(everything, inInterface, []string{"Endpoint = gateway.example:" + port}))
			if w.laptop.Ping(beyond4, 1, 100*time.Millisecond).Received > 0 {
				t.Error("somebody knows the name")
			}
			w.nameServer(gatewayOuter4)
			w.through()
			w.must("down", "wg0")
			w.same(before)
		})
	}
}

// TestNoResolver is a host whose resolv.conf is missing.
func TestNoResolver(t *testing.T) {
	w := newWorld(t, testnet.WireGuardGo)
	w.laptop.MustRun("rm", "/etc/resolv.conf")
	w.write("wg0", w.config(everything, nil, []string{"Endpoint = gateway.example:" + port}))
	w.must("up", "wg0")
	w.laptop.WriteFile("/etc/resolv.conf", "nameserver 192.168.77.254\n", 0o644)
	w.nameServer(gatewayOuter4)
	w.through()
	w.must("down", "wg0")
}

// TestMountedResolvConf is a container whose resolv.conf can't be replaced.
func TestMountedResolvConf(t *testing.T) {
	w := newWorld(t, testnet.WireGuardGo)
	w.laptop.WriteFile("/run/resolv", "# the container's\nnameserver 192.168.77.254\noptions ndots:2\n", 0o644)
	w.laptop.MustRun("mount", "--bind", "/run/resolv", "/etc/resolv.conf")
	before := w.look()
	w.up("wg0", w.config(everything, []string{"DNS = 10.77.0.53, corp.example"}, nil))
	text := w.laptop.ReadFile("/run/resolv")
	if !strings.Contains(text, "10.77.0.53") || !strings.Contains(text, "corp.example") || strings.Contains(text, "192.168.77.254") {
		t.Errorf("resolv.conf: %s", text)
	}
	w.kill(keeper)
	w.must("down", "wg0")
	w.same(before)
}

// TestFullDiskOnSave holds that a file is whole, the old one or the new.
func TestFullDiskOnSave(t *testing.T) {
	w := newWorld(t, testnet.WireGuardGo)
	w.laptop.MustRun("mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", "/etc/wireguard")
	text := "# mine\n" + w.config(everything, []string{"SaveConfig = true"}, nil)
	w.up("wg0", text)
	w.must("set", "wg0", "listen-port", "12345")
	w.laptop.Run("sh", "-c", "head -c 1M /dev/zero >/etc/wireguard/full")
	w.fails("save", "wg0")
	if got := w.laptop.ReadFile("/etc/wireguard/wg0.conf") + "\n"; got != text {
		t.Errorf("the file is now: %s", got)
	}
	w.laptop.MustRun("rm", "/etc/wireguard/full")
	w.must("down", "wg0")
	got := w.laptop.ReadFile("/etc/wireguard/wg0.conf")
	if !strings.HasPrefix(got, "# mine\n") || !strings.Contains(got, "ListenPort = 12345") {
		t.Errorf("down has saved: %s", got)
	}
}
