package keeper_test

import (
	"strings"
	"testing"

	"vpn/cmd/internal/testnet"
)

// TestNames has an endpoint whose name is not known when the link comes up, is
// later, and is another's after that.
func TestNames(t *testing.T) {
	w := newWorld(t)
	w.peerUp()
	w.a.write(w.a.config(w.b, "", "Endpoint = peer.example:51002"))
	w.a.do("up", "wg0") // does not wait for it
	if text := w.a.do("show", "wg0", "endpoints"); !strings.HasSuffix(text, "\t(none)\n") {
		t.Errorf("endpoints %q", text)
	}
	w.a.MustRun("sh", "-c", "echo 192.0.2.2 peer.example >>/etc/hosts")
	testnet.Until(t, "the name is found", func() bool {
		return strings.HasSuffix(w.a.do("show", "wg0", "endpoints"), "\t192.0.2.2:51002\n")
	})
	w.a.MustPing(w.b.inner)
	w.a.do("down", "wg0")

	// What worked last is on disk, for when nobody knows the name.
	w.a.MustRun("sh", "-c", "sed /peer.example/d /etc/hosts >/run/hosts; cat /run/hosts >/etc/hosts")
	w.a.do("up", "wg0", "--wait")
	w.a.MustPing(w.b.inner)

	w.a.write(w.a.config(w.b, "", "Endpoint = other.example:51002"))
	w.a.MustRun("sh", "-c", "echo 2001:db8::2 other.example >>/etc/hosts")
	w.a.do("reload", "wg0")
	w.a.do("down", "wg0")
	w.a.do("up", "wg0", "--wait")
	if text := w.a.do("show", "wg0", "endpoints"); !strings.HasSuffix(text, "\t[2001:db8::2]:51002\n") {
		t.Errorf("endpoints %q", text)
	}
	w.a.do("down", "wg0")
}

// TestCandidates has a peer with several endpoints, of which only the last answers.
func TestCandidates(t *testing.T) {
	w := newWorld(t)
	w.peerUp()
	w.a.write(w.a.config(w.b, "", "Endpoint = 192.0.2.2:9\n#vpn: Endpoint = 192.0.2.77:51002\n#vpn: Endpoint = [2001:db8::2]:51002"))
	w.a.do("up", "wg0", "--wait")
	w.a.MustPing(w.b.inner)
	if text := w.a.do("show", "wg0", "endpoints"); !strings.HasSuffix(text, "\t[2001:db8::2]:51002\n") {
		t.Errorf("endpoints %q", text)
	}
	w.a.do("down", "wg0")
}

// TestSaveConfig keeps what changed while the link was up, and the file's comments.
func TestSaveConfig(t *testing.T) {
	w := newWorld(t)
	w.peerUp()
	w.a.write(w.a.config(w.b, "SaveConfig = true\n# a comment", "# where b is\n"+w.b.endpoint()))
	w.a.do("up", "wg0")
	w.a.MustPing(w.b.inner)
	other := base64Of(testnet.NewKey().Public)
	w.a.do("set", "wg0", "peer", other, "allowed-ips", "10.88.0.0/16")
	w.a.fail(1, []string{"SaveConfig is on", "--force"}, "reload", "wg0")
	w.a.do("down", "wg0")
	text := w.a.ReadFile("/etc/wireguard/wg0.conf")
	for _, part := range []string{"# a comment\n", "# where b is\n", other, "10.88.0.0/16", base64Of(w.a.key.Private)} {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in the file", part)
		}
	}
	w.a.do("up", "wg0")
	w.a.MustPing(w.b.inner)
	w.a.do("down", "wg0")
}

// TestSavedWithoutAnEngine takes down a link that nobody runs: what its engine had
// last is saved all the same, by a keeper that has none and by one that is gone.
func TestSavedWithoutAnEngine(t *testing.T) {
	w := newWorld(t)
	text := w.a.config(w.b, "SaveConfig = true\n# a comment", w.b.endpoint())
	real := w.vpn
	for _, who := range []string{"keeper", "nobody"} {
		other := base64Of(testnet.NewKey().Public)
		w.a.write(text)
		w.a.MustRun("install", "-D", "-m", "755", real, "/run/program/vpn")
		w.vpn = "/run/program/vpn"
		w.a.do("up", "wg0")
		w.vpn = real
		w.a.do("set", "wg0", "peer", other, "allowed-ips", "10.88.0.0/16")
		w.a.kept("10.88.0.0/16")
		w.a.MustRun("chmod", "700", "/run/program/vpn") // engines are nobody: there will be none
		engine, keeper := w.a.engine(), w.a.pid()
		w.a.kill(engine)
		if who == "nobody" {
			w.a.kill(keeper)
		}
		w.a.do("down", "wg0")
		saved := w.a.ReadFile("/etc/wireguard/wg0.conf")
		for _, part := range []string{"# a comment\n", other, "10.88.0.0/16", base64Of(w.a.key.Private)} {
			if !strings.Contains(saved, part) {
				t.Errorf("%s: no %q in the file:\n%s", who, part, saved)
			}
		}
	}
}
