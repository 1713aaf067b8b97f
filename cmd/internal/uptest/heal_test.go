//go:build linux

package uptest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"vpn/cmd/internal/testnet"
)

// TestHealing takes away what an up has made, and what its hooks have: it is put back.
func TestHealing(t *testing.T) {
	w := newWorld(t, testnet.WireGuardGo)
	const lease = "nameserver 192.168.77.254\n"
	w.laptop.WriteFile("/etc/resolv.conf", lease, 0o644)
	clean := w.look()
	w.up("wg0", w.config(everything+", 10.99.0.0/16", []string{
		"#vpn: ExcludedIPs = 198.51.100.0/24", "#vpn: Masquerade = eth0", "DNS = 10.77.0.53",
		"PostUp = ip rule add iif wg0 table 77; ip route add 10.98.0.0/16 via " + gatewayInner4 + " mtu 1300", "PostDown = ip rule delete iif wg0 table 77",
	}, nil))
	w.through()
	up := w.network()
	for _, harm := range []string{
		"nft flush ruleset",
		"ip -4 route flush table 51820",
		"ip -6 route flush table 51820",
		"ip route delete 10.99.0.0/16 table 51820 || ip route delete 10.99.0.0/16 dev wg0",
		"ip rule delete not fwmark 51820",
		"ip -6 rule delete table main suppress_prefixlength 0",
		"ip address delete " + laptopInner4 + "/24 dev wg0",
		"ip -6 address delete " + laptopInner6 + "/64 dev wg0",
		"ip rule delete iif wg0 table 77; ip route delete 10.98.0.0/16",
		"sysctl -qw net.ipv4.ip_forward=0",
		"sysctl -qw net.ipv4.conf.all.src_valid_mark=0", // of which the kernel does not tell
		"printf '" + lease + "' >/etc/lease; mv /etc/lease /etc/resolv.conf",
	} {
		t.Run(harm, func(t *testing.T) {
			w.laptop.MustRun("sh", "-c", harm)
			w.back(up)
			w.through()
		})
	}
	w.must("down", "wg0")
	w.same(clean)
}

// TestFlushedKillSwitch flushes the firewall under a kill switch: what programs send
// goes into the tunnel all the while, by its routes, and the kill switch comes back.
func TestFlushedKillSwitch(t *testing.T) {
	w := newWorld(t, testnet.WireGuardGo)
	clean := w.look()
	w.up("wg0", w.config(everything, []string{"#vpn: KillSwitch = on"}, nil))
	up := w.network()
	c := testnet.NewCapture(w.outer)
	stop := w.flood()
	for range 3 {
		w.laptop.MustRun("nft", "flush", "ruleset")
		w.back(up)
		if w.router.Ping(laptopOuter4, 1, 100*time.Millisecond).Received > 0 {
			t.Error("the kill switch is back, and lets an answer to the router pass")
		}
	}
	stop()
	if found := leaks(c, gatewayOuter4+":"+port); len(found) > 0 {
		t.Errorf("%d packets leaked, the first: %s", len(found), found[0])
	}
	w.must("down", "wg0")
	w.same(clean)
}

// back waits until the network is as it was.
func (w *world) back(as string) {
	w.t.Helper()
	var now string
	defer func() {
		if now != as {
			was, is := strings.Split(as, "\n"), strings.Split(now, "\n")
			w.t.Logf("missing: %q\nnew: %q", without(was, is), without(is, was))
		}
	}()
	testnet.Until(w.t, "all is as before", func() bool {
		now = w.network()
		return now == as
	})
}

// network is what healing cares for.
func (w *world) network() string {
	w.t.Helper()
	var b strings.Builder
	for _, command := range slices.Concat(looks[1:8], looks[9:11]) {
		b.WriteString(w.laptop.MustRun("sh", "-c", command))
	}
	return b.String()
}

// TestHealingGivesUp holds that what is removed again and again stays removed in
// the end.
func TestHealingGivesUp(t *testing.T) {
	w := newWorld(t, testnet.WireGuardGo)
	w.up("wg0", w.config(everything, nil, nil))
	const remove = "ip -4 rule delete not fwmark 51820"
	testnet.Until(t, "it gives up", func() bool {
		if _, code := w.laptop.Run("sh", "-c", remove); code == 0 {
			return false
		}
		return !w.comesBack()
	})
	w.must("down", "wg0")
}

// comesBack says whether the rule is there again within a while that is long for
// what happens at once.
func (w *world) comesBack() bool {
	w.t.Helper()
	for begin := time.Now(); time.Since(begin) < 2*time.Second; {
		if strings.Contains(w.laptop.MustRun("ip", "-4", "rule"), "fwmark 0xca6c") {
			return true
		}
	}
	return false
}

// TestNetworkdRestarted runs a real systemd-networkd, which removes foreign rules
// and routes when it starts.
func TestNetworkdRestarted(t *testing.T) {
	const networkd = "/usr/lib/systemd/systemd-networkd"
	w := newWorld(t, testnet.WireGuardGo)
	w.laptop.MustRun("sh", "-c", "mkdir -p /run/systemd/netif /run/systemd/network; chown -R systemd-network /run/systemd/netif; test -x "+networkd)
	clean := w.look()
	bus := w.laptop.StartBus()
	w.up("wg0", w.config(everything, []string{"PostUp = ip rule add iif wg0 table 77; ip route add 10.98.0.0/16 via " + gatewayInner4, "PostDown = ip rule delete iif wg0 table 77"}, nil))
	w.through()
	up := w.network()
	for range 2 {
		p := w.laptop.Start([]string{"SYSTEMD_LOG_LEVEL=info"}, networkd)
		p.WaitOutput("Enumeration completed")
		w.back(up)
		w.through()
		// Of a link that it has just come to know, it takes away what it hasn't made.
		w.laptop.WriteFile("/run/systemd/network/eth.network", "[Match]\nName="+w.outer.Name+"\n[Network]\nKeepConfiguration=yes\n", 0o644)
		testnet.Until(t, "networkd reads its files again", func() bool {
			_, code := w.laptop.Run("networkctl", "reload")
			return code == 0
		})
		w.back(up)
		w.through()
		w.laptop.MustRun("rm", "/run/systemd/network/eth.network")
		p.Signal(15)
		p.WaitEnd()
	}
	w.must("down", "wg0")
	bus.Signal(15)
	bus.WaitEnd()
	w.laptop.MustRun("rm", "-rf", "/run/systemd", "/run/dbus")
	w.same(clean)
}
