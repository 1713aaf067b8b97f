package keeper_test

import (
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vpn/cmd/internal/testnet"
)

// TestHooks runs hooks as wg-quick would.
func TestHooks(t *testing.T) {
	w := newWorld(t)
	w.peerUp()
	w.a.write(w.a.config(w.b, `
PreUp = echo pre %i; test -z "$(wg show %i peers)"; ! ip -o address show %i | grep inet
PreUp = echo "# is no comment here" # but this is
PostUp = echo post %i $INTERFACE; ping -c1 -W10 `+w.b.inner+` >/dev/null && echo reached
PostUp = [[ abc == a*(x|b)c ]] && shopt -q extglob && echo bash
PostUp = sleep 1000 & echo $! > /run/background
PreDown = echo predown %i; ip link show %i >/dev/null
PostDown = echo postdown %i; ! ip link show %i 2>/dev/null
`, w.b.endpoint()))
	text := w.a.do("up", "wg0")
	for _, line := range []string{"pre wg0", "# is no comment here", "post wg0 wg0", "reached", "bash", "[#] echo pre wg0; test -z \"$(wg show wg0 peers)\"; ! ip -o address show wg0 | grep inet"} {
		if !strings.Contains("\n"+text, "\n"+line+"\n") {
			t.Errorf("no line %q in\n%s", line, text)
		}
	}
	w.a.MustRun("sh", "-c", "kill -0 $(cat /run/background)")
	w.a.write("nonsense") // down runs the hooks as they were
	text = w.a.do("down", "wg0")
	for _, line := range []string{"predown wg0", "postdown wg0"} {
		if !strings.Contains("\n"+text, "\n"+line+"\n") {
			t.Errorf("no line %q in\n%s", line, text)
		}
	}
	w.a.MustRun("sh", "-c", "kill $(cat /run/background)") // it lives on, as with wg-quick
}

// TestFailingHooks has hooks that fail: their exit code is ours, their output is
// shown, and what was done is undone.
func TestFailingHooks(t *testing.T) {
	w := newWorld(t)
	before := w.a.facts()
	for hook, code := range map[string]int{
		"PreUp = echo oh dear >&2; exit 7":      7,
		"PostUp = echo oh dear; false | true":   1,
		"PostUp = echo oh dear; false; true":    1,
		"PostUp = echo oh dear; kill $$":        143,
		"PreUp = echo oh dear; no-such-program": 127,
	} {
		w.a.write(w.a.config(w.b, hook+"\nPreDown = touch /run/never\nPostDown = touch /run/never", w.b.endpoint()+"\n"+fullTunnel))
		text := w.a.fail(code, []string{"oh dear\n", "/etc/wireguard/wg0.conf:5: " + hook[:strings.Index(hook, " ")]}, "up", "wg0")
		w.a.MustRun("rm", "/etc/wireguard/wg0.conf")
		if diff := cmp.Diff(before, w.a.facts()); diff != "" {
			t.Errorf("%s: %s\nbefore and after:\n%s", hook, text, diff)
		}
	}
	w.a.MustRun("test", "!", "-e", "/run/never")
}

// TestFailingDownHooks has a PreDown that fails, which stops a person's down and
// not a service manager's, and a PostDown that does, which stops nothing.
func TestFailingDownHooks(t *testing.T) {
	w := newWorld(t)
	w.peerUp()
	before := w.a.facts()
	w.a.write(w.a.config(w.b, "PreDown = echo not yet; test -e /run/may || exit 9\nPostDown = echo over; exit 8", w.b.endpoint()))
	up := func() {
		w.a.do("up", "wg0")
		w.a.MustPing(w.b.inner)
	}
	after := func() {
		t.Helper()
		w.a.MustRun("rm", "-f", "/run/may")
		if diff := cmp.Diff(before, strings.Replace(w.a.facts(), "/etc/wireguard/wg0.conf\n", "", 1)); diff != "" {
			t.Errorf("before and after:\n%s", diff)
		}
	}
	up()
	w.a.fail(9, []string{"not yet\n", "PreDown", "exit code 9", "hint: wg0 is still up", "vpn reload wg0"}, "down", "wg0")
	w.a.MustPing(w.b.inner)
	w.a.MustRun("touch", "/run/may")
	w.a.fail(8, []string{"over\n", "PostDown", "exit code 8"}, "down", "wg0")
	after()

	p := w.a.Start(nil, w.vpn, "run", "wg0")
	p.WaitOutput("the link is up")
	p.Signal(15)
	if code := p.WaitEnd(); code != 8 {
		t.Errorf("code %d", code)
	}
	if text := p.Output(); !strings.Contains(text, "not yet") || !strings.Contains(text, "going down all the same") || !strings.Contains(text, "over") {
		t.Errorf("it says\n%s", text)
	}
	after()
}

// TestHookThatAsksForItsOwnLink has hooks run what has to wait for them: it is refused,
// where both would wait for ever. What has not to wait is answered, also of a link that
// is only on its way.
func TestHookThatAsksForItsOwnLink(t *testing.T) {
	w := newWorld(t)
	hooked := func(kind, command string) {
		w.a.write(w.a.config(w.b, kind+" = "+w.vpn+" "+command, w.b.endpoint()+"\n#vpn: Name = bee"))
	}
	for _, command := range []string{"reload %i", "apply %i", "restart %i"} {
		hooked("PostUp", command)
		w.a.fail(1, []string{"would wait for the PostUp hook of wg0", "hint: "}, "up", "wg0")
	}
	for _, command := range []string{"reload %i", "down %i"} {
		hooked("PreDown", command)
		w.a.do("up", "wg0")
		w.a.fail(1, []string{"would wait for the PreDown hook of wg0", "wg0 is still up"}, "down", "wg0")
		hooked("PreDown", "save %i; "+w.vpn+" status %i")
		w.a.do("reload", "wg0")
		if text := w.a.do("down", "wg0"); !strings.Contains(text, "bee") || !strings.Contains(text, "from the file") {
			t.Errorf("a hook sees\n%s", text)
		}
	}
	hooked("PostUp", "status %i")
	if text := w.a.do("up", "wg0"); !strings.Contains(text, "bee") || !strings.Contains(text, "from the file") {
		t.Errorf("a hook sees\n%s", text)
	}
	w.a.do("down", "wg0")
}

// TestHangingDownHooks leaves a down whose hook hangs: nobody waits for it any more, and
// the link stays. Whoever tells the keeper itself to end gets a link that is down, if
// need be by saying it twice.
func TestHangingDownHooks(t *testing.T) {
	w := newWorld(t)
	w.peerUp()
	before := w.a.facts()
	w.a.write(w.a.config(w.b, "PreDown = touch /run/there; sleep 1000; touch /run/never", w.b.endpoint()))
	p := w.a.Start(nil, w.vpn, "run", "wg0")
	p.WaitOutput("the link is up")
	hangs := func() {
		t.Helper()
		testnet.Until(t, "the hook hangs", func() bool { _, code := w.a.Run("rm", "/run/there"); return code == 0 })
	}
	for _, leave := range []func(down *testnet.Process){
		func(down *testnet.Process) { down.Signal(syscall.SIGINT) },
		func(*testnet.Process) { p.Signal(syscall.SIGTERM) },
	} {
		down := w.a.Start(nil, w.vpn, "down", "wg0")
		hangs()
		leave(down)
		if code := down.WaitEnd(); code == 1 {
			if !strings.Contains(down.Output(), "error: interrupted: wg0 stays up\n") {
				t.Errorf("it says\n%s", down.Output())
			}
			w.a.MustPing(w.b.inner)
			p.WaitOutput("the link stays up")
		}
	}
	if code := p.WaitEnd(); code != 0 {
		t.Errorf("code %d", code)
	}

	p = w.a.Start(nil, w.vpn, "run", "wg0")
	p.WaitOutput("the link is up")
	p.Signal(syscall.SIGTERM)
	hangs()
	p.Signal(syscall.SIGTERM)
	if code := p.WaitEnd(); code != 0 || !strings.Contains(p.Output(), "going down all the same") {
		t.Errorf("code %d", code)
	}
	w.a.MustRun("sh", "-c", "rm /etc/wireguard/wg0.conf; ! test -e /run/never")
	testnet.Until(t, "the processes are gone", func() bool { return len(w.a.Processes()) == 0 })
	if diff := cmp.Diff(before, w.a.facts()); diff != "" {
		t.Errorf("before and after:\n%s", diff)
	}
}
