package keeper_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vpn/cmd/internal/testnet"
)

// handshake is when a last shook hands with b, by wg's account.
func (m *machine) handshake() string {
	m.w.t.Helper()
	return m.do("show", "wg0", "latest-handshakes")
}

// TestReload changes all that a file can, under a TCP transfer, whose peer is not
// touched.
func TestReload(t *testing.T) {
	w := newWorld(t)
	w.peerUp()
	third := w.machine("c", 3)
	section := w.b.endpoint()
	w.a.write(w.a.config(w.b, "", section))
	w.a.do("up", "wg0")
	w.a.MustPing(w.b.inner)
	before, facts := w.a.handshake(), w.a.tunnelFacts()

	stream := testnet.Dial(w.a.Host, w.b.Host, w.b.inner)
	const size, limit = 200 << 20, time.Minute
	wait := stream.Start(size, limit)
	if text := w.a.do("reload", "wg0"); text != "note: nothing has changed\n" {
		t.Errorf("nothing to do, and it says\n%s", text)
	}
	other := "\n[Peer]\nPublicKey = " + base64Of(third.key.Public) + "\nAllowedIPs = 10.9.0.3/32, 10.77.0.0/16\n"
	changed := w.a.config(w.b, "Address = fd09::1/64\nMTU = 1380\nDNS = 10.9.0.53\nFwMark = 0x77\nPostDown = touch /run/new-hook", section+other)
	w.a.write(changed)
	dry := w.a.do("reload", "wg0", "--dry-run")
	if diff := cmp.Diff(facts, w.a.tunnelFacts()); diff != "" {
		t.Errorf("a dry run, before and after:\n%s", diff)
	}
	text := w.a.do("reload", "wg0")
	if diff := cmp.Diff(dry, text); diff != "" {
		t.Errorf("dry, and done:\n%s", diff)
	}
	for _, step := range []string{"ip -6 address add fd09::1/64 dev wg0", "ip link set mtu 1380", "wg set wg0 fwmark 119", "10.77.0.0/16", base64Of(third.key.Public)} {
		if !strings.Contains(text, step) {
			t.Errorf("no step %q in\n%s", step, text)
		}
	}
	now := w.a.tunnelFacts()
	for _, fact := range []string{"fd09::1/64", "mtu 1380", "10.77.0.0/16", "nameserver 10.9.0.53"} {
		if !strings.Contains(now, fact) {
			t.Errorf("no %q in\n%s", fact, now)
		}
	}
	if text := w.a.do("reload", "wg0"); text != "note: nothing has changed\n" {
		t.Errorf("done already, and it says\n%s", text)
	}

	w.a.MustRun(w.vpn, "set", "wg0", "peer", base64Of(testnet.NewKey().Public), "allowed-ips", "10.88.0.0/16")
	w.a.write(w.a.config(w.b, "", section))
	if text := w.a.do("reload", "wg0"); strings.Count(text, " remove\n") != 2 || strings.Count(text, "was added by hand and is not in the file") != 1 {
		t.Errorf("it says\n%s", text)
	}
	if diff := cmp.Diff(facts, w.a.tunnelFacts()); diff != "" {
		t.Errorf("before and after going back:\n%s", diff)
	}

	wait()
	stream.Close()
	if after := w.a.handshake(); after != before {
		t.Errorf("the session is another: %s, was %s", after, before)
	}
	w.a.write(changed + "nonsense\n")
	w.a.fail(78, []string{"/etc/wireguard/wg0.conf:", "neither"}, "reload", "wg0")
	if diff := cmp.Diff(facts, w.a.tunnelFacts()); diff != "" {
		t.Errorf("a file with an error, before and after:\n%s", diff)
	}
	w.a.do("down", "wg0")
	w.a.MustRun("test", "!", "-e", "/run/new-hook") // it was gone again
}

// TestReloadTells has changes that are easily missed: each is told, the same by a dry
// run, and what is none waits for nobody to confirm it.
func TestReloadTells(t *testing.T) {
	w := newWorld(t)
	file := func(iface, section string) { w.a.write(w.a.config(w.b, iface, section)) }
	file("#vpn: Masquerade = "+w.outer.Name, w.b.endpoint()+"\n"+fullTunnel)
	w.a.do("up", "wg0")
	for _, c := range []struct {
		iface, section string
		says           []string
	}{
		{"", w.b.endpoint(), []string{"[#] sysctl -q net.ipv4.conf.all.src_valid_mark=0\n", "[#] sysctl -q net.ipv4.ip_forward=0\n"}},
		{"PreDown = true\nPostDown = true", w.b.endpoint(), []string{"note: as the file has it from now on: PreDown, PostDown\n"}},
		{"#vpn: Heal = off", w.b.endpoint(), []string{"note: as the file has it from now on: PreDown, PostDown, Heal\n"}},
		{"", "Endpoint = no.such.host.invalid:9", []string{" endpoint no.such.host.invalid:9\n", "from now on: Heal\n"}},
		{"", "Endpoint = no.such.host.invalid:9\n#vpn: Endpoint = 192.0.2.9:9", []string{" endpoint 192.0.2.9:9\n"}},
		{"SaveConfig = true", "Endpoint = no.such.host.invalid:9\n#vpn: Endpoint = 192.0.2.9:9", []string{"from now on: SaveConfig\n"}},
	} {
		file(c.iface, c.section)
		dry := w.a.do("reload", "wg0", "--dry-run")
		text := w.a.do("reload", "wg0")
		if diff := cmp.Diff(dry, text); diff != "" {
			t.Errorf("dry, and done:\n%s", diff)
		}
		for _, part := range c.says {
			if !strings.Contains(text, part) {
				t.Errorf("it does not say %q:\n%s", part, text)
			}
		}
		if text := w.a.do("reload", "wg0", "--force", "--confirm", "1h"); text != "note: nothing has changed\n" && !strings.HasSuffix(text, "\nnote: nothing has changed\n") {
			t.Errorf("nothing to confirm, and it says\n%s", text)
		}
	}
	if text := w.a.do("reload", "wg0", "--dry-run"); !strings.Contains(text, "without --force it is refused") {
		t.Errorf("dry, with SaveConfig:\n%s", text)
	}
	w.a.do("down", "wg0")
}

// TestReloadKeepsWhatRoamed moves b to another port: its endpoint stays, until the
// file has another.
func TestReloadKeepsWhatRoamed(t *testing.T) {
	w := newWorld(t)
	w.peerUp()
	w.a.write(w.a.config(w.b, "", w.b.endpoint()))
	w.a.do("up", "wg0")
	w.a.MustPing(w.b.inner)
	w.b.do("set", "wg0", "listen-port", "40000")
	w.b.MustPing(w.a.inner)
	endpoint := func(want string) {
		t.Helper()
		testnet.Until(t, "the endpoint is "+want, func() bool {
			return strings.Contains(w.a.do("show", "wg0", "endpoints"), "\t"+want+"\n")
		})
	}
	endpoint("192.0.2.2:40000")
	w.a.do("reload", "wg0")
	endpoint("192.0.2.2:40000")
	w.a.kept("endpoint=192.0.2.2:40000\n")
	w.a.kill(w.a.engine())
	endpoint("192.0.2.2:40000")
	w.a.MustPing(w.b.inner)
	w.a.kill(w.a.pid())
	w.a.do("up", "wg0")
	endpoint("192.0.2.2:40000")
	w.a.write(w.a.config(w.b, "", "Endpoint = 192.0.2.2:40001"))
	w.a.do("reload", "wg0")
	endpoint("192.0.2.2:40001")
	w.a.do("down", "wg0")
}

// TestReloadToBeConfirmed goes back where nobody confirms, also if the keeper is
// killed meanwhile, and stays where somebody does.
func TestReloadToBeConfirmed(t *testing.T) {
	w := newWorld(t)
	w.peerUp()
	old := w.a.config(w.b, "", w.b.endpoint())
	changed := w.a.config(w.b, "MTU = 1300", fmt.Sprintf("Endpoint = %s:9", w.b.outer)) // a port where nobody is
	w.a.write(old)
	w.a.do("up", "wg0")
	w.a.MustPing(w.b.inner)
	mtu := func(want string) {
		t.Helper()
		testnet.Until(t, "the MTU is "+want, func() bool { return strings.Contains(w.a.MustRun("ip", "link", "show", "wg0"), "mtu "+want+" ") })
	}

	w.a.write(changed)
	text := w.a.do("reload", "wg0", "--confirm", "1s")
	if !strings.Contains(text, "vpn reload --keep wg0") || !strings.Contains(text, "mtu 1300") {
		t.Errorf("it says\n%s", text)
	}
	mtu("1420") // in a second
	w.a.MustPing(w.b.inner)
	w.a.fail(1, []string{"no reload waits"}, "reload", "wg0", "--keep")
	w.a.kill(w.a.engine()) // what is in force is not what the file says
	w.a.MustPing(w.b.inner)
	mtu("1420")

	w.a.do("reload", "wg0", "--confirm", "1h")
	mtu("1300")
	w.a.kill(w.a.engine()) // nobody had confirmed it
	mtu("1420")
	w.a.MustPing(w.b.inner)
	w.a.fail(1, []string{"no reload waits"}, "reload", "wg0", "--keep")

	w.a.do("reload", "wg0", "--confirm", "1h")
	mtu("1300")
	w.a.fail(1, []string{"waits to be confirmed"}, "reload", "wg0")
	w.a.kill(w.a.pid())
	w.a.do("up", "wg0")
	mtu("1420")
	w.a.MustPing(w.b.inner)

	w.a.write(w.a.config(w.b, "MTU = 1280", w.b.endpoint()))
	w.a.do("reload", "wg0", "--confirm", "1h")
	w.a.do("reload", "wg0", "--keep")
	w.a.kill(w.a.pid())
	w.a.do("up", "wg0")
	mtu("1280")
	w.a.MustPing(w.b.inner)
	w.a.do("down", "wg0")
}

// TestSignals reads the file anew on SIGHUP, and starts anew on SIGUSR2.
func TestSignals(t *testing.T) {
	w := newWorld(t)
	w.peerUp()
	w.a.write(w.a.config(w.b, "", w.b.endpoint()))
	p := w.a.Start(nil, w.vpn, "run", "wg0")
	p.WaitOutput("the link is up")
	w.a.write(w.a.config(w.b, "MTU = 1300", w.b.endpoint()))
	p.Signal(1)
	p.WaitOutput("reloaded")
	if !strings.Contains(w.a.MustRun("ip", "link", "show", "wg0"), "mtu 1300 ") {
		t.Error("the file is not in force")
	}
	p.Signal(12)
	p.WaitOutput("taking over wg0")
	w.a.MustPing(w.b.inner)
	p.Signal(15)
	if code := p.WaitEnd(); code != 0 {
		t.Errorf("code %d:\n%s", code, p.Output())
	}
}

// TestRestart replaces the program in place: the process, the port and all that
// lies on the link stay.
func TestRestart(t *testing.T) {
	w := newWorld(t)
	w.peerUp()
	before := w.a.facts()
	w.a.write(strings.Replace(w.a.config(w.b, "", w.b.endpoint()+"\n"+fullTunnel), "ListenPort = 51001\n", "", 1))
	w.a.do("up", "wg0")
	w.a.MustPing(w.b.inner)
	facts, pid, engine, port := w.a.tunnelFacts(), w.a.pid(), w.a.engine(), w.a.do("show", "wg0", "listen-port")
	for range 2 {
		w.a.do("restart", "wg0")
		if now := w.a.pid(); now != pid {
			t.Errorf("process %d, was %d", now, pid)
		}
		if now := w.a.engine(); now == engine {
			t.Error("the engine is the same")
		}
		if now := w.a.do("show", "wg0", "listen-port"); now != port {
			t.Errorf("port %s, was %s", now, port)
		}
		if diff := cmp.Diff(facts, w.a.tunnelFacts()); diff != "" {
			t.Errorf("before and after:\n%s", diff)
		}
		w.a.MustPing(w.b.inner)
	}
	w.a.do("down", "wg0")
	w.a.MustRun("rm", "/etc/wireguard/wg0.conf")
	if diff := cmp.Diff(before, w.a.facts()); diff != "" {
		t.Errorf("before and after:\n%s", diff)
	}
}
