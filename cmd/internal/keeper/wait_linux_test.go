package keeper_test

import (
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vpn/cmd/internal/testnet"
)

// TestWait returns when the peer has answered, or names the one that does not.
func TestWait(t *testing.T) {
	w := newWorld(t)
	w.peerUp()
	w.a.write(w.a.config(w.b, "", w.b.endpoint()))
	w.a.do("up", "wg0", "--wait")
	if strings.HasSuffix(w.a.handshake(), "\t0\n") {
		t.Error("there was no handshake")
	}
	w.a.do("down", "wg0")

	silent, lost := testnet.NewKey(), testnet.NewKey()
	w.a.write(w.a.config(w.b, "", w.b.endpoint()+
		"\n[Peer]\n#vpn: Name = quiet\nPublicKey = "+base64Of(silent.Public)+"\nEndpoint = 192.0.2.2:9\nAllowedIPs = 10.9.0.4/32"+
		"\n[Peer]\nPublicKey = "+base64Of(lost.Public)+"\nEndpoint = no.such.host.invalid:1\nAllowedIPs = 10.9.0.5/32"))
	text := w.a.fail(1, []string{
		"wg0 is up, but not all of its peers have answered",
		"quiet (" + base64Of(silent.Public) + ") at 192.0.2.2:9: initiations without an answer: 1",
		base64Of(lost.Public) + " at no.such.host.invalid:1: its name has no address",
	}, "up", "wg0", "--wait", "--timeout", "2s")
	if strings.Contains(text, base64Of(w.b.key.Public)+" at") {
		t.Errorf("one that has answered is named:\n%s", text)
	}
	w.a.MustPing(w.b.inner)
	w.a.fail(1, []string{"quiet (", "hint: \"vpn diagnose wg0\""}, "apply", "wg0", "--wait", "--timeout", "10ms")
	w.a.MustRun("sed", "-i", "/ListenPort/aMTU = 1300", "/etc/wireguard/wg0.conf")
	p := w.a.Start(nil, w.vpn, "apply", "wg0", "--wait")
	p.WaitOutput("mtu 1300")
	p.Signal(syscall.SIGINT)
	if code := p.WaitEnd(); code != 1 || !strings.Contains(p.Output(), "\nerror: interrupted") {
		t.Errorf("code %d:\n%s", code, p.Output())
	}
	w.a.do("down", "wg0")
}

// TestHeals takes away what is the link's, and sees it put back; again and again,
// and sees that end, and said.
func TestHeals(t *testing.T) {
	w := newWorld(t)
	w.peerUp()
	w.a.write(w.a.config(w.b, "", w.b.endpoint()+"\n"+fullTunnel))
	p := w.a.Start(nil, w.vpn, "run", "wg0")
	p.WaitOutput("the link is up")
	facts := w.a.tunnelFacts()
	back := func(what string) {
		t.Helper()
		testnet.Until(t, what+" is put back", func() bool { return w.a.tunnelFacts() == facts })
	}
	for _, command := range []string{
		"nft flush ruleset", "ip rule del not fwmark 51820 table 51820", "ip route flush table 51820", "ip address flush dev wg0", "ip -6 rule del table main suppress_prefixlength 0",
		"ip link set wg0 down; ip link set wg0 up",
	} {
		w.a.MustRun("sh", "-c", command)
		back(command)
	}
	w.a.MustPing(w.b.inner)
	w.a.MustRun("ip", "link", "set", "wg0", "down")
	w.a.MustRun("nft", "flush", "ruleset")
	if text := w.a.MustRun("nft", "list", "ruleset"); text != "" {
		t.Errorf("put back while the link is down:\n%s", text)
	}
	w.a.MustRun("ip", "link", "set", "wg0", "up")
	back("all")
	w.a.MustRun("sh", "-c", `i=0; while [ $i -lt 500 ]; do ip -4 rule del table main suppress_prefixlength 0 2>/dev/null; i=$((i+1)); done`)
	p.WaitOutput("removed again and again")
	if diff := cmp.Diff(1, strings.Count(p.Output(), "removed again and again")); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(p.Output(), "(process ") {
		t.Errorf("it isn't said who it was:\n%s", p.Output())
	}
}

// TestHealOff lets others do as they like.
func TestHealOff(t *testing.T) {
	w := newWorld(t)
	w.a.write(w.a.config(w.b, "#vpn: Heal = off", w.b.endpoint()))
	p := w.a.Start(nil, w.vpn, "run", "wg0")
	p.WaitOutput("the link is up")
	w.a.MustRun("ip", "address", "flush", "dev", "wg0")
	w.a.do("reload", "wg0", "--dry-run") // whatever was noticed has been worked on by then
	if text := w.a.MustRun("ip", "address", "show", "wg0"); strings.Contains(text, "10.9.0.1") {
		t.Error("the address was put back")
	}
}
