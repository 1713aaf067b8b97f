package keeper_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vpn/cmd/internal/testnet"
)

// TestKillSwitch loads it before there is a link, brings the link up, has a start
// fail and the keeper die, and sees nothing leave but through the tunnel until down.
func TestKillSwitch(t *testing.T) {
	w := newWorld(t)
	w.peerUp()
	before := w.a.facts()
	plain := func() bool { return w.a.Ping(w.b.outer, 1, patience).Received == 1 }
	if !plain() {
		t.Fatal("the neighbour isn't reached from the start")
	}
	held := func(when string) {
		t.Helper()
		if _, code := w.a.Run("ping", "-c1", "-W1", w.b.outer); code == 0 {
			t.Errorf("%s: something leaves beside the tunnel", when)
		}
	}
	text := w.a.config(w.b, "#vpn: KillSwitch = on", w.b.endpoint())
	w.a.write(w.a.config(w.b, "", w.b.endpoint()))
	w.a.do("up", "wg0")
	w.a.write(text)
	w.a.fail(1, []string{"wg0 is there without its kill switch", "vpn reload wg0"}, "killswitch", "wg0")
	w.a.kill(w.a.pid())
	w.a.fail(1, []string{"wg0 is there without its kill switch", "vpn up wg0"}, "killswitch", "wg0")
	w.a.do("down", "wg0")
	for range 2 { // the second changes nothing
		w.a.do("killswitch", "wg0")
		held("loaded")
	}
	capture := testnet.NewCapture(w.outer)
	w.a.write(text + "nonsense")
	w.a.fail(78, nil, "up", "wg0")
	held("a file with an error")
	w.a.write(strings.Replace(text, "#vpn", "PostUp = false\n#vpn", 1))
	w.a.fail(1, nil, "up", "wg0")
	held("a start that failed")
	w.a.write(text)
	w.a.do("up", "wg0")
	w.a.MustPing(w.b.inner)
	held("up")
	w.a.kill(w.a.pid())
	held("killed")
	w.a.do("up", "wg0")
	w.a.MustPing(w.b.inner)
	w.a.kill(w.a.pid())
	testnet.Until(t, "the link is deleted", func() bool { _, code := w.a.Run("ip", "link", "delete", "wg0"); return code == 0 })
	w.a.do("up", "wg0")
	w.a.MustPing(w.b.inner)
	w.a.do("restart", "wg0")
	w.a.do("reload", "wg0")
	w.a.MustPing(w.b.inner)
	for _, m := range capture.Messages() {
		if m.Outgoing && (m.From.Port() != 51001 || m.To.Port() != 51002) {
			t.Errorf("a datagram from %v to %v", m.From, m.To)
		}
	}
	w.a.do("down", "wg0")
	if !plain() {
		t.Error("the neighbour isn't reached after down")
	}
	w.a.write(w.a.config(w.b, "", ""))
	w.a.fail(1, []string{"/etc/wireguard/wg0.conf has no KillSwitch"}, "killswitch", "wg0")
	w.a.MustRun("rm", "/etc/wireguard/wg0.conf")
	if diff := cmp.Diff(before, w.a.facts()); diff != "" {
		t.Errorf("before and after:\n%s", diff)
	}
}
