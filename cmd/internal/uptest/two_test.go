//go:build linux

package uptest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"vpn/cmd/internal/testnet"
)

// TestTwoFullTunnels takes one of two down: the other goes on, the user's own
// rules stay, and the hosts of the link are still reached.
func TestTwoFullTunnels(t *testing.T) {
	for _, first := range []string{"wg0", "wg1"} {
		t.Run(first+" goes first", func(t *testing.T) {
			w := newWorld(t, testnet.WireGuardGo)
			w.laptop.MustRun("sh", "-c", "ip rule add lookup main suppress_prefixlength 0 pref 1000") // the user's own
			before := w.look()
			w.up("wg0", w.config(everything, nil, nil))
			w.through()
			w.up("wg1", strings.ReplaceAll(strings.ReplaceAll(w.config(everything, nil, nil), laptopInner4, "10.77.1.1"), laptopInner6, "fd00:78::1"))
			second := map[string]string{"wg0": "wg1", "wg1": "wg0"}[first]
			w.must("down", first)
			for _, link := range []string{"192.168.77.254", "fd77::254"} {
				if w.laptop.Ping(link, 3, time.Second).Received == 0 {
					t.Errorf("%s of the own link is not reached with %s alone", link, second)
				}
			}
			if second == "wg0" {
				w.through()
			}
			w.must("down", second)
			w.same(before)
		})
	}
}

// TestTwoUpsAtOnce holds that of two one comes up, and the other says who has the
// lock.
func TestTwoUpsAtOnce(t *testing.T) {
	w := newWorld(t, testnet.WireGuardGo)
	before := w.look()
	w.write("wg0", w.config(everything, []string{"PreUp = touch /run/begin; while [ -e /run/begin ]; do sleep 0.01; done"}, nil))
	up := w.laptop.Start(nil, w.vpn, "up", "wg0")
	testnet.Until(t, "PreUp runs", func() bool {
		_, code := w.laptop.Run("test", "-e", "/run/begin")
		return code == 0
	})
	if text := w.fails("up", "wg0"); !strings.Contains(text, fmt.Sprint(w.pid(keeper))) {
		t.Errorf("the second says: %s", text)
	}
	w.laptop.MustRun("rm", "/run/begin")
	if code := up.WaitEnd(); code != 0 {
		t.Errorf("the first ends with %d: %s", code, up.Output())
	}
	w.through()
	if text := w.fails("up", "wg0"); !strings.Contains(text, "up") {
		t.Errorf("up of what is up says: %s", text)
	}
	w.must("down", "wg0")
	w.same(before)
}

// TestExcludedIPs holds that what is excluded goes around the tunnel, beside a
// full tunnel and beside a narrower prefix.
func TestExcludedIPs(t *testing.T) {
	for name, allowed := range map[string]string{"full tunnel": everything, "narrower": "203.0.113.0/24, 198.51.100.0/24, 2001:db8:113::/48"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, testnet.WireGuardGo)
			const excluded = "198.51.100.7"
			w.router.Link("lo").Address(excluded + "/32")
			before := w.look()
			w.up("wg0", w.config(allowed, []string{"#vpn: ExcludedIPs = 198.51.100.0/25"}, nil))
			c := testnet.NewCapture(w.outer)
			w.through()
			w.laptop.MustPing(excluded)
			outside := 0
			for _, o := range c.Others() {
				if o.Outgoing && o.To.String() == excluded {
					outside++
				}
			}
			if outside == 0 {
				t.Error("what is excluded went into the tunnel")
			}
			w.must("down", "wg0")
			w.same(before)
		})
	}
}
