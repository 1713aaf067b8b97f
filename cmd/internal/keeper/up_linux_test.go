package keeper_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vpn/cmd/internal/testnet"
)

// TestUpAndDown brings a link up, uses it, and takes it down: then nothing is
// left.
func TestUpAndDown(t *testing.T) {
	w := newWorld(t)
	w.peerUp()
	before := w.a.facts()
	w.a.write(w.a.config(w.b, "DNS = 10.9.0.53, corp.example\n#vpn: Masquerade = "+w.outer.Name, w.b.endpoint()))
	text := w.a.do("up", "wg0")
	for _, step := range []string{"[#] ip tuntap add dev wg0 mode tun\n", "[#] ip -4 address add 10.9.0.1/24 dev wg0\n"} {
		if !strings.Contains(text, step) {
			t.Errorf("no step %q in\n%s", step, text)
		}
	}
	w.a.MustPing(w.b.inner)
	w.a.fail(1, []string{"wg0 is held by process", "vpn run wg0", "is up already", "hint:"}, "up", "wg0")
	w.a.MustPing(w.b.inner)
	text = w.a.do("down", "wg0")
	for _, step := range []string{"[#] ip link delete dev wg0\n", "[#] sysctl -q net.ipv4.ip_forward=0\n"} {
		if !strings.Contains(text, step) {
			t.Errorf("no step %q in\n%s", step, text)
		}
	}
	w.a.Run("rm", "/etc/wireguard/wg0.conf")
	if diff := cmp.Diff(before, w.a.facts()); diff != "" {
		t.Errorf("before and after:\n%s", diff)
	}
	w.a.fail(1, []string{"wg0 is not up"}, "down", "wg0")
}

// patience is more than an answer takes that comes at all.
const patience = 10 * time.Second

// TestFirstPacket has the first packet answered after each up: the engine is ready
// for it, and the peer answers on the new session and not on the one before.
func TestFirstPacket(t *testing.T) {
	w := newWorld(t)
	w.peerUp()
	w.a.write(w.a.config(w.b, "", w.b.endpoint()))
	const times = 30
	lost := 0
	for range times {
		w.a.do("up", "wg0")
		lost += w.a.Ping(w.b.inner, 1, patience).Lost()
		w.a.do("down", "wg0")
	}
	if lost > 0 {
		t.Errorf("%d of %d first packets had no answer", lost, times)
	}
}

// TestPortTaken has another program on the port.
func TestPortTaken(t *testing.T) {
	w := newWorld(t)
	before := w.a.facts()
	w.a.write(w.a.config(w.b, "", w.b.endpoint()))
	w.a.Do(func() {
		c, err := net.ListenPacket("udp4", fmt.Sprintf(":%d", w.a.port))
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { c.Close() })
	})
	w.a.fail(1, []string{"51001", "address already in use"}, "up", "wg0")
	w.a.MustRun("rm", "/etc/wireguard/wg0.conf")
	if diff := cmp.Diff(before, w.a.facts()); diff != "" {
		t.Errorf("before and after:\n%s", diff)
	}
}

// TestLinkOfAnother finds a link of that name that somebody else has made.
func TestLinkOfAnother(t *testing.T) {
	w := newWorld(t)
	w.a.write(w.a.config(w.b, "", ""))
	w.a.MustRun("ip", "link", "add", "wg0", "type", "veth", "peer", "name", "wg0-other")
	w.a.fail(1, []string{"wg0: there is a link of that name already, of kind veth"}, "up", "wg0")
	w.a.fail(1, []string{"wg0 is not up, but there is a link of that name", "hint: ip link delete wg0"}, "down", "wg0")
	w.a.MustRun("ip", "link", "show", "wg0")
}

// TestMovedLink has a hook move the link to another network namespace, which is said,
// and somebody give a link that is up another name: of neither anything is left.
func TestMovedLink(t *testing.T) {
	w := newWorld(t)
	other := testnet.NewHost(t, "other")
	p := other.Start(nil, "sleep", "1000")
	w.a.write(w.a.config(w.b, "PostUp = ip link set dev %i netns "+fmt.Sprint(p.PID()), w.b.endpoint()+"\n"+fullTunnel))
	before, there := w.a.facts(), other.MustRun("ip", "link")
	w.a.fail(1, []string{": after it there is no link wg0 any more in this network namespace", "hint: "}, "up", "wg0")
	w.a.write(w.a.config(w.b, "", w.b.endpoint()))
	w.a.do("up", "wg0")
	w.a.MustRun("sh", "-c", "ip link set dev wg0 down; ip link set dev wg0 name strange")
	w.a.do("down", "wg0")
	if diff := cmp.Diff(before, w.a.facts()); diff != "" {
		t.Errorf("before and after:\n%s", diff)
	}
	if diff := cmp.Diff(there, other.MustRun("ip", "link")); diff != "" {
		t.Errorf("in the other namespace:\n%s", diff)
	}
}

// TestDownAll takes down all there is, and nothing where nothing is.
func TestDownAll(t *testing.T) {
	w := newWorld(t)
	before := w.a.facts()
	w.a.do("down", "--all")
	text := w.a.config(w.b, "", "")
	w.a.write(text)
	w.a.WriteFile("/etc/wireguard/wg1.conf", strings.NewReplacer("51001", "51011", "10.9.0.", "10.19.0.").Replace(text), 0o600)
	w.a.do("up", "wg0")
	w.a.do("up", "wg1")
	w.a.kill(w.a.pid())
	w.a.MustRun("install", "-D", "-m", "755", w.vpn, "/run/program/vpn")
	for _, command := range []string{"down --all", "down wg1", "reload wg1", "reload --keep wg1", "restart wg1", "apply wg1", "save wg1", "strip wg1", "check wg1", "up wg1"} {
		said, code := w.a.Run("setpriv", append([]string{"--reuid=65534", "--regid=65534", "--clear-groups", "/run/program/vpn"}, strings.Fields(command)...)...)
		if code != 1 || !strings.Contains(said, "permission") || !strings.Contains(said, "hint: run it as root") {
			t.Errorf("another user: %s: code %d\n%s", command, code, said)
		}
	}
	w.a.do("down", "--all")
	w.a.MustRun("sh", "-c", "rm /etc/wireguard/*")
	if diff := cmp.Diff(before, w.a.facts()); diff != "" {
		t.Errorf("before and after:\n%s", diff)
	}
}

// TestWithoutPrograms is a host that has no ip, nft, resolvconf, sysctl or bash, nor
// any other program: a full tunnel with all that there is comes up and goes. Like the
// kernel's interface it has no address of its own making, and sends no redirects.
func TestWithoutPrograms(t *testing.T) {
	w := newWorld(t)
	w.peerUp()
	w.a.MustRun("ip", "route", "add", "default", "via", w.b.outer)
	before := w.a.facts()
	alone := func(args string) string {
		t.Helper()
		return w.a.MustRun("unshare", "--mount", "sh", "-c", "mount -t tmpfs none /usr/sbin; mount -t tmpfs none /usr/bin; exec "+w.vpn+" "+args)
	}
	w.a.write(w.a.config(w.b, "Address = fd09::1/64\nDNS = 10.9.0.53, corp.example\n#vpn: KillSwitch = on\n#vpn: Masquerade = "+w.outer.Name, w.b.endpoint()+"\n"+fullTunnel))
	alone("up wg0 --wait")
	w.a.MustPing(w.b.inner)
	for what, has := range map[string]string{
		"ip -6 address show dev wg0":                     "fd09::1/64",
		"ip rule; ip -6 rule":                            "suppress_prefixlength 0",
		"nft list ruleset":                               "vpn-killswitch-wg0",
		"cat /etc/resolv.conf":                           "nameserver 10.9.0.53",
		"sysctl net.ipv4.ip_forward":                     "= 1",
		"sysctl net.ipv4.conf.wg0.send_redirects":        "= 0",
		"sysctl net.ipv4.conf.all.send_redirects":        "= 0",
		"sysctl net.ipv4.conf.all.src_valid_mark":        "= 1",
		"ip -4 route show table all dev wg0 | grep defa": "default",
	} {
		if text := w.a.MustRun("sh", "-c", what); !strings.Contains(text, has) || strings.Contains(text, "fe80") && strings.Contains(what, "address") {
			t.Errorf("%s:\n%s", what, text)
		}
	}
	alone("down wg0")
	w.a.MustRun("rm", "/etc/wireguard/wg0.conf")
	if diff := cmp.Diff(before, w.a.facts()); diff != "" {
		t.Errorf("before and after:\n%s", diff)
	}
}
