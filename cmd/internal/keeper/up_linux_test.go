package keeper_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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
	w.a.do("down", "wg0")
	w.a.Run("rm", "/etc/wireguard/wg0.conf")
	if diff := cmp.Diff(before, w.a.facts()); diff != "" {
		t.Errorf("before and after:\n%s", diff)
	}
	w.a.fail(1, []string{"wg0 is not up"}, "down", "wg0")
}
