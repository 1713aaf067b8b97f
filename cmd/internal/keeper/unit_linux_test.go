package keeper_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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
