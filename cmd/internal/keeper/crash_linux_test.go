package keeper_test

import (
	"fmt"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"vpn/cmd/internal/testnet"
)

// kill kills a process, and returns when it is gone.
func (m *machine) kill(pid int) {
	m.w.t.Helper()
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		m.w.t.Fatal(err)
	}
	testnet.Until(m.w.t, "the process is gone", func() bool {
		for _, p := range m.Processes() {
			if p == pid {
				return false
			}
		}
		return true
	})
}

// engine returns the process of wg0's engine.
func (m *machine) engine() int {
	m.w.t.Helper()
	children := m.children(m.pid())
	if len(children) != 1 {
		m.w.t.Fatalf("%s: the keeper has the children %v", m.Name, children)
	}
	return children[0]
}

// openQueues is how many there are for programs that have the link open.
var openQueues = regexp.MustCompile(`numqueues \d+ numdisabled \d+`)

// tunnelFacts is what has to stay when a keeper or an engine dies.
func (m *machine) tunnelFacts() string {
	m.w.t.Helper()
	var b strings.Builder
	for _, command := range []string{
		"ip -d link show wg0", "ip address show wg0", "ip -4 route show table all", "ip -6 route show table all", "ip rule", "ip -6 rule", "nft list ruleset",
		"cat /etc/resolv.conf",
	} {
		text := m.MustRun("sh", "-c", command)
		for _, gone := range []string{" state UNKNOWN", " state DOWN", " state UP", ",LOWER_UP", "NO-CARRIER,", " linkdown"} {
			text = strings.ReplaceAll(text, gone, "") // nobody is there for a moment
		}
		text = openQueues.ReplaceAllString(text, "")
		fmt.Fprintf(&b, "$ %s\n%s\n", command, text)
	}
	return b.String()
}

const fullTunnel = "AllowedIPs = 0.0.0.0/0, ::/0\n"

// TestKilled kills the engine, the keeper, and both, under a full tunnel: all that
// was done to the host stays, nothing leaves beside the tunnel, and traffic flows
// again.
func TestKilled(t *testing.T) {
	w := newWorld(t)
	w.peerUp()
	w.a.MustRun("ip", "route", "add", "default", "via", w.b.outer)
	before := w.a.facts()
	w.a.write(w.a.config(w.b, "DNS = 10.9.0.53\n", w.b.endpoint()+"\n"+fullTunnel))
	w.a.do("up", "wg0")
	w.a.MustPing(w.b.inner)
	up, port := w.a.tunnelFacts(), w.a.do("show", "wg0", "listen-port")
	capture := testnet.NewCapture(w.outer)
	talker := w.a.Start(nil, "bash", "-c", "while :; do echo x >/dev/udp/198.51.100.1/7777; sleep 0.01; done")
	for name, kill := range map[string]func(){
		"engine": func() { w.a.kill(w.a.engine()) },
		"keeper": func() {
			engine := w.a.engine()
			w.a.kill(w.a.pid())
			testnet.Until(t, "the engine ends", func() bool { return unix.Kill(engine, 0) != nil })
		},
		"both": func() {
			engine, keeper := w.a.engine(), w.a.pid()
			w.a.kill(engine)
			w.a.kill(keeper)
		},
	} {
		kill()
		if diff := cmp.Diff(up, w.a.tunnelFacts()); diff != "" {
			t.Errorf("%s killed, before and after:\n%s", name, diff)
		}
		if name != "engine" {
			w.a.do("up", "wg0")
		}
		w.a.MustPing(w.b.inner)
		seen := len(capture.Messages())
		testnet.Until(t, "the talker is heard again", func() bool { return len(capture.Messages()) > seen+5 })
		if diff := cmp.Diff(up, w.a.tunnelFacts()); diff != "" {
			t.Errorf("%s killed, before and with another:\n%s", name, diff)
		}
		if now := w.a.do("show", "wg0", "listen-port"); now != port {
			t.Errorf("%s killed: port %s was %s", name, now, port)
		}
	}
	w.a.do("reload", "wg0")
	w.a.do("restart", "wg0")
	talker.Signal(syscall.SIGKILL)
	talker.WaitEnd()
	for _, m := range capture.Messages() {
		if m.Outgoing && (m.From.Port() != 51001 || m.To.Port() != 51002) {
			t.Fatalf("a datagram leaves beside the tunnel, from %v to %v", m.From, m.To)
		}
	}
	w.a.do("down", "wg0")
	w.a.MustRun("rm", "/etc/wireguard/wg0.conf")
	if diff := cmp.Diff(before, w.a.facts()); diff != "" {
		t.Errorf("before and after:\n%s", diff)
	}
}

// TestDownAfterKill takes down what nobody keeps any more, without its file.
func TestDownAfterKill(t *testing.T) {
	w := newWorld(t)
	before := w.a.facts()
	for _, what := range []string{"keeper", "link"} {
		w.a.write(w.a.config(w.b, "DNS = 10.9.0.53\nPreDown = echo going %i\nPostDown = echo gone %i\n", w.b.endpoint()+"\n"+fullTunnel))
		w.a.do("up", "wg0")
		w.a.MustRun("rm", "/etc/wireguard/wg0.conf")
		w.a.kill(w.a.pid())
		if what == "link" {
			testnet.Until(t, "the link can be deleted", func() bool {
				_, code := w.a.Run("ip", "link", "delete", "wg0")
				return code == 0
			})
		}
		text := w.a.do("down", "wg0")
		for _, line := range []string{"\ngoing wg0\n", "\ngone wg0\n"} {
			if !strings.Contains("\n"+text, line) {
				t.Errorf("%s gone: no line %q in\n%s", what, line, text)
			}
		}
		if diff := cmp.Diff(before, w.a.facts()); diff != "" {
			t.Errorf("%s gone, before and after:\n%s", what, diff)
		}
	}
}

// TestTakenOverAsItWas has a port that no file gives, and a peer whose endpoint no file
// gives: the next keeper, or engine, has both, and speaks first.
func TestTakenOverAsItWas(t *testing.T) {
	w := newWorld(t)
	w.b.write(strings.Replace(w.b.config(w.a, "", ""), "ListenPort", "# ListenPort", 1))
	w.b.do("up", "wg0")
	port := strings.TrimSpace(w.b.do("show", "wg0", "listen-port"))
	w.a.write(w.a.config(w.b, "", "Endpoint = "+w.b.outer+":"+port))
	w.a.do("up", "wg0")
	w.a.MustPing(w.b.inner)
	w.b.kept("endpoint=" + w.a.outer + ":51001\n")
	for name, end := range map[string]func(){
		"engine": func() { w.b.kill(w.b.engine()) },
		"keeper": func() { w.b.kill(w.b.pid()); w.b.do("up", "wg0") },
		"both": func() {
			engine, keeper := w.b.engine(), w.b.pid()
			w.b.kill(engine)
			w.b.kill(keeper)
			w.b.do("up", "wg0")
		},
	} {
		end()
		if w.b.Ping(w.a.inner, 3, patience).Received == 0 {
			t.Errorf("%s killed: it does not find its peer", name)
		}
		if now := strings.TrimSpace(w.b.do("show", "wg0", "listen-port")); now != port {
			t.Errorf("%s killed: port %s was %s", name, now, port)
		}
	}
}

// TestKeyOfAHook has a private key that is in no file of ours, but set by a hook: it
// outlives engines and keepers, and goes with the link.
func TestKeyOfAHook(t *testing.T) {
	for _, hook := range []string{"PreUp", "PostUp"} {
		w := newWorld(t)
		w.peerUp()
		before := w.a.facts()
		w.a.WriteFile("/run/private", base64Of(w.a.key.Private), 0o600)
		text := w.a.config(w.b, hook+" = wg set %i private-key /run/private", w.b.endpoint())
		w.a.write(strings.Replace(text, "PrivateKey", "# PrivateKey", 1))
		w.a.do("up", "wg0")
		w.a.MustPing(w.b.inner)
		for name, end := range map[string]func(){
			"engine":  func() { w.a.kill(w.a.engine()) },
			"keeper":  func() { w.a.kill(w.a.pid()); w.a.do("up", "wg0") },
			"restart": func() { w.a.do("restart", "wg0") },
			"reload":  func() { w.a.do("reload", "wg0") },
		} {
			end()
			if w.a.Ping(w.b.inner, 3, patience).Received == 0 {
				t.Errorf("%s, %s: the peer is not reached any more", hook, name)
			}
		}
		w.a.do("down", "wg0")
		w.a.MustRun("rm", "/etc/wireguard/wg0.conf")
		if diff := cmp.Diff(before, w.a.facts()); diff != "" {
			t.Errorf("before and after:\n%s", diff)
		}
	}
}

// TestDownOfTraces takes down what a keeper leaves that is killed before its first
// step: nothing that a journal lists.
func TestDownOfTraces(t *testing.T) {
	w := newWorld(t)
	before := w.a.facts()
	for _, command := range [][]string{{"down", "wg0"}, {"down", "--all"}} {
		w.a.write(w.a.config(w.b, "", w.b.endpoint()))
		w.a.do("up", "wg0")
		w.a.MustRun("cp", "-r", "/run/vpn/wg0", "/run/saved")
		w.a.do("down", "wg0")
		w.a.MustRun("sh", "-c", "rm /etc/wireguard/wg0.conf; rm /run/saved/journal; mv /run/saved /run/vpn/wg0; echo key >/run/vpn/wg0/config")
		w.a.Run(w.vpn, command...)
		if diff := cmp.Diff(before, w.a.facts()); diff != "" {
			t.Errorf("%s, before and after:\n%s", command, diff)
		}
	}
}

// TestKilledInMidUp kills a keeper while a hook of its start runs; the next up sets
// right what it has left.
func TestKilledInMidUp(t *testing.T) {
	w := newWorld(t)
	w.peerUp()
	before := w.a.facts()
	for _, kind := range []string{"PreUp", "PostUp"} {
		for _, next := range []string{"up", "down"} {
			w.a.write(w.a.config(w.b, kind+" = echo $$ > /run/there; read < /run/fifo", w.b.endpoint()+"\n"+fullTunnel))
			w.a.MustRun("mkfifo", "/run/fifo")
			p := w.a.Start(nil, w.vpn, "up", "wg0")
			testnet.Until(t, "the hook runs", func() bool {
				_, code := w.a.Run("test", "-s", "/run/there", "-a", "-s", "/run/vpn/wg0/hook")
				return code == 0
			})
			w.a.kill(w.a.pid())
			if code := p.WaitEnd(); code != 1 {
				t.Errorf("up ends with %d", code)
			}
			hook := strings.TrimSpace(w.a.ReadFile("/run/there"))
			if next == "up" {
				w.a.write(w.a.config(w.b, "", w.b.endpoint()+"\n"+fullTunnel))
				w.a.do("up", "wg0")
				w.a.MustPing(w.b.inner)
			}
			w.a.do("down", "wg0")
			if state, _ := w.a.Run("sed", "-n", "/^State:.[^ZX]/p", "/proc/"+hook+"/status"); strings.HasPrefix(state, "State:") {
				t.Errorf("killed in %s, then %s: the hook runs on", kind, next)
			}
			w.a.MustRun("rm", "/etc/wireguard/wg0.conf", "/run/fifo", "/run/there")
			if diff := cmp.Diff(before, w.a.facts()); diff != "" {
				t.Errorf("killed in %s, then %s, before and after:\n%s", kind, next, diff)
			}
		}
	}
}

// TestToldToEndInMidUp sends SIGTERM to "vpn up" and to "vpn run" while a hook runs, and takes the
// link down: all is undone.
func TestToldToEndInMidUp(t *testing.T) {
	w := newWorld(t)
	before := w.a.facts()
	for _, kind := range []string{"PreUp", "PostUp"} {
		for _, how := range []string{"up", "run", "down"} {
			w.a.write(w.a.config(w.b, kind+" = touch /run/there; sleep 1000; touch /run/never\nPreDown = touch /run/never\nPostDown = touch /run/never", w.b.endpoint()+"\n"+fullTunnel))
			command := how
			if how == "down" {
				command = "up"
			}
			p := w.a.Start(nil, w.vpn, command, "wg0")
			testnet.Until(t, "the hook runs", func() bool { _, code := w.a.Run("test", "-e", "/run/there"); return code == 0 })
			if how == "down" {
				w.a.do("down", "wg0")
			} else {
				p.Signal(syscall.SIGTERM)
			}
			if code := p.WaitEnd(); code != 1 {
				t.Errorf("%s in %s ends with %d:\n%s", how, kind, code, p.Output())
			}
			if !strings.Contains(p.Output(), "told to end before it was up") {
				t.Errorf("%s in %s says\n%s", how, kind, p.Output())
			}
			w.a.MustRun("rm", "/etc/wireguard/wg0.conf", "/run/there")
			if _, code := w.a.Run("test", "-e", "/run/never"); code == 0 {
				t.Error("hooks for the end were run")
			}
			testnet.Until(t, "the processes are gone", func() bool { return len(w.a.Processes()) == 0 })
			if diff := cmp.Diff(before, w.a.facts()); diff != "" {
				t.Errorf("%s in %s, before and after:\n%s", how, kind, diff)
			}
		}
	}
}

// TestTwoAtOnce starts two at once: one does it, and the other says who.
func TestTwoAtOnce(t *testing.T) {
	w := newWorld(t)
	w.a.write(w.a.config(w.b, "PostUp = read < /run/fifo", ""))
	w.a.MustRun("mkfifo", "/run/fifo")
	one, two := w.a.Start(nil, w.vpn, "up", "wg0"), w.a.Start(nil, w.vpn, "up", "wg0")
	testnet.Until(t, "one has given up", func() bool { return !one.Running() || !two.Running() })
	w.a.MustRun("sh", "-c", "echo > /run/fifo")
	codes := []int{one.WaitEnd(), two.WaitEnd()}
	if codes[0]+codes[1] != 1 {
		t.Errorf("codes %v", codes)
	}
	if text := one.Output() + two.Output(); !strings.Contains(text, fmt.Sprintf("wg0 is held by process %d (vpn run wg0)", w.a.pid())) {
		t.Errorf("they say\n%s", text)
	}
	w.a.do("down", "wg0")
}

// TestDeleted deletes the link, and then the control socket: both end it cleanly.
func TestDeleted(t *testing.T) {
	w := newWorld(t)
	w.a.write(w.a.config(w.b, "DNS = 10.9.0.53\nPostDown = touch /run/gone", w.b.endpoint()+"\n"+fullTunnel))
	before := w.a.facts()
	for _, command := range []string{"ip link delete wg0", "rm /run/wireguard/wg0.sock"} {
		p := w.a.Start(nil, w.vpn, "run", "wg0")
		p.WaitOutput("the link is up")
		w.a.MustRun("sh", "-c", command)
		if code := p.WaitEnd(); code != 0 {
			t.Errorf("%s: it ends with %d", command, code)
		}
		w.a.MustRun("rm", "/run/gone")
		if diff := cmp.Diff(before, w.a.facts()); diff != "" {
			t.Errorf("%s, before and after:\n%s", command, diff)
		}
	}
}
