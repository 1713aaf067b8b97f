//go:build linux

package makingtest

import (
	"os"
	"strings"
	"testing"
	"time"

	"vpn/cmd/internal/testnet"
)

func TestMain(m *testing.M) { os.Exit(testnet.Main(m)) }

// The addresses of a world. What is beyond the net is reached through it.
const (
	gatewayNear            = "192.168.77.254"
	netHost4, netHost6     = "198.51.100.2", "2001:db8:51::2"
	beyond4, beyond6       = "203.0.113.9", "2001:db8:113::9"
	gatewayConf            = "/etc/wireguard/wg0.conf"
	netPrefix4, netPrefix6 = "198.51.100.0/24", "2001:db8:51::/64"
)

// A world is a client beside a gateway, whose default route leads to the net. The
// net knows no way back to anybody but the gateway, and the client no way to the net.
type world struct {
	t                    *testing.T
	client, gateway, net *testnet.Host
	vpn                  string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t, vpn: testnet.Binary(t, testnet.VPN),
		client: testnet.NewMachine(t, "client"), gateway: testnet.NewMachine(t, "gateway"), net: testnet.NewHost(t, "net"),
	}
	near, atClient := testnet.Connect(w.gateway, w.client, 0)
	uplink, atNet := testnet.Connect(w.gateway, w.net, 0)
	near.Address(gatewayNear + "/24")
	atClient.Address("192.168.77.1/24")
	uplink.Address("198.51.100.1/24", "2001:db8:51::1/64")
	atNet.Address(netHost4+"/24", netHost6+"/64")
	uplink.Route("0.0.0.0/0", netHost4, 0)
	uplink.Route("::/0", netHost6, 0)
	w.net.Link("lo").Address(beyond4+"/32", beyond6+"/128")
	w.client.MustPing(gatewayNear)
	w.gateway.MustPing(beyond4)
	w.gateway.MustPing(beyond6)
	return w
}

// initialize makes the gateway's file, and brings it up.
func (w *world) initialize() {
	w.t.Helper()
	w.on(w.gateway, "init", "wg0", "--gateway", "--endpoint", gatewayNear)
	w.on(w.gateway, "check", "wg0", "--strict")
	w.on(w.gateway, "up", "wg0")
}

// on runs the program on a host, where it has to end well.
func (w *world) on(h *testnet.Host, args ...string) string {
	w.t.Helper()
	return h.MustRun(w.vpn, args...)
}

// add adds a client on the gateway, and returns its file.
func (w *world) add(args ...string) string {
	w.t.Helper()
	const file = "/run/peer.conf"
	w.on(w.gateway, append([]string{"peer", "add", "wg0", "laptop", "--out", file}, args...)...)
	text := w.gateway.ReadFile(file) + "\n"
	w.gateway.MustRun("rm", file)
	return text
}

// reaches checks which addresses the client gets answers from.
func (w *world) reaches(these ...string) {
	w.t.Helper()
	for _, address := range these {
		w.client.MustPing(address)
	}
}

func (w *world) doesNotReach(these ...string) {
	w.t.Helper()
	for _, address := range these {
		if w.client.Ping(address, 2, 200*time.Millisecond).Received > 0 {
			w.t.Errorf("the client reaches %s", address)
		}
	}
}

// edit changes the gateway's file.
func (w *world) edit(old, now string) {
	w.t.Helper()
	text := w.gateway.ReadFile(gatewayConf) + "\n"
	if !strings.Contains(text, old) {
		w.t.Fatalf("no %q in\n%s", old, text)
	}
	w.gateway.WriteFile(gatewayConf, strings.Replace(text, old, now, 1), 0o600)
}
