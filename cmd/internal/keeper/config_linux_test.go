package keeper_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vpn/cmd/internal/testnet"
)

// TestBadConfig has files that can't be right: the error says where, and nothing
// is done.
func TestBadConfig(t *testing.T) {
	w := newWorld(t)
	before := w.a.facts()
	for _, test := range []struct {
		iface string
		mode  uint32
		code  int
		says  []string
	}{
		{"MTU = huge", 0o600, 78, []string{`error: /etc/wireguard/wg0.conf:5: MTU "huge": `}},
		{"PostUp = touch /run/never", 0o602, 78, []string{"error: /etc/wireguard/wg0.conf: anybody may write to it (mode 0602)", "hint: chmod 600"}},
		{"#vpn: PresharedKeyFil = x", 0o600, 78, []string{"/etc/wireguard/wg0.conf:5", "hint: "}},
		{"Table = nowhere", 0o600, 78, []string{`/etc/wireguard/wg0.conf:5: Table "nowhere"`}},
		{"PrivateKeyFile = x", 0o600, 78, []string{"/etc/wireguard/wg0.conf:5"}},
	} {
		text := w.a.config(w.b, test.iface, w.b.endpoint())
		w.a.WriteFile("/etc/wireguard/wg0.conf", text, 0o600)
		w.a.MustRun("chmod", modeOf(test.mode), "/etc/wireguard/wg0.conf")
		for _, command := range [][]string{{"up", "wg0"}, {"run", "wg0"}, {"up", "wg0", "--dry-run"}, {"apply", "wg0"}} {
			said := w.a.fail(test.code, test.says, command...)
			if strings.Contains(said, base64Of(w.a.key.Private)) {
				t.Error("a key is printed")
			}
		}
	}
	w.a.fail(78, []string{"there is no file /etc/wireguard/wg1.conf", "did you mean wg0?"}, "up", "wg1")
	w.a.MustRun("rm", "/etc/wireguard/wg0.conf")
	if diff := cmp.Diff(before, w.a.facts()); diff != "" {
		t.Errorf("before and after:\n%s", diff)
	}
	w.a.MustRun("test", "!", "-e", "/run/never")
}

func modeOf(mode uint32) string {
	digits := []byte("0000")
	for i := 3; i >= 0; i-- {
		digits[i] += byte(mode & 7)
		mode >>= 3
	}
	return string(digits)
}

// TestDryRun prints what up prints then, and does nothing.
func TestDryRun(t *testing.T) {
	w := newWorld(t)
	w.a.write(w.a.config(w.b, "DNS = 10.9.0.53\nPostUp = touch /run/hooked", w.b.endpoint()+"\n"+fullTunnel))
	before := w.a.facts()
	dry := w.a.do("up", "wg0", "--dry-run")
	if diff := cmp.Diff(before, w.a.facts()); diff != "" {
		t.Errorf("before and after:\n%s", diff)
	}
	w.a.MustRun("test", "!", "-e", "/run/hooked")
	if diff := cmp.Diff(dry, w.a.do("up", "wg0")); diff != "" {
		t.Errorf("dry, and done:\n%s", diff)
	}
	w.a.fail(1, []string{"it is up already", "hint:"}, "up", "wg0", "--dry-run")
	w.a.kill(w.a.pid())
	testnet.Until(t, "the engine has ended", func() bool { return strings.Contains(w.a.MustRun("ip", "link", "show", "wg0"), "state DOWN") })
	w.a.write(w.a.config(w.b, "MTU = 1300\nDNS = 10.9.0.53", w.b.endpoint()+"\n"+fullTunnel))
	before = w.a.facts()
	dry = w.a.do("up", "wg0", "--dry-run")
	if diff := cmp.Diff(before, w.a.facts()); diff != "" {
		t.Errorf("before and after:\n%s", diff)
	}
	if want := "note: wg0 is up and nobody keeps it: it would be taken over\n" +
		"note: /etc/wireguard/wg0.conf has changed, and what was in force stays so: \"vpn reload wg0\" brings in what it says now\n"; dry != want {
		t.Errorf("dry, with nobody to keep it:\n%s", dry)
	}
	w.a.do("down", "wg0")
}

// TestDryRunAfterACrash lists what an earlier run has left, where that would be
// undone first.
func TestDryRunAfterACrash(t *testing.T) {
	w := newWorld(t)
	w.a.write(w.a.config(w.b, "DNS = 10.9.0.53\nPostUp = touch /run/hooked; until test -e /run/go; do sleep 0.1; done", w.b.endpoint()+"\n"+fullTunnel))
	p := w.a.Start(nil, w.vpn, "run", "wg0")
	testnet.Until(t, "the hook runs", func() bool { _, code := w.a.Run("test", "-e", "/run/hooked"); return code == 0 })
	p.Signal(9)
	w.a.MustRun("touch", "/run/go")
	testnet.Until(t, "all have ended", func() bool {
		return len(w.a.Processes()) == 0 && strings.Contains(w.a.MustRun("ip", "link", "show", "wg0"), "state DOWN")
	})
	before := w.a.facts()
	dry := w.a.do("up", "wg0", "--dry-run")
	if !strings.Contains(dry, "note: what an earlier run has left would be undone before anything else\n") || !strings.Contains(dry, "[#] ip link delete dev wg0\n") {
		t.Errorf("it says\n%s", dry)
	}
	if diff := cmp.Diff(before, w.a.facts()); diff != "" {
		t.Errorf("before and after:\n%s", diff)
	}
	steps := func(text string) string {
		return strings.Join(regexp.MustCompile(`(?m)^\[#\] .*$`).FindAllString(text, -1), "\n")
	}
	done, _, _ := strings.Cut(w.a.do("up", "wg0"), "[#] ip tuntap add")
	if diff := cmp.Diff(steps(dry), steps(done)); diff != "" {
		t.Errorf("dry, and done:\n%s", diff)
	}
	w.a.do("down", "wg0")
}

// TestStandardInput takes a configuration that no file has, kills what runs it, and
// has it run on.
func TestStandardInput(t *testing.T) {
	w := newWorld(t)
	w.peerUp()
	before := w.a.facts()
	text := w.a.config(w.b, "", w.b.endpoint())
	w.a.WriteFile("/tmp/vpn-test-config", text, 0o600)
	up := w.vpn + " up - </tmp/vpn-test-config"
	w.a.MustRun("sh", "-c", up)
	w.a.MustPing(w.b.inner)
	w.a.kill(w.a.engine())
	w.a.MustPing(w.b.inner)
	w.a.fail(1, []string{"standard input", "apply"}, "reload", "wg0")
	if said := w.a.MustRun("sh", "-c", w.vpn+" apply - --name wg0 </tmp/vpn-test-config"); said != "unchanged\n" {
		t.Errorf("apply says %q", said)
	}
	w.a.WriteFile("/tmp/vpn-test-config", strings.Replace(text, "10.9.0.1/24", "10.9.0.1/24, 10.9.9.9/32", 1), 0o600)
	if said := w.a.MustRun("sh", "-c", w.vpn+" apply - --name wg0 </tmp/vpn-test-config 2>/dev/null"); said != "changed\n" {
		t.Errorf("apply says %q", said)
	}
	w.a.MustRun("sh", "-c", "ip address show wg0 | grep -q 10.9.9.9; rm /tmp/vpn-test-config")
	w.a.do("down", "wg0")
	if diff := cmp.Diff(before, w.a.facts()); diff != "" {
		t.Errorf("before and after:\n%s", diff)
	}
	w.a.fail(1, []string{"is not up"}, "reload", "wg0")
}

// TestOtherPlace takes a file by its path, which others name by it too.
func TestOtherPlace(t *testing.T) {
	w := newWorld(t)
	w.peerUp()
	w.a.MustRun("mkdir", "/run/files")
	w.a.WriteFile("/run/files/wg0.conf", w.a.config(w.b, "", w.b.endpoint()), 0o600)
	w.a.MustRun("sh", "-c", "cd /run/files && "+w.vpn+" up ./wg0.conf")
	w.a.MustPing(w.b.inner)
	w.a.do("reload", "/run/files/wg0.conf")
	w.a.write("")
	w.a.fail(1, []string{"wg0 is up from /run/files/wg0.conf, not from /etc/wireguard/wg0.conf"}, "reload", "/etc/wireguard/wg0.conf")
	w.a.do("set", "wg0", "peer", base64Of(w.b.key.Public), "persistent-keepalive", "21")
	w.a.do("save", "wg0") // the file that it came from
	if text := w.a.ReadFile("/run/files/wg0.conf"); !strings.Contains(text, "PersistentKeepalive = 21") || w.a.ReadFile("/etc/wireguard/wg0.conf") != "" {
		t.Errorf("saved is\n%s", text)
	}
	w.a.do("down", "/run/files/wg0.conf")
}

// TestApply is up, nothing, reload, and nothing.
func TestApply(t *testing.T) {
	w := newWorld(t)
	w.peerUp()
	w.a.write(w.a.config(w.b, "", w.b.endpoint()))
	apply := func(want string, args ...string) {
		t.Helper()
		said := w.a.MustRun("sh", "-c", w.vpn+" apply wg0 "+strings.Join(args, " ")+" 2>/dev/null")
		if said != want+"\n" {
			t.Errorf("apply %v says %q, not %q", args, said, want)
		}
	}
	apply("changed", "--dry-run")
	apply("changed", "--wait")
	apply("unchanged")
	apply("unchanged", "--dry-run")
	w.a.write(w.a.config(w.b, "MTU = 1300", w.b.endpoint()))
	apply("changed", "--dry-run")
	apply("changed")
	apply("unchanged")
	w.a.write(w.a.config(w.b, "MTU = 1300\nPostDown = echo %i", w.b.endpoint()))
	apply("changed")
	apply("unchanged")
	w.a.MustPing(w.b.inner)
	w.a.do("down", "wg0")
}

// TestSaidOfAFile has what is no error, or is one of the host's: it is said what
// there is to do.
func TestSaidOfAFile(t *testing.T) {
	w := newWorld(t)
	plain := w.a.config(w.b, "", "")
	keyless := strings.Replace(plain, "PrivateKey", "# PrivateKey", 1)
	w.a.write(keyless)
	if said := w.a.do("up", "wg0"); !strings.Contains(said, "warning: /etc/wireguard/wg0.conf: there is no PrivateKey") || !strings.Contains(said, "wg set wg0 private-key FILE") {
		t.Errorf("it says\n%s", said)
	}
	w.a.do("down", "wg0")
	w.a.write(strings.Replace(keyless, "[Interface]", "[Interface]\n#vpn: PrivateKeyFile = credential:wg0", 1))
	w.a.fail(1, []string{"systemd has handed over no credentials", "hint: a service has them from LoadCredential="}, "up", "wg0")
	w.a.write(plain)
	w.a.MustRun("ip", "tuntap", "add", "wg0", "mode", "tun")
	w.a.fail(1, []string{"there is a link of that name already, of kind tun", "hint: another program runs it", "ip link delete wg0"}, "up", "wg0")
	w.a.MustRun("ip", "link", "delete", "wg0")
	w.a.MustRun("ip", "route", "add", "default", "via", w.b.outer)
	w.a.write(w.a.config(w.b, "", w.b.endpoint()+"\n"+fullTunnel))
	for _, way := range []string{"", "env -u SSH_CONNECTION "} { // as by sudo
		said := w.a.MustRun("env", "SSH_CONNECTION=198.51.100.9 1 192.0.2.1 22", "sh", "-c", way+w.vpn+" up wg0 2>&1; echo $?")
		if !strings.Contains(said, "takes the SSH session with 198.51.100.9 into the tunnel") || !strings.HasSuffix(said, "\n0\n") {
			t.Errorf("it says\n%s", said)
		}
		w.a.do("down", "wg0")
	}
}

// TestTwoKillSwitches refuses the second, and lets it be once the first is lifted.
func TestTwoKillSwitches(t *testing.T) {
	w := newWorld(t)
	w.a.write(w.a.config(w.b, "#vpn: KillSwitch = on", w.b.endpoint()))
	w.a.WriteFile("/etc/wireguard/wg1.conf", strings.NewReplacer("51001", "51009", "10.9.0.1/24", "10.8.0.1/24", w.b.inner+"/32", "10.8.0.2/32").Replace(
		w.a.config(w.b, "#vpn: KillSwitch = on", w.b.endpoint())), 0o600)
	w.a.do("up", "wg0")
	before := w.a.facts()
	for _, command := range []string{"up", "killswitch"} {
		w.a.fail(78, []string{"/etc/wireguard/wg1.conf:5: KillSwitch \"on\": wg0 has one that is loaded", "hint: \"vpn down wg0\" lifts that one"}, command, "wg1")
	}
	if diff := cmp.Diff(before, w.a.facts()); diff != "" {
		t.Errorf("before and after:\n%s", diff)
	}
	w.a.do("reload", "wg0")
	w.a.do("down", "wg0")
	w.a.do("up", "wg1")
	w.a.do("down", "wg1")
}

// TestFolderThatTakesNothing has a disk that can't be written to when the name servers
// are to be set: what there is to undo can't be put down, so nothing is done, and of
// the start nothing is left.
func TestFolderThatTakesNothing(t *testing.T) {
	w := newWorld(t)
	w.a.write(w.a.config(w.b, "DNS = 10.9.0.53", w.b.endpoint()))
	before := w.a.facts()
	w.a.MustRun("mkdir", "/var/lib/vpn")
	w.a.MustRun("mount", "-t", "tmpfs", "-o", "ro", "tmpfs", "/var/lib/vpn")
	w.a.fail(1, []string{"error: journal of wg0: ", "read-only file system"}, "up", "wg0")
	w.a.MustRun("umount", "/var/lib/vpn")
	if diff := cmp.Diff(before, w.a.facts()); diff != "" {
		t.Errorf("before and after:\n%s", diff)
	}
}

// TestForgottenLink loses what /run knows of a link that is up: down undoes what is
// known elsewhere, and says what is left and how it goes.
func TestForgottenLink(t *testing.T) {
	w := newWorld(t)
	w.a.write(w.a.config(w.b, "DNS = 10.9.0.53", w.b.endpoint()+"\n"+fullTunnel))
	before := w.a.facts()
	w.a.do("up", "wg0")
	w.a.MustRun("rm", "-r", "/run/vpn/wg0")
	if text := w.a.do("down", "wg0"); !strings.Contains(text, `warning: there is a link wg0 still, of which nothing is known here: "ip link delete wg0" removes it`) {
		t.Errorf("it says\n%s", text)
	}
	w.a.MustRun("ip", "link", "delete", "wg0")
	testnet.Until(t, "the processes are gone", func() bool { return len(w.a.Processes()) == 0 })
	if diff := cmp.Diff(before, w.a.facts()); diff != "" {
		t.Errorf("before and after:\n%s", diff)
	}
}

// TestLogIsJSON has all lines of a log that is to be JSON be that, also those of hooks
// and of what is done to the host.
func TestLogIsJSON(t *testing.T) {
	w := newWorld(t)
	w.a.write(w.a.config(w.b, "PostUp = echo hooked", w.b.endpoint()))
	p := w.a.Start(nil, w.vpn, "run", "wg0", "--log-format", "json")
	p.WaitOutput("the link is up")
	p.Signal(15)
	p.WaitEnd()
	text := p.Output()
	for line := range strings.Lines(text) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
	for _, message := range []string{`"msg":"hooked"`, `"msg":"[#] ip link delete dev wg0"`} {
		if !strings.Contains(text, message) {
			t.Errorf("there is no %s in\n%s", message, text)
		}
	}
}
