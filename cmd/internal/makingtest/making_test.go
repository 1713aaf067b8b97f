//go:build linux

package makingtest

import (
	"fmt"
	"strings"
	"testing"

	"vpn/cmd/internal/testnet"
)

// TestFullTunnel lets a client reach everything that its gateway reaches, from the
// moment that it is added until it is removed.
func TestFullTunnel(t *testing.T) {
	w := newWorld(t)
	w.initialize()
	w.doesNotReach(netHost4, beyond4)
	w.client.WriteFile("/etc/wireguard/wg0.conf", w.add("--full-tunnel"), 0o600)
	w.on(w.client, "check", "wg0", "--strict")
	w.on(w.client, "up", "wg0")
	w.reaches(netHost4, netHost6, beyond4, beyond6)
	if list := w.on(w.gateway, "peer", "list", "wg0"); !strings.Contains(list, "laptop ") || !strings.Contains(list, " s ago ") {
		t.Errorf("the list is\n%s", list)
	}
	w.on(w.gateway, "peer", "remove", "wg0", "laptop")
	w.doesNotReach(netHost4, beyond6)
	if text := w.gateway.ReadFile(gatewayConf); strings.Contains(text, "[Peer]") {
		t.Errorf("the file is\n%s", text)
	}
	if text := w.on(w.gateway, "reload", "wg0"); text != "note: nothing has changed\n" {
		t.Errorf("what the file says was not in force:\n%s", text)
	}
	w.on(w.client, "down", "wg0")
	w.on(w.gateway, "down", "wg0")
}

// TestSplit lets a client reach some networks only.
func TestSplit(t *testing.T) {
	w := newWorld(t)
	w.initialize()
	w.client.WriteFile("/etc/wireguard/wg0.conf", w.add("--split", netPrefix4+","+netPrefix6), 0o600)
	w.on(w.client, "up", "wg0")
	w.reaches(netHost4, netHost6)
	w.doesNotReach(beyond4, beyond6)
	w.on(w.client, "down", "wg0")
	w.on(w.gateway, "down", "wg0")
}

// TestStockClient brings the client's file up with wg-quick and wireguard-go.
func TestStockClient(t *testing.T) {
	w := newWorld(t)
	w.initialize()
	w.client.WriteFile("/etc/wireguard/wg0.conf", w.add("--full-tunnel"), 0o600)
	env := []string{"WG_QUICK_USERSPACE_IMPLEMENTATION=" + testnet.Binary(t, testnet.WireGuardGo)}
	if up := w.client.Start(env, "wg-quick", "up", "wg0"); up.WaitEnd() != 0 {
		t.Fatalf("wg-quick up: %s", up.Output())
	}
	w.reaches(netHost4, netHost6, beyond4, beyond6)
	w.client.MustRun("wg-quick", "down", "wg0")
	w.on(w.gateway, "down", "wg0")
}

// TestStockGateway holds that wg-quick and wg read the gateway's file.
func TestStockGateway(t *testing.T) {
	w := newWorld(t)
	w.on(w.gateway, "init", "wg0", "--gateway=eth1", "--endpoint", gatewayNear)
	w.add("--expires", "30d")
	w.on(w.gateway, "peer", "add", "wg0", "a phone", "--out", "/run/phone.conf")
	w.gateway.MustRun("sh", "-c", "wg-quick strip wg0 >/run/stripped.conf")
	w.gateway.StartDaemon(testnet.WireGuardGo)
	name := strings.TrimSpace(w.gateway.MustRun("wg", "show", "interfaces"))
	w.gateway.MustRun("wg", "setconf", name, "/run/stripped.conf")
	if peers := w.gateway.MustRun("wg", "show", name, "allowed-ips"); strings.Count(peers, "\n") != 2 || strings.Count(peers, "/128") != 2 {
		t.Errorf("wg has\n%s", peers)
	}
	if !strings.Contains(w.gateway.MustRun("wg", "show", name), "listening port: 51820\n") {
		t.Error("the port is another")
	}
}

// TestExpiry lets the time of a peer come while the link is up.
func TestExpiry(t *testing.T) {
	w := newWorld(t)
	w.initialize()
	w.add()
	w.on(w.gateway, "peer", "add", "wg0", "guest", "--expires", "2s", "--out", "/run/guest.conf")
	peers := func() int { return strings.Count(w.on(w.gateway, "show", "wg0", "peers"), "\n") }
	testnet.Until(t, "the guest is gone", func() bool { return peers() == 1 })
	if list := w.on(w.gateway, "peer", "list", "wg0"); !strings.Contains(list, "expired ") {
		t.Errorf("the list is\n%s", list)
	}
	text := w.on(w.gateway, "reload", "wg0")
	if !strings.Contains(text, "is over: the peer is left out") || !strings.Contains(text, "nothing has changed") {
		t.Errorf("reload says\n%s", text)
	}
	w.on(w.gateway, "save", "wg0")
	w.on(w.gateway, "down", "wg0")
	w.on(w.gateway, "up", "wg0")
	if n := peers(); n != 1 {
		t.Errorf("%d peers after up", n)
	}
	if file := w.gateway.ReadFile(gatewayConf); strings.Count(file, "[Peer]") != 2 {
		t.Errorf("the file is\n%s", file)
	}
	w.on(w.gateway, "down", "wg0")
}

// TestOtherChangesWait holds that to add a peer brings nothing else into force, and
// loses nothing.
func TestOtherChangesWait(t *testing.T) {
	w := newWorld(t)
	w.initialize()
	w.edit("[Interface]\n", "# mine\n[Interface]\nMTU = 1300\n")
	text := w.on(w.gateway, "peer", "add", "wg0", "phone", "--out", "/run/phone.conf")
	if !strings.Contains(text, "the file has other changes that are not in force") {
		t.Errorf("it says\n%s", text)
	}
	if mtu := w.gateway.Link("wg0").MTU(); mtu != 1420 {
		t.Errorf("the MTU is %d", mtu)
	}
	if peers := w.on(w.gateway, "show", "wg0", "peers"); strings.Count(peers, "\n") != 1 {
		t.Errorf("the peers are\n%s", peers)
	}
	if text := w.on(w.gateway, "reload", "wg0"); !strings.Contains(text, "mtu 1300") || strings.Contains(text, "peer") {
		t.Errorf("reload says\n%s", text)
	}

	w.edit("MTU = 1300\n", "MTU = 1300\nSaveConfig = true\n")
	w.on(w.gateway, "reload", "wg0")
	w.on(w.gateway, "peer", "add", "wg0", "tablet", "--out", "/run/tablet.conf")
	w.on(w.gateway, "down", "wg0")
	if text := w.gateway.ReadFile(gatewayConf); strings.Count(text, "[Peer]\n#vpn: Name = ") != 2 || !strings.HasPrefix(text, "# mine\n") {
		t.Errorf("what was saved is\n%s", text)
	}
}

// TestRefused holds that a file stays as it is where its link does not take the change.
func TestRefused(t *testing.T) {
	w := newWorld(t)
	w.initialize()
	w.edit("[Interface]\n", "[Interface]\nMTU = 1300\n")
	w.on(w.gateway, "reload", "wg0", "--confirm", "1h")
	before := w.gateway.ReadFile(gatewayConf)
	text, code := w.gateway.Run(w.vpn, "peer", "add", "wg0", "phone", "--out", "/run/phone.conf")
	if code != 1 || !strings.Contains(text, "an earlier reload waits to be confirmed") {
		t.Errorf("code %d, it says\n%s", code, text)
	}
	if after := w.gateway.ReadFile(gatewayConf); after != before {
		t.Errorf("the file is now\n%s", after)
	}
	if _, code := w.gateway.Run("test", "-e", "/run/phone.conf"); code == 0 {
		t.Error("the peer's file is there")
	}
	w.on(w.gateway, "down", "wg0")
}

// TestManyAtOnce holds that of peers that are added at once each gets addresses of
// its own.
func TestManyAtOnce(t *testing.T) {
	w := newWorld(t)
	w.initialize()
	const peers = 8
	w.gateway.MustRun("sh", "-c", fmt.Sprintf("for i in $(seq %d); do %s peer add wg0 p$i --out /run/p$i.conf & done; wait", peers, w.vpn))
	file := w.gateway.ReadFile(gatewayConf)
	live := w.on(w.gateway, "show", "wg0", "allowed-ips")
	for n := 2; n < 2+peers; n++ {
		if v6 := fmt.Sprintf("::%d/128", n); !strings.Contains(file, v6) || !strings.Contains(live, v6) {
			t.Errorf("nobody has %s:\n%s\n%s", v6, file, live)
		}
	}
	if strings.Count(file, "[Peer]") != peers || strings.Count(live, "\n") != peers {
		t.Errorf("the file has\n%s\nthe link has\n%s", file, live)
	}
	w.on(w.gateway, "down", "wg0")
}
