//go:build linux

package diagnosetest

import (
	"strings"
	"testing"

	"vpn/cmd/internal/diagnose"
	"vpn/cmd/internal/testnet"
)

// TestKeeper diagnoses an interface of `vpn up`: names of the file that have no address, and a prefix that it gives to two peers.
func TestKeeper(t *testing.T) {
	t.Parallel()
	laptop, gateway := testnet.NewMachine(t, "laptop"), testnet.NewHost(t, "gateway")
	atLaptop, atGateway := testnet.Connect(laptop, gateway, 0)
	atLaptop.Address("192.168.77.1/24")
	atGateway.Address("192.168.77.2/24")
	laptop.MustPing("192.168.77.2")
	ours, ghost, twin := testnet.NewKey(), testnet.NewKey(), testnet.NewKey()
	daemon := gateway.StartDaemon(testnet.WireGuardGo)
	daemon.Set("private_key="+daemon.Key.Private, "listen_port=51820", "public_key="+ours.Public, "allowed_ip=10.77.0.1/32")
	daemon.Address("10.77.0.2/24")
	daemon.Up()
	laptop.WriteFile("/etc/hosts", "192.168.77.2 gateway.example\n", 0o644)
	laptop.WriteFile("/etc/wireguard/wg0.conf", "[Interface]\nPrivateKey = "+base64Of(ours.Private)+"\nAddress = 10.77.0.1/24\n"+
		"[Peer]\n#vpn: Name = gateway\nPublicKey = "+base64Of(daemon.Key.Public)+"\nAllowedIPs = 10.77.0.2/32, 10.88.0.0/24\nEndpoint = gateway.example:51820\n"+
		"[Peer]\n#vpn: Name = ghost\nPublicKey = "+base64Of(ghost.Public)+"\nAllowedIPs = 10.77.0.3/32\nEndpoint = ghost.invalid:1\n"+
		"[Peer]\n#vpn: Name = twin\nPublicKey = "+base64Of(twin.Public)+"\nAllowedIPs = 10.88.0.0/24\n", 0o600)
	vpn := testnet.Binary(t, testnet.VPN)
	laptop.MustRun(vpn, "up", "wg0")
	testnet.Until(t, "the gateway answers", func() bool { return laptop.Ping("10.77.0.2", 1, testnet.Patience/100).Lost() == 0 })

	wantOnly(t, run(t, laptop, "wg0", "ghost"), diagnose.Unresolved, "ghost.invalid:1", "getent ahosts ghost.invalid")
	wantOnly(t, run(t, laptop, "wg0", "gateway"), diagnose.Overlap, "10.88.0.0/24", "to twin", "/etc/wireguard/wg0.conf, lines 7 and 17")

	text, code := laptop.Run(vpn, "diagnose", "wg0", "--watch", "1s")
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		if len(line) > 80 || strings.Contains(line, "\x1b") {
			t.Errorf("a line for no terminal: %q", line)
		}
	}
	for _, word := range []string{"ghost  name_unresolved\n", "gateway  allowed_ips_overlap\n", "twin  not_called\n", "twin  allowed_ips_overlap\n"} {
		if !strings.Contains(text, word) {
			t.Errorf("%q is not in what is said of all: %s", word, text)
		}
	}
	if strings.Contains(text, base64Of(ours.Private)) || code != 1 {
		t.Errorf("it ends with %d: %s", code, text)
	}
	for _, bad := range [][]string{{"none0"}, {"wg0", "nobody"}, {}} {
		if text, code := laptop.Run(vpn, append([]string{"diagnose"}, bad...)...); code != 1 || !strings.HasPrefix(text, "error: ") {
			t.Errorf("of %v: %d, %s", bad, code, text)
		}
	}
	if text, code := laptop.Run("setpriv", "--reuid=65534", "--clear-groups", vpn, "diagnose", "wg0"); code != 1 || !strings.Contains(text, "root") {
		t.Errorf("for nobody: %d, %s", code, text)
	}
	laptop.MustRun(vpn, "down", "wg0")
}

// TestOthers diagnoses an interface of wireguard-go, which tells little.
func TestOthers(t *testing.T) {
	t.Parallel()
	p := testnet.NewPair(t, testnet.VPN, testnet.WireGuardGo, 0, false)
	name := p.B.Daemon.Link.Name
	wantOnly(t, run(t, p.B.Host, name), diagnose.Healthy, p.A.Inner4+" answers", "another program")
	p.B.Daemon.Set("public_key="+p.A.Daemon.Key.Public, "remove=true")
	p.B.Knows(p.A, p.A.Outer4+":9")
	wantOnly(t, run(t, p.B.Host, name), diagnose.Silence, "tcpdump")
}
