package keeper_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"vpn/cmd/internal/testnet"
)

// kept returns when it is put down for the next engine what says so.
func (m *machine) kept(what string) {
	m.w.t.Helper()
	testnet.Until(m.w.t, "it is kept: "+what, func() bool { return strings.Contains(m.ReadFile("/run/vpn/wg0/engine"), what) })
}

// device is what wg0's engine has, but for what changes by itself.
func (m *machine) device() string {
	m.w.t.Helper()
	var b strings.Builder
	for _, what := range []string{"private-key", "listen-port", "fwmark", "preshared-keys", "endpoints", "allowed-ips", "persistent-keepalive"} {
		fmt.Fprintf(&b, "%s\n%s\n", what, m.do("show", "wg0", what))
	}
	return b.String()
}

// TestWhatWasInForceStays changes the file without a reload, breaks it, and deletes
// it, with settings that were made by hand besides: whatever ends, all that was in
// force is so again, and down leaves nothing.
func TestWhatWasInForceStays(t *testing.T) {
	w := newWorld(t)
	w.peerUp()
	before := w.a.facts()
	w.a.MustRun("mkdir", "-p", "/run/keys")
	psk := testnet.NewKey().Private
	w.a.WriteFile("/run/keys/psk", base64Of(psk), 0o600)
	w.b.MustRun("mkdir", "-p", "/run/keys")
	w.b.WriteFile("/run/keys/psk", base64Of(psk), 0o600)
	w.b.do("set", "wg0", "peer", base64Of(w.a.key.Public), "preshared-key", "/run/keys/psk")
	text := w.a.config(w.b, "", w.b.endpoint()+"\n#vpn: PresharedKeyFile = /run/keys/psk")
	w.a.write(text)
	w.a.do("up", "wg0")
	w.a.MustPing(w.b.inner)
	w.a.MustRun("rm", "/run/keys/psk")

	third, fourth := w.machine("c", 3), testnet.NewKey()
	w.a.WriteFile("/run/keys/other", base64Of(testnet.NewKey().Private), 0o600)
	w.a.do("set", "wg0", "listen-port", "40001", "fwmark", "0x88")
	w.a.do("set", "wg0", "peer", base64Of(third.key.Public), "preshared-key", "/run/keys/other", "endpoint", "192.0.2.77:7", "allowed-ips", "10.88.0.0/16", "persistent-keepalive", "99")
	w.a.do("set", "wg0", "peer", base64Of(fourth.Public), "allowed-ips", "10.89.0.0/16")
	w.a.do("set", "wg0", "peer", base64Of(fourth.Public), "remove")
	w.a.do("set", "wg0", "peer", base64Of(w.b.key.Public), "allowed-ips", w.b.inner+"/32,10.99.0.0/16")
	w.a.kept("allowed_ip=10.99.0.0/16\n")
	if mode := w.a.MustRun("stat", "-c", "%a %u", "/run/vpn/wg0/engine", "/run/vpn/wg0/config"); mode != "600 0\n600 0\n" {
		t.Errorf("modes and owners:\n%s", mode)
	}
	device, facts := w.a.device(), w.a.tunnelFacts()

	changes := map[string]func(){
		"changed": func() { w.a.write(strings.Replace(text, "ListenPort = 51001", "ListenPort = 50000\nMTU = 1300", 1)) },
		"broken":  func() { w.a.write(text + "nonsense\n") },
		"deleted": func() { w.a.MustRun("rm", "/etc/wireguard/wg0.conf") },
	}
	ends := map[string]func(){
		"engine":  func() { w.a.kill(w.a.engine()) },
		"keeper":  func() { w.a.kill(w.a.pid()); w.a.do("up", "wg0") },
		"restart": func() { w.a.do("restart", "wg0") },
		"both": func() {
			engine, keeper := w.a.engine(), w.a.pid()
			if err := unix.Kill(keeper, unix.SIGSTOP); err != nil { // it starts no other engine
				t.Fatal(err)
			}
			w.a.kill(engine)
			w.a.kill(keeper)
			w.a.do("up", "wg0")
		},
	}
	for _, change := range []string{"changed", "broken", "deleted"} {
		changes[change]()
		for name, end := range ends {
			end()
			if w.a.Ping(w.b.inner, 3, patience).Received == 0 {
				t.Errorf("%s, %s: the peer is not reached any more", change, name)
			}
			if diff := cmp.Diff(device, w.a.device()); diff != "" {
				t.Errorf("%s, %s: before and after:\n%s", change, name, diff)
			}
			if diff := cmp.Diff(facts, w.a.tunnelFacts()); diff != "" {
				t.Errorf("%s, %s: before and after:\n%s", change, name, diff)
			}
		}
	}

	w.a.WriteFile("/run/keys/psk", base64Of(psk), 0o600)
	w.a.write(text)
	if said := w.a.do("reload", "wg0"); strings.Count(said, "was added by hand and is not in the file") != 1 {
		t.Errorf("reload says\n%s", said)
	}
	w.a.kill(w.a.engine())
	w.a.MustPing(w.b.inner)
	if now := w.a.device(); strings.Contains(now, "10.88.0.0/16") || !strings.Contains(now, "51001") {
		t.Errorf("what reload has taken away is back:\n%s", now)
	}
	w.a.do("down", "wg0")
	w.a.MustRun("rm", "/etc/wireguard/wg0.conf")
	if diff := cmp.Diff(before, w.a.facts()); diff != "" {
		t.Errorf("before and after:\n%s", diff)
	}
}

// TestAppliedAfterACrash has apply bring the file in on a link that nobody keeps.
func TestAppliedAfterACrash(t *testing.T) {
	w := newWorld(t)
	w.peerUp()
	w.a.write(w.a.config(w.b, "", w.b.endpoint()))
	w.a.do("up", "wg0")
	engine := w.a.engine()
	w.a.kill(w.a.pid())
	testnet.Until(t, "the engine ends", func() bool { return unix.Kill(engine, 0) != nil })
	w.a.write(w.a.config(w.b, "MTU = 1300", w.b.endpoint()))
	w.a.do("apply", "wg0")
	w.a.MustPing(w.b.inner)
	if !strings.Contains(w.a.MustRun("ip", "link", "show", "wg0"), "mtu 1300 ") {
		t.Error("the file is not in force")
	}
	w.a.do("down", "wg0")
}

// TestSetBetweenEngines sets peers while there is no engine: whoever is told that it
// worked finds it in force under the next.
func TestSetBetweenEngines(t *testing.T) {
	w := newWorld(t)
	w.peerUp()
	w.a.write(w.a.config(w.b, "", w.b.endpoint()))
	w.a.do("up", "wg0")
	const atOnce = 20
	keeper, engine := w.a.pid(), w.a.engine()
	if err := unix.Kill(keeper, unix.SIGSTOP); err != nil { // it starts no other engine
		t.Fatal(err)
	}
	w.a.kill(engine)
	var set []*testnet.Process
	var peers []string
	for range atOnce {
		peers = append(peers, base64Of(testnet.NewKey().Public))
		set = append(set, w.a.Start(nil, "wg", "set", "wg0", "peer", peers[len(peers)-1], "allowed-ips", fmt.Sprintf("10.70.%d.0/24", len(peers))))
	}
	testnet.Until(t, "all wait at the control socket", func() bool {
		return strings.Count(w.a.MustRun("cat", "/proc/self/net/unix"), "/run/wireguard/.wg0.") > atOnce // with the one that listens
	})
	if err := unix.Kill(keeper, unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	for _, p := range set {
		if code := p.WaitEnd(); code != 0 {
			t.Errorf("wg: code %d\n%s", code, p.Output())
		}
	}
	now := w.a.do("show", "wg0", "allowed-ips")
	for n, peer := range peers {
		if !strings.Contains(now, fmt.Sprintf("%s\t10.70.%d.0/24", peer, n+1)) {
			t.Errorf("peer %d is lost", n+1)
		}
	}
	w.a.MustPing(w.b.inner)
	w.a.do("down", "wg0")
}
