//go:build linux

package installtest

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vpn/cmd/internal/testnet"
)

// site is a machine with systemd on which the program is installed, and one
// beside it that is its peer.
type site struct {
	t    *testing.T
	host *testnet.Host    // with what systemd starts
	sys  *testnet.Systemd // the same, as systemd's own processes see it
	peer *testnet.Host
	out  *testnet.Link // the host's way to the peer
	keys [2]string     // private, in base64: the site's, its peer's
	ids  [2]string     // public
}

func newSite(t *testing.T) *site {
	t.Helper()
	return newSiteWith(t, func(*testnet.Host) {})
}

// newSiteWith makes a site that is prepared before systemd boots, which has some more
// of the system's units.
func newSiteWith(t *testing.T, prepare func(*testnet.Host), units ...string) *site {
	t.Helper()
	s := &site{t: t, host: testnet.NewMachine(t, "site"), peer: testnet.NewMachine(t, "peer")}
	toPeer, toSite := testnet.Connect(s.host, s.peer, 1500)
	toPeer.Address("192.0.2.1/24")
	toSite.Address("192.0.2.2/24")
	s.out = toPeer
	toPeer.Up()
	toSite.Up()
	for i := range s.keys {
		s.keys[i] = strings.TrimSpace(s.peer.MustRun(built, "genkey"))
		s.ids[i] = strings.TrimSpace(s.peer.MustRun("sh", "-c", "echo "+s.keys[i]+" | "+built+" pubkey"))
	}
	s.host.MustRun("mount", "-t", "tmpfs", "tmpfs", "/usr/local")
	prepare(s.host)
	s.sys = s.host.StartSystemd(units...)
	s.sys.MustRun(scripts+"/install", "--binary", built)
	t.Cleanup(func() {
		if t.Failed() {
			text, _ := s.sys.Run("journalctl", "--no-pager", "--lines=300", "--output=short-monotonic")
			t.Logf("journal:\n%s", text)
		}
	})
	return s
}

// write writes the files of tunnel number n, named wgN: that of the site, with some
// more lines, and that of its peer, and brings the peer's end up.
func (s *site) write(n int, iface string) {
	s.t.Helper()
	file := func(host *testnet.Host, own, other int, more string) {
		host.WriteFile(fmt.Sprintf("/etc/wireguard/wg%d.conf", n), fmt.Sprintf(`[Interface]
PrivateKey = %s
ListenPort = %d
Address = 10.9.%d.%d/24
%s
[Peer]
PublicKey = %s
AllowedIPs = 10.9.%d.%d/32
Endpoint = 192.0.2.%d:%d
`, s.keys[own], 51000+n, n, own+1, more, s.ids[other], n, other+1, other+1, 51000+n), 0o600)
	}
	file(s.host, 0, 1, iface)
	file(s.peer, 1, 0, "")
	s.peer.MustRun(built, "apply", fmt.Sprintf("wg%d", n))
}

func (s *site) ping(n int) {
	s.t.Helper()
	s.host.MustPing(fmt.Sprintf("10.9.%d.2", n))
}

// pid is the keeper's, as the test sees it.
func (s *site) pid(unit string) int {
	s.t.Helper()
	inside := s.property(unit, "MainPID")
	for _, pid := range s.host.Processes() {
		text := testnet.Status(pid, "NSpid")
		if fields := strings.Fields(text); len(fields) > 1 && fields[len(fields)-1] == inside {
			return pid
		}
	}
	s.t.Fatalf("no process is %s inside", inside)
	return 0
}

// child is the process that another has started.
func (s *site) child(parent int) int {
	s.t.Helper()
	for _, pid := range s.host.Processes() {
		if testnet.Status(pid, "PPid") == strconv.Itoa(parent) {
			return pid
		}
	}
	s.t.Fatalf("%d has no child", parent)
	return 0
}

func (s *site) property(unit, name string) string {
	s.t.Helper()
	return strings.TrimSpace(s.sys.MustRun("systemctl", "show", "--property="+name, "--value", unit))
}

// A service starts, reloads, is killed and comes again, and stops.
func TestServiceLives(t *testing.T) {
	s := newSite(t)
	s.write(0, "")
	s.sys.MustRun("systemctl", "enable", "--now", "vpn@wg0")
	s.ping(0)
	if got := s.property("vpn@wg0", "ActiveState"); got != "active" {
		t.Errorf("it is %s", got)
	}

	s.write(0, "MTU = 1300")
	s.sys.MustRun("systemctl", "reload", "vpn@wg0")
	if mtu := s.host.Link("wg0").MTU(); mtu != 1300 {
		t.Errorf("reloaded, the MTU is %d", mtu)
	}
	s.host.WriteFile("/etc/wireguard/wg0.conf", "[Interface]\nNo = 1\n", 0o600)
	if text, code := s.sys.Run("systemctl", "reload", "vpn@wg0"); code == 0 {
		t.Errorf("a file with an error is reloaded: %s", text)
	}
	s.ping(0)
	s.write(0, "MTU = 1300")

	first := s.pid("vpn@wg0")
	if err := unix.Kill(first, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	testnet.Until(t, "systemd has restarted it", func() bool {
		return s.property("vpn@wg0", "NRestarts") == "1" && s.property("vpn@wg0", "ActiveState") == "active"
	})
	s.ping(0)

	s.sys.MustRun("systemctl", "stop", "vpn@wg0")
	if s.host.Link("wg0").Exists() || s.property("vpn@wg0", "Result") != "success" {
		t.Errorf("stopped with %s, link there: %v", s.property("vpn@wg0", "Result"), s.host.Link("wg0").Exists())
	}
}

// A file that can't be right is not tried again.
func TestServiceOfAWrongFile(t *testing.T) {
	s := newSite(t)
	s.host.WriteFile("/etc/wireguard/wg0.conf", "[Interface]\nNo = 1\n", 0o600)
	if _, code := s.sys.Run("systemctl", "start", "vpn@wg0"); code == 0 {
		t.Error("it starts")
	}
	if got := s.property("vpn@wg0", "ExecMainStatus") + " " + s.property("vpn@wg0", "ActiveState") + " " + s.property("vpn@wg0", "NRestarts"); got != "78 failed 0" {
		t.Errorf("it is %s", got)
	}
}

// Of two, one stops: the folders that both use stay, and the other works on.
func TestTwoServices(t *testing.T) {
	s := newSite(t)
	s.write(0, "")
	s.write(1, "")
	s.sys.MustRun("systemctl", "start", "vpn.target", "vpn@wg0", "vpn@wg1")
	s.ping(0)
	s.ping(1)
	s.sys.MustRun("systemctl", "stop", "vpn@wg0")
	s.ping(1)
	s.sys.MustRun("test", "-S", "/run/vpn/wg1/control.sock", "-a", "-S", "/run/wireguard/wg1.sock")
	s.sys.MustRun("/usr/local/bin/vpn", "show", "wg1")
	s.sys.MustRun("systemctl", "reload", "vpn@wg1")
	s.sys.MustRun("systemctl", "start", "vpn@wg0")
	s.ping(0)
	s.sys.MustRun("systemctl", "stop", "vpn.target") // they are part of it
	for _, link := range []string{"wg0", "wg1"} {
		testnet.Until(t, link+" is gone", func() bool { return !s.host.Link(link).Exists() })
	}
}

// Hooks do what only an unconfined root can; the keeper can't.
func TestServiceHooks(t *testing.T) {
	s := newSite(t)
	s.write(0, `PreUp = sysctl -w net.ipv4.ip_forward=1
PreUp = sudo -n -u nobody id -un >> /root/hooks; echo "PreUp $(ip link show %i | wc -l)" >> /root/hooks
PostUp = iptables -t nat -A POSTROUTING -o %i -j MASQUERADE
PostUp = ip netns add of-%i && ip netns exec of-%i ip link set lo up
PostUp = systemctl is-system-running >> /root/hooks || true
PreDown = echo PreDown $HOME >> /root/hooks
PostDown = ip netns delete of-%i; iptables -t nat -D POSTROUTING -o %i -j MASQUERADE
SaveConfig = true`)
	s.sys.MustRun("mount", "-t", "tmpfs", "tmpfs", "/root")
	s.sys.MustRun("systemctl", "start", "vpn@wg0")
	s.ping(0)
	if got := s.host.ReadFile("/proc/sys/net/ipv4/ip_forward"); got != "1" {
		t.Errorf("ip_forward is %s", got)
	}
	if rules := s.sys.MustRun("iptables", "-t", "nat", "-S", "POSTROUTING"); !strings.Contains(rules, "-o wg0 -j MASQUERADE") {
		t.Errorf("the rules are\n%s", rules)
	}
	s.sys.MustRun("ip", "netns", "exec", "of-wg0", "true")
	keeper := s.pid("vpn@wg0")
	if caps, privileges := testnet.Status(keeper, "CapBnd"), testnet.Status(keeper, "NoNewPrivs"); caps != "0000000000001400" || privileges != "1" {
		t.Errorf("the keeper has capabilities %s, no new privileges: %s", caps, privileges)
	}
	engine := s.child(keeper)
	for _, field := range []string{"CapInh", "CapPrm", "CapEff", "CapAmb"} {
		if caps := testnet.Status(engine, field); caps != "0000000000000000" {
			t.Errorf("the engine's %s is %s", field, caps)
		}
	}
	s.sys.MustRun("systemctl", "stop", "vpn@wg0")
	if rules := s.sys.MustRun("iptables", "-t", "nat", "-S", "POSTROUTING"); strings.Contains(rules, "MASQUERADE") {
		t.Errorf("the rules are\n%s", rules)
	}
	if got, want := s.sys.MustRun("cat", "/root/hooks"), "nobody\nPreUp 2\nrunning\nPreDown"; !strings.HasPrefix(got, want) {
		t.Errorf("hooks wrote %q, want %q", got, want)
	}
	if left := s.sys.MustRun("systemctl", "list-units", "--all", "--plain", "--no-legend", "vpn-run-*"); left != "" {
		t.Errorf("units are left: %s", left)
	}
}

// A hook that fails ends the start, and all is as it was.
func TestServiceOfAFailingHook(t *testing.T) {
	s := newSite(t)
	s.write(0, "PostUp = echo told; exit 9")
	if _, code := s.sys.Run("systemctl", "start", "vpn@wg0"); code == 0 {
		t.Error("it starts")
	}
	if got := s.property("vpn@wg0", "ExecMainStatus"); got != "9" {
		t.Errorf("its exit code is %s", got)
	}
	s.sys.MustRun("systemctl", "stop", "vpn@wg0") // it would be tried again
	if text := s.sys.MustRun("journalctl", "--unit=vpn@wg0", "--output=cat"); !strings.Contains(text, "told") {
		t.Errorf("the hook's output is not in the journal:\n%s", text)
	}
	if s.host.Link("wg0").Exists() {
		t.Error("the link is left")
	}
}

// What is saved when the service stops is written outside of the sandbox too.
func TestServiceSavesElsewhere(t *testing.T) {
	s := newSite(t)
	s.write(0, "SaveConfig = true")
	s.sys.MustRun("mount", "-t", "tmpfs", "tmpfs", "/srv")
	s.sys.MustRun("mv", "/etc/wireguard/wg0.conf", "/srv/real.conf")
	s.sys.MustRun("ln", "-s", "/srv/real.conf", "/etc/wireguard/wg0.conf")
	s.sys.MustRun("systemctl", "start", "vpn@wg0")
	s.sys.MustRun("/usr/local/bin/vpn", "set", "wg0", "peer", s.ids[1], "persistent-keepalive", "21")
	s.sys.MustRun("systemctl", "stop", "vpn@wg0")
	if text := s.sys.MustRun("cat", "/srv/real.conf"); !strings.Contains(text, "PersistentKeepalive = 21\n") {
		t.Errorf("the file is\n%s", text)
	}
}

// Shutdown takes tunnels down in good order, with their hooks.
func TestShutdown(t *testing.T) {
	s := newSite(t)
	s.write(0, "PreDown = echo PreDown > /run/shared/hook\nPostDown = echo PostDown >> /run/shared/hook")
	s.sys.MustRun("mkdir", "/run/shared")
	s.sys.MustRun("systemctl", "start", "vpn@wg0")
	s.ping(0)
	s.sys.MustRun("systemctl", "--no-block", "start", "shutdown.target")
	testnet.Until(t, "both hooks have run", func() bool {
		text, _ := s.sys.Run("cat", "/run/shared/hook")
		return text == "PreDown\nPostDown\n"
	})
	testnet.Until(t, "the link is gone", func() bool { return !s.host.Link("wg0").Exists() })
}

// The kill switch is there before the network, and stays when its unit stops.
func TestKillSwitchService(t *testing.T) {
	s := newSite(t)
	s.write(0, "#vpn: KillSwitch = on")
	s.sys.MustRun("systemctl", "start", "vpn-killswitch@wg0")
	if got := s.host.Ping("192.0.2.2", 1, testnet.Patience/30); got.Received != 0 {
		t.Error("a packet passes the kill switch")
	}
	s.sys.MustRun("systemctl", "stop", "vpn-killswitch@wg0")
	if got := s.host.Ping("192.0.2.2", 1, testnet.Patience/30); got.Received != 0 {
		t.Error("stopping the unit has lifted the kill switch")
	}
	s.sys.MustRun("systemctl", "start", "vpn@wg0")
	s.ping(0)
	s.sys.MustRun("systemctl", "stop", "vpn@wg0")
	s.host.MustPing("192.0.2.2")
}

// What keeps others off our links is found by those whom it is for.
func TestDropIns(t *testing.T) {
	s := newSite(t)
	text := s.sys.MustRun("systemd-analyze", "cat-config", "systemd/networkd.conf")
	for _, want := range []string{"\nManageForeignRoutes=no\n", "\nManageForeignRoutingPolicyRules=no\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("networkd is not told %q:\n%s", want, text)
		}
	}
	s.sys.MustRun("ip", "tuntap", "add", "dev", "wg7", "mode", "tun")
	s.sys.MustRun("ip", "tuntap", "add", "dev", "other", "mode", "tun")
	s.sys.MustRun("mkdir", "-p", "/run/vpn/wg7")
	for link, want := range map[string]bool{"wg7": true, "other": false} {
		text := s.sys.MustRun("udevadm", "test", "/sys/class/net/"+link)
		if got := strings.Contains(text, "NM_UNMANAGED=1"); got != want {
			t.Errorf("NetworkManager leaves %s alone: %v\n%s", link, got, text)
		}
	}
}

// Uninstalled, nothing of it is left, and systemd knows of no unit.
func TestUninstallFromASystem(t *testing.T) {
	s := newSite(t)
	const ours = "^vpn:.*:engines of vpn:/:/usr/sbin/nologin$"
	s.sys.MustRun("grep", ours, "/etc/passwd")
	s.sys.MustRun(scripts+"/install", "--binary", built) // once more, with the user there
	s.sys.MustRun(scripts+"/install", "--uninstall")
	if text, code := s.sys.Run("grep", "^vpn:", "/etc/passwd", "/etc/group", "/etc/shadow"); code != 1 {
		t.Errorf("the user is left: %s", text)
	}
	const another = "vpn:x:1234:1234:Victor P. Nobody:/:/bin/sh"
	s.sys.MustRun("sh", "-c", "echo '"+another+"' >>/etc/passwd")
	s.sys.MustRun(scripts+"/install", "--binary", built)
	s.sys.MustRun(scripts+"/install", "--uninstall")
	s.sys.MustRun("grep", "^"+another+"$", "/etc/passwd")
	if text, _ := s.sys.Run("systemctl", "list-unit-files", "--no-legend", "vpn*"); text != "" {
		t.Errorf("units are left: %s", text)
	}
	if n, err := strconv.Atoi(strings.TrimSpace(s.sys.MustRun("sh", "-c", "find /usr/local -type f | wc -l"))); n != 0 || err != nil {
		t.Errorf("%d files are left, %v", n, err)
	}
}
