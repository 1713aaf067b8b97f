//go:build linux

package uptest

import (
	"fmt"
	"strings"
	"testing"

	"vpn/cmd/internal/testnet"

	"golang.org/x/sys/unix"
)

// crowded is a config that touches all that an up can touch.
func (w *world) crowded() string {
	return w.config(everything, []string{
		"DNS = 10.77.0.53, corp.example", "MTU = 1380", "#vpn: KillSwitch = on", "#vpn: Masquerade = eth0", "#vpn: ExcludedIPs = 198.51.100.0/24",
	}, nil)
}

// TestKilledAtEachStep kills the keeper at each step of an up. Then there is
// nothing that `vpn down` does not set right, also with /run emptied as after a
// reboot.
func TestKilledAtEachStep(t *testing.T) {
	for _, reboot := range []bool{false, true} {
		name := "down"
		if reboot {
			name = "down after a reboot"
		}
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, testnet.WireGuardGo)
			w.write("wg0", w.crowded())
			before := w.look()
			for step := 1; ; step++ {
				if !w.killAt(step) {
					if step < 15 {
						t.Errorf("only %d steps", step)
					}
					break
				}
				if reboot {
					w.reboot()
					w.laptop.Run(w.vpn, "down", "wg0") // which may well find nothing
				} else {
					w.must("down", "wg0")
				}
				w.same(before)
				if t.Failed() {
					t.Fatalf("killed at step %d", step)
				}
			}
			w.must("down", "wg0")
			w.same(before)
		})
	}
}

// killAt starts a keeper and kills it when it shows that step. It says whether there
// was such a step.
func (w *world) killAt(step int) bool {
	w.t.Helper()
	p := w.laptop.Start(nil, w.vpn, "run", "wg0")
	killed := false
	p.WaitPrinted(fmt.Sprintf("step %d, or that the link is up", step), func(text string) bool {
		killed = strings.Count(text, "[#]") >= step
		if killed {
			p.Signal(unix.SIGKILL)
		}
		return killed || strings.Contains(text, "the link is up")
	})
	if killed {
		p.WaitEnd()
		testnet.Until(w.t, "the engine has followed", func() bool { return w.pid(engine) == 0 })
	}
	return killed
}

// reboot takes away what a reboot takes away, and what it doesn't leaves: /run is
// empty, the network is as it was before, and the boot has another id.
func (w *world) reboot() {
	w.t.Helper()
	w.laptop.MustRun("sh", "-c", `
		cat /proc/sys/kernel/random/uuid >/run/.boot
		umount /proc/sys/kernel/random/boot_id 2>/dev/null
		mount --bind /run/.boot /proc/sys/kernel/random/boot_id
		rm -rf /run/vpn /run/wireguard
		ip link delete wg0 2>/dev/null
		nft flush ruleset
		for f in -4 -6; do
			ip $f rule flush; ip $f rule add lookup main pref 32766
		done
		ip rule add lookup default pref 32767
		for t in $(seq 51820 51830); do
			ip route flush table $t 2>/dev/null; ip -6 route flush table $t 2>/dev/null
			ip -6 route delete unreachable default metric 4294967295 table $t 2>/dev/null # which flush leaves
		done
		echo 0 >/proc/sys/net/ipv4/conf/all/src_valid_mark
		echo 1 >/proc/sys/net/ipv4/conf/all/send_redirects
		echo 0 >/proc/sys/net/ipv4/ip_forward
		echo 0 >/proc/sys/net/ipv6/conf/all/forwarding
		true`)
}
