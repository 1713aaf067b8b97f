//go:build linux

package main

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"time"

	"vpn/cmd/internal/testnet"
)

// upFile is the link's configuration, in a machine of its own.
const upFile = "/etc/wireguard/wg0.conf"

// benchUp measures what a person waits for who has a wg-quick file: "vpn up",
// beside "wg-quick up" with another implementation.
func benchUp(tb testnet.TB, s *settings, kind testnet.Kind, r *report) {
	tool, ok := upTools[kind]
	if !ok {
		r.note("up: of others than %s and %s it is not known how wg-quick starts them.", testnet.VPN, testnet.WireGuardGo)
		return
	}
	if _, err := os.Stat("/sys/module/wireguard"); err == nil && kind != testnet.VPN {
		r.note("up: where the kernel has a WireGuard module, wg-quick uses no %s.", kind)
		return
	}
	for _, way := range []struct {
		figure figure
		routes string // AllowedIPs of the peer
	}{
		{upSplit, "10.9.0.0/24, fd09::/64"},
		{upFull, "0.0.0.0/0, ::/0"},
	} {
		timeUp(tb, tool, kind, r, way.figure, way.routes)
	}
	timeRoutes(tb, tool, kind, s.routes, r)
}

// upTool is how a link is brought up with a kind.
type upTool func(tb testnet.TB) (env []string, program string, args []string)

var upTools = map[testnet.Kind]upTool{
	testnet.VPN: func(tb testnet.TB) ([]string, string, []string) {
		return nil, testnet.Binary(tb, testnet.VPN), []string{"up", "wg0"}
	},
	testnet.WireGuardGo: func(tb testnet.TB) ([]string, string, []string) {
		path, err := exec.LookPath("wg-quick")
		if err != nil {
			tb.Fatalf("%v: scripts/setup installs it", err)
		}
		// With a level it would keep the output of wg-quick open, in the background.
		return []string{"WG_QUICK_USERSPACE_IMPLEMENTATION=" + testnet.Binary(tb, testnet.WireGuardGo), "LOG_LEVEL="}, path, []string{"up", "wg0"}
	},
}

// run brings the link up, and returns when the tool has.
func (tool upTool) run(tb testnet.TB, on *testnet.Host) {
	tb.Helper()
	env, program, args := tool(tb)
	p := on.Start(env, program, args...)
	code := p.WaitEnd()
	if code != 0 {
		tb.Fatalf("%s: exit code %d\n%s", program, code, p.Output())
	}
}

// timeUp measures from the start of the command until a packet has come back
// through the tunnel, for one set of routes.
func timeUp(tb testnet.TB, tool upTool, kind testnet.Kind, r *report, f figure, routes string) {
	a, b := testnet.NewMachine(tb, "a"), testnet.NewHost(tb, "b")
	toB, toA := testnet.Connect(a, b, 0)
	toB.Address("192.168.77.1/24", "fd77::1/64")
	toA.Address("192.168.77.2/24", "fd77::2/64")
	toB.Route("0.0.0.0/0", "192.168.77.2", 0)
	toB.Route("::/0", "fd77::2", 0)
	peer := b.StartDaemon(testnet.VPN)
	key := testnet.NewKey()
	peer.Set("private_key="+peer.Key.Private, "listen_port=51820", "public_key="+key.Public, "allowed_ip=10.9.0.1/32")
	peer.Address("10.9.0.2/24")
	peer.Up()
	a.WriteFile(upFile, fmt.Sprintf("[Interface]\nPrivateKey = %s\nAddress = 10.9.0.1/24, fd09::1/64\n\n[Peer]\nPublicKey = %s\nEndpoint = 192.168.77.2:51820\nAllowedIPs = %s\n",
		base64Of(tb, key.Private), base64Of(tb, peer.Key.Public), routes), 0o600)

	begin := time.Now()
	tool.run(tb, a)
	pinger := a.NewPinger("10.9.0.2", 16)
	testnet.Until(tb, "a ping is answered", func() bool {
		seq, err := pinger.Send()
		return err == nil && pinger.Receive(seq, 10*time.Millisecond)
	})
	took := time.Since(begin)
	if got := peer.Get().Number(key.Public, "rx_bytes"); got == 0 {
		tb.Fatalf("the ping was answered beside the tunnel")
	}
	r.add(tb, kind, f, took.Seconds()*1e3)
}

// timeRoutes measures how long many peers take, with a route each.
func timeRoutes(tb testnet.TB, tool upTool, kind testnet.Kind, count int, r *report) {
	if most, ok := mostRoutes[kind]; ok && count > most {
		r.note("%s routes: wg-quick starts several programs for each, which takes minutes; it is not measured.", thousands(count))
		return
	}
	a := testnet.NewMachine(tb, "a")
	a.WriteFile(upFile, routesConfig(tb, count), 0o600)
	begin := time.Now()
	tool.run(tb, a)
	took := time.Since(begin)
	routes := a.MustRun("ip", "-4", "route", "show", "dev", "wg0")
	if got := strings.Count(routes, "\n"); got != count+1 { // and that of the address
		tb.Fatalf("%d routes of %d", got, count)
	}
	r.add(tb, kind, upRoutes(count), took.Seconds())
}

// mostRoutes are the most that are measured of a kind.
var mostRoutes = map[testnet.Kind]int{testnet.WireGuardGo: 1000}

// routesConfig is a file with many peers, each with a prefix that needs a route.
func routesConfig(tb testnet.TB, count int) string {
	tb.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "[Interface]\nPrivateKey = %s\nAddress = 10.9.0.1/24\n", base64Of(tb, testnet.NewKey().Private))
	keys := rand.NewChaCha8([32]byte{2}) // public keys need no secret behind them
	var public [32]byte
	for i := range count {
		_, _ = keys.Read(public[:]) // never fails
		fmt.Fprintf(&b, "\n[Peer]\nPublicKey = %s\nAllowedIPs = 172.%d.%d.0/28\n", base64.StdEncoding.EncodeToString(public[:]), 16+i>>8, i&255)
	}
	return b.String()
}

// base64Of is a key as files have it.
func base64Of(tb testnet.TB, key string) string {
	tb.Helper()
	b, err := hex.DecodeString(key)
	if err != nil {
		tb.Fatalf("key: %v", err)
	}
	return base64.StdEncoding.EncodeToString(b)
}
