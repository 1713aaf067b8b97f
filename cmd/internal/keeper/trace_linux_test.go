package keeper_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"vpn/cmd/internal/testnet"
)

// TestCrashIsTold has a keeper in the background end with a trace: the next one logs
// it, and down without one shows it, with no value of an argument in it.
func TestCrashIsTold(t *testing.T) {
	w := newWorld(t)
	before := w.a.facts()
	w.a.write(w.a.config(w.b, "", ""))
	crash := func() {
		t.Helper()
		w.a.do("up", "wg0")
		pid := w.a.pid()
		if err := unix.Kill(pid, unix.SIGABRT); err != nil { // as a fatal error of the runtime ends it
			t.Fatal(err)
		}
		testnet.Until(t, "all have ended", func() bool { return len(w.a.Processes()) == 0 })
		if mode := w.a.MustRun("stat", "-c", "%a", "/run/vpn/wg0/crash"); mode != "600\n" {
			t.Errorf("mode %s", mode)
		}
	}
	told := func(text string) {
		t.Helper()
		if !strings.Contains(text, "crashed") || !strings.Contains(text, "SIGABRT") || !strings.Contains(text, "goroutine 1 ") || !strings.Contains(text, "(...)") || strings.Contains(text, "(0x") || strings.Contains(text, "00000000 ") || strings.Contains(text, "rax ") {
			t.Errorf("it says\n%s", text)
		}
	}
	crash()
	p := w.a.Start(nil, w.vpn, "run", "wg0")
	p.WaitOutput("the link is up")
	told(p.Output())
	w.a.do("down", "wg0")
	p.WaitEnd()
	crash()
	told(w.a.do("down", "wg0"))
	w.a.MustRun("rm", "/etc/wireguard/wg0.conf")
	if diff := cmp.Diff(before, w.a.facts()); diff != "" {
		t.Errorf("before and after:\n%s", diff)
	}
}
