package keeper_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vpn/cmd/internal/testnet"
)

// lines says how many queues wg0 has, and on how many sockets of each family its
// port is open.
func (m *machine) lines(port int) string {
	m.w.t.Helper()
	text := m.queues("wg0")
	for _, family := range []string{"-4", "-6"} {
		at := fmt.Sprintf(":%d ", port)
		text += fmt.Sprintf(", %d sockets", strings.Count(m.MustRun("ss", family, "-H", "-u", "-l", "-n"), at))
	}
	return text
}

// queues says how many descriptors a link has to read from, and to write to.
func (m *machine) queues(link string) string {
	m.w.t.Helper()
	var queues, detached int
	_, of, _ := strings.Cut(m.MustRun("ip", "-d", "link", "show", link), " numqueues ")
	fmt.Sscanf(of, "%d numdisabled %d", &queues, &detached)
	return fmt.Sprintf("%d and %d queues", queues, detached)
}

// TestSeveralLines has queues and sockets for many processors, through all that can
// happen to a link.
func TestSeveralLines(t *testing.T) {
	t.Setenv("GOMAXPROCS", "8")
	w := newWorld(t)
	w.peerUp()
	before := w.a.facts()
	port := w.a.port
	w.a.write(w.a.config(w.b, "", w.b.endpoint()+"\n"+fullTunnel))
	w.a.do("up", "wg0")
	check := func(after string) {
		t.Helper()
		w.a.MustPing(w.b.inner)
		const want = "4 and 4 queues, 4 sockets, 4 sockets"
		if got := w.a.lines(port); got != want {
			t.Errorf("%s: %s, want %s", after, got, want)
		}
	}
	check("up")

	w.a.kill(w.a.engine())
	check("the engine was killed")
	w.a.kill(w.a.pid())
	w.a.do("up", "wg0")
	check("the keeper was killed")
	w.a.do("restart", "wg0")
	check("a restart in place")

	port += 100
	w.a.write(strings.Replace(w.a.config(w.b, "FwMark = 77", w.b.endpoint()+"\n"+fullTunnel), fmt.Sprintf("ListenPort = %d\n", w.a.port), fmt.Sprintf("ListenPort = %d\n", port), 1))
	w.a.do("reload", "wg0")
	check("another port and mark")
	if old := w.a.lines(w.a.port); !strings.HasSuffix(old, ", 0 sockets, 0 sockets") {
		t.Errorf("the port before is open still: %s", old)
	}

	// Who comes later finds link and port taken.
	w.a.fail(1, []string{"wg0.sock is in use by vpn"}, "device", "--foreground", "wg0")
	w.a.fail(1, []string{"wg0 is held by process"}, "up", "wg0")
	other := w.a.StartDaemon(testnet.VPN)
	other.Set("private_key="+other.Key.Private, fmt.Sprintf("listen_port=%d", port))
	if text, code := w.a.Run("ip", "link", "set", other.Link.Name, "up"); code != 0 {
		t.Error(text)
	}
	other.WaitOutput("address already in use")
	other.Signal(syscall.SIGTERM)
	other.WaitEnd()
	check("somebody else has tried")

	// So it is for a link in the background.
	w.a.do("device", "wg1")
	if got := w.a.queues("wg1"); got != "4 and 4 queues" {
		t.Error(got)
	}
	w.a.fail(1, []string{"wg1.sock is in use by vpn"}, "device", "wg1")
	w.a.MustRun("ip", "link", "delete", "wg1")

	w.a.do("down", "wg0")
	w.a.MustRun("rm", "/etc/wireguard/wg0.conf")
	testnet.Until(t, "no process is left", func() bool { return len(w.a.Processes()) == 0 })
	if diff := cmp.Diff(before, w.a.facts()); diff != "" {
		t.Errorf("before and after:\n%s", diff)
	}
}
