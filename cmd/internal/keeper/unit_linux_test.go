package keeper_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vpn/cmd/internal/testnet"
)

// TestUnits has systemd run what "vpn up" starts: the unit of a name, or one made
// for a file elsewhere and for standard input.
func TestUnits(t *testing.T) {
	w := newWorld(t)
	w.peerUp()
	install, err := filepath.Abs("../../../scripts/install")
	if err != nil {
		t.Fatal(err)
	}
	w.a.MustRun("mount", "-t", "tmpfs", "tmpfs", "/usr/local")
	sys := w.a.StartSystemd()
	sys.MustRun(install, "--binary", w.vpn)
	vpn := "/usr/local/bin/vpn"
	text := w.a.config(w.b, "PostUp = echo hooked %i", w.b.endpoint())
	w.a.write(text)
	sys.MustRun("mkdir", "/run/files")
	w.a.WriteFile("/run/files/wg0.conf", text, 0o600)
	for up, unit := range map[string]string{
		vpn + " up wg0":                                   "vpn@wg0.service",
		vpn + " up /run/files/wg0.conf":                   "vpn-wg0.service",
		vpn + " up - --name wg0 </etc/wireguard/wg0.conf": "vpn-wg0.service",
		vpn + " apply wg0 --wait":                         "vpn@wg0.service",
	} {
		said := sys.MustRun("sh", "-c", up)
		for _, line := range []string{"[#] ip -4 address add 10.9.0.1/24 dev wg0", "hooked wg0"} {
			if !strings.Contains("\n"+said, "\n"+line+"\n") {
				t.Errorf("%s: no line %q in\n%s", up, line, said)
			}
		}
		w.a.MustPing(w.b.inner)
		if state := sys.MustRun("systemctl", "show", "--property=ActiveState", "--value", unit); state != "active\n" {
			t.Errorf("%s: %s is %s", up, unit, state)
		}
		if status := sys.MustRun("systemctl", "show", "--property=StatusText", "--value", unit); !strings.Contains(status, "up on port 51001; ") {
			t.Errorf("%s: the status of %s is %q", up, unit, status)
		}
		if said, code := sys.Run(vpn, "up", "wg0"); code != 1 || !strings.Contains(said, "is up already") {
			t.Errorf("%s, and up again: code %d\n%s", up, code, said)
		}
		sys.MustRun(vpn, "down", "wg0")
		sys.MustRun("sh", "-c", "! systemctl is-failed "+unit+"; ! ip link show wg0 2>/dev/null")
	}
	if diff := cmp.Diff("", sys.MustRun("sh", "-c", "find /run/vpn -type f -not -path '*/shared-by-tunnels/lock'")); diff != "" {
		t.Errorf("left:\n%s", diff)
	}

	w.a.write(strings.Replace(text, "echo hooked %i", "echo oh dear; exit 7", 1))
	if said, code := sys.Run(vpn, "up", "wg0"); code != 7 || !strings.Contains(said, "oh dear") || !strings.Contains(said, "exit code 7") {
		t.Errorf("a hook that fails: code %d\n%s", code, said)
	}
	w.a.write("[Interface]\nMTU = much\n")
	if said, code := sys.Run(vpn, "up", "wg0"); code != 78 || !strings.Contains(said, "wg0.conf:2: MTU") {
		t.Errorf("a wrong file: code %d\n%s", code, said)
	}
	sys.MustRun("sh", "-c", "! ip link show wg0 2>/dev/null; ! systemctl is-active vpn@wg0.service")
}

// TestUnitCutsNoSession types "up" and "reload" in an SSH session, of which the
// keeper, a unit, knows nothing.
func TestUnitCutsNoSession(t *testing.T) {
	w := newWorld(t)
	install, err := filepath.Abs("../../../scripts/install")
	if err != nil {
		t.Fatal(err)
	}
	w.a.MustRun("mount", "-t", "tmpfs", "tmpfs", "/usr/local")
	w.a.MustRun("ip", "route", "add", "default", "via", w.b.outer)
	sys := w.a.StartSystemd()
	sys.MustRun(install, "--binary", w.vpn)
	in := func(command string) (said string, code int) {
		return sys.Run("sh", "-c", "SSH_CONNECTION='198.51.100.9 1 192.0.2.1 22' /usr/local/bin/vpn "+command+" 2>&1")
	}
	plain := w.a.config(w.b, "", w.b.endpoint())
	w.a.write(w.a.config(w.b, "", w.b.endpoint()+"\n"+fullTunnel))
	if said, code := in("up wg0"); code != 0 || strings.Count(said, "takes the SSH session with 198.51.100.9 into the tunnel") != 1 {
		t.Errorf("a default route: code %d\n%s", code, said)
	}
	sys.MustRun("/usr/local/bin/vpn", "down", "wg0")

	locked := strings.Replace(plain, "[Interface]", "[Interface]\n#vpn: KillSwitch = on", 1)
	w.a.write(locked)
	for _, command := range []string{"up wg0", "apply wg0", "up - --name wg0 </etc/wireguard/wg0.conf"} {
		if said, code := in(command); code == 0 || !strings.Contains(said, "would cut the SSH session with 198.51.100.9") || !strings.Contains(said, "--force") {
			t.Errorf("%s: code %d\n%s", command, code, said)
		}
	}
	if said, code := in("up wg0 --force"); code != 0 {
		t.Errorf("by force: code %d\n%s", code, said)
	}
	sys.MustRun("/usr/local/bin/vpn", "down", "wg0")
	w.a.write(plain)
	sys.MustRun("/usr/local/bin/vpn", "up", "wg0")
	w.a.write(locked)
	for _, command := range []string{"reload wg0", "apply wg0"} {
		if said, code := in(command); code == 0 || !strings.Contains(said, "would cut the SSH session with 198.51.100.9") {
			t.Errorf("%s: code %d\n%s", command, code, said)
		}
	}
	if said, code := in("reload wg0 --force"); code != 0 {
		t.Errorf("reload by force: code %d\n%s", code, said)
	}
	sys.MustRun("/usr/local/bin/vpn", "down", "wg0")
}

// TestKillSwitchUnits has the units of two links at once: the second says why it
// can't be, and takes nothing from the first.
func TestKillSwitchUnits(t *testing.T) {
	w := newWorld(t)
	install, err := filepath.Abs("../../../scripts/install")
	if err != nil {
		t.Fatal(err)
	}
	w.a.MustRun("mount", "-t", "tmpfs", "tmpfs", "/usr/local")
	sys := w.a.StartSystemd()
	sys.MustRun(install, "--binary", w.vpn)
	text := w.a.config(w.b, "#vpn: KillSwitch = on", w.b.endpoint())
	w.a.write(text)
	w.a.WriteFile("/etc/wireguard/wg1.conf", strings.NewReplacer("51001", "51009", "10.9.0.1/24", "10.8.0.1/24", w.b.inner+"/32", "10.8.0.2/32").Replace(text), 0o600)
	sys.MustRun("systemctl", "start", "vpn-killswitch@wg0")
	before := sys.MustRun("nft", "list", "ruleset")
	if _, code := sys.Run("systemctl", "start", "vpn-killswitch@wg1"); code == 0 {
		t.Error("the second starts")
	}
	if status := sys.MustRun("systemctl", "show", "--property=ExecMainStatus", "--value", "vpn-killswitch@wg1"); status != "78\n" {
		t.Errorf("its exit code is %s", status)
	}
	for _, part := range []string{"/etc/wireguard/wg1.conf:5: KillSwitch", "wg0 has one that is loaded", "\"vpn down wg0\" lifts that one"} {
		testnet.Until(t, "the journal has "+part, func() bool {
			return strings.Contains(sys.MustRun("journalctl", "--unit=vpn-killswitch@wg1", "--output=cat"), part)
		})
	}
	if diff := cmp.Diff(before, sys.MustRun("nft", "list", "ruleset")); diff != "" {
		t.Errorf("before and after the second:\n%s", diff)
	}
	sys.MustRun("/usr/local/bin/vpn", "down", "wg0")
	sys.MustRun("systemctl", "start", "vpn-killswitch@wg1")
	sys.MustRun("/usr/local/bin/vpn", "down", "wg1")
}
