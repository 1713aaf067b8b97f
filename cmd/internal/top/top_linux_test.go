package top

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"vpn/cmd/internal/testnet"
)

func base64Of(hexadecimal string) string {
	b, err := hex.DecodeString(hexadecimal)
	if err != nil {
		panic(err) // testnet made it
	}
	return base64.StdEncoding.EncodeToString(b)
}

// newWorld is a laptop that has `vpn up` with a gateway, which runs wireguard-go, and with peers that are nowhere. It pings the gateway all
// the time, and has new keys every six seconds.
func newWorld(t *testing.T) (laptop *testnet.Host, gatewayKey string) {
	laptop, gateway := testnet.NewMachine(t, "laptop"), testnet.NewHost(t, "gateway")
	atLaptop, atGateway := testnet.Connect(laptop, gateway, 0)
	atLaptop.Address("192.168.77.1/24")
	atGateway.Address("192.168.77.2/24")
	laptop.MustPing("192.168.77.2")
	ours := testnet.NewKey()
	daemon := gateway.StartDaemon(testnet.WireGuardGo)
	daemon.Set("private_key="+daemon.Key.Private, "listen_port=51820", "public_key="+ours.Public, "allowed_ip=10.77.0.1/32")
	daemon.Address("10.77.0.2/24")
	daemon.Up()
	var b strings.Builder
	fmt.Fprintf(&b, "[Interface]\nPrivateKey = %s\nAddress = 10.77.0.1/24\nListenPort = 51821\n#vpn: RekeyAfterTime = 6\n", base64Of(ours.Private))
	fmt.Fprintf(&b, "[Peer]\n#vpn: Name = gateway\nPublicKey = %s\nAllowedIPs = 10.77.0.2/32\nEndpoint = 192.168.77.2:51820\n", base64Of(daemon.Key.Public))
	for n, name := range []string{"alpha", "beta", "phone 山田"} {
		fmt.Fprintf(&b, "[Peer]\n#vpn: Name = %s\nPublicKey = %s\nAllowedIPs = 10.77.0.%d/32\n", name, base64Of(testnet.NewKey().Public), 3+n)
	}
	laptop.WriteFile("/etc/wireguard/wg0.conf", b.String(), 0o600)
	laptop.MustRun(testnet.Binary(t, testnet.VPN), "up", "wg0")
	t.Cleanup(func() { laptop.MustRun(testnet.Binary(t, testnet.VPN), "down", "wg0") })
	laptop.Start(nil, "ping", "-q", "-i", "0.1", "10.77.0.2")
	laptop.MustPing("10.77.0.2")
	return laptop, base64Of(daemon.Key.Public)
}

// expect holds the screen against lines, each a regular expression for a whole one, until they match.
func (x *terminal) expect(lines []string) {
	x.t.Helper()
	wrong := "nothing was looked at"
	ok := func() bool { return wrong == "" }
	defer func() {
		if !ok() {
			x.t.Logf("%s", wrong)
		}
	}()
	x.await("the screen is as expected", func(text string) bool {
		got := strings.Split(text, "\n")
		wrong = ""
		if len(got) != len(lines) {
			wrong = fmt.Sprintf("%d lines, want %d:\n%s", len(got), len(lines), text)
			return false
		}
		for n, line := range lines {
			if !regexp.MustCompile("^(?:" + line + ")$").MatchString(got[n]) {
				wrong = fmt.Sprintf("line %d is\n%s\nwant\n%s\nin\n%s", n+1, got[n], line, text)
				return false
			}
		}
		return true
	})
}

const (
	rate  = `[0-9.]+ k?bit/s`
	block = `[▁▂▃▄▅▆▇█]`
)

// blank is so many empty lines.
func blank(n int) []string { return make([]string, n) }

func screenOf(parts ...[]string) (all []string) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func smallScreen(key string) []string {
	return screenOf([]string{
		`wg0  up  4 peers, 1 up +in ` + rate + `  out ` + rate,
		`by traffic`,
		`  PEER +STATE +SESSION +IN▼ +OUT▼`,
		`▶ gateway +up +[█▏▎▍▌▋▊▉]*░* +\d+ s +` + rate + ` +` + block + `+ +` + rate + ` +` + block + `+`,
		`  alpha +waiting`,
		`  beta +waiting`,
		`  phone 山田 +waiting`,
	}, blank(9), []string{
		`── gateway  up ─{65}`,
		`  key        ` + regexp.QuoteMeta(key),
		`  endpoint   192\.168\.77\.2:51820, from the file, reached from 192\.168\.77\.1`,
		`  allowed    10\.77\.0\.2/32`,
		`  handshake  \d+ s ago, session [a-z]+-[a-z]+, replaced (in \d+ s|when something is sent)`,
		`  traffic    ` + rate + ` in, ` + rate + ` out, .* received in all, .*`,
	}, blank(1), []string{`q quit   ↑↓ select   s sort   r reverse   / filter   space pause   enter details`})
}

func largeScreen(key string) []string {
	small := smallScreen(key)
	plots := []string{`  in, up to ` + rate + ` +out`}
	for range 9 {
		plots = append(plots, `[ ▁▂▃▄▅▆▇█]*`)
	}
	plots = append(plots, `  .*`+block+`.*`)
	list := []string{
		`▶ gateway +up +[█▏▎▍▌▋▊▉]*░* +\d+ s +` + rate + ` +` + block + `+ +` + rate + ` +` + block + `+`,
		`  alpha +no endpoint: waits for the peer to call`, `  beta +no endpoint: waits for the peer to call`,
		`  phone 山田 +no endpoint: waits for the peer to call`,
	}
	return screenOf(small[:3], list, blank(24), []string{`── gateway  up ─{185}`}, plots, small[17:])
}

// TestTop has a session of `vpn top` with a real tunnel: what it shows, as it happens, and what keys do.
func TestTop(t *testing.T) {
	laptop, key := newWorld(t)
	x := newTerminal(t, laptop, 80, 24)
	vpn := testnet.Binary(t, testnet.VPN)
	x.run(`clear; before=$(stty -g)`)
	was := x.modes()
	x.run(vpn + ` top wg0 --interval 200ms; echo code $?; [ "$before" = "$(stty -g)" ] && echo as before`)
	x.expect(smallScreen(key))
	watchRekey(x)

	// Sorted by name, backward, and by state with the worst first.
	x.keys("s", "s", "s")
	x.awaitRows("by peer", "alpha", "beta", "gateway", "phone 山田")
	x.keys("r")
	x.awaitRows("by peer, reversed", "phone 山田", "gateway", "beta", "alpha")
	x.keys("s")
	x.awaitRows("by state", "alpha", "beta", "phone 山田", "gateway")

	// The selected peer stays selected; the one below has the details.
	x.keys("Home", "Down")
	x.awaitText("── beta  no endpoint: waits for the peer to call ─")
	x.keys("S")
	x.awaitText("── beta ")
	x.keys("End", "k", "Enter")
	x.await("no details", func(s string) bool { return !strings.Contains(s, "── ") && strings.Contains(s, "▶ gateway") })
	x.keys("Enter")

	// A filter works while it is typed.
	x.keys("/", "g", "A", "T", "x")
	x.awaitText(`No peer has "gATx"`)
	x.keys("BSpace")
	x.awaitRows(`1 with "gAT"`, "gateway")
	x.keys("Enter", "Escape")
	x.awaitRows("by peer", "alpha", "beta", "gateway", "phone 山田")
	x.keys("/")
	x.tmux("send-keys", "-l", "10.77.0.4")
	x.awaitRows("by peer", "beta")
	x.keys("Escape", "S", "S", "S")
	x.awaitText("by traffic")
	x.keys("Home")

	x.tmux("resize-window", "-x", "200", "-y", "50")
	x.expect(largeScreen(key))
	x.tmux("resize-window", "-x", "40", "-y", "8")
	x.awaitText("vpn top needs 60 columns")
	x.tmux("resize-window", "-x", "80", "-y", "24")
	x.expect(smallScreen(key))

	x.keys("q")
	x.awaitText("code 0\nas before")
	if now := x.modes(); now != was {
		t.Errorf("the terminal is %q, and was %q", now, was)
	}
	if text := x.text(); strings.Contains(text, "SESSION") {
		t.Errorf("the screen is left over:\n%s", text)
	}
}

// awaitRows waits for the peers in this order, and for a word above them.
func (x *terminal) awaitRows(above string, names ...string) {
	x.t.Helper()
	x.await(above+" "+strings.Join(names, ", "), func(s string) bool {
		lines := strings.Split(s, "\n")
		if len(lines) < 4+len(names) || !strings.Contains(lines[1], above) || lines[1] == "by peer, reversed" && above == "by peer" {
			return false
		}
		for n, name := range names {
			if line := lines[3+n]; utf8.RuneCountInString(line) < 2 || !strings.HasPrefix(string([]rune(line)[2:]), name+" ") {
				return false
			}
		}
		return !strings.Contains(lines[3+len(names)], "waiting")
	})
}

var (
	sessionName = regexp.MustCompile(`session ([a-z]+-[a-z]+)`)
	bar         = regexp.MustCompile(`[█▏▎▍▌▋▊▉░]{8}`)
)

// watchRekey holds that the bar of the gateway's session only empties, and is fuller with the session that comes after.
func watchRekey(x *terminal) {
	x.t.Helper()
	look := func() (name string, full int) {
		text := x.text()
		drawn, session := bar.FindString(text), sessionName.FindStringSubmatch(text)
		if drawn == "" || session == nil {
			return "", 0
		}
		for _, r := range drawn {
			if n := strings.IndexRune("░▏▎▍▌▋▊▉█", r); n > 0 {
				full += n / utf8.RuneLen('█')
			}
		}
		return session[1], full
	}
	var first, last int
	name := ""
	seen := 0 // sessions from their beginning
	testnet.Until(x.t, "a session has been replaced, and that one too", func() bool {
		now, full := look()
		switch {
		case now == "":
		case now != name:
			if name != "" && full <= last {
				x.t.Errorf("a new session has %d eighths left, the one before had %d", full, last)
			}
			if seen > 0 && last >= first {
				x.t.Errorf("the bar went from %d to %d", first, last)
			}
			if name != "" {
				seen++
			}
			name, first, last = now, full, full
		case full > last:
			if again, _ := look(); again == name { // and it was no screen half drawn
				x.t.Errorf("the bar of one session grew from %d to %d", last, full)
			}
		default:
			last = full
		}
		return seen == 2
	})
}

// quit ends `vpn top`.
func (x *terminal) quit() {
	x.t.Helper()
	x.keys("q")
	x.await("it has ended", func(s string) bool { return !strings.Contains(s, "q quit") })
}

// child is the process that the shell waits for.
func (x *terminal) child() (pid int) {
	x.t.Helper()
	shell := x.tmux("display-message", "-p", "#{pane_pid}")
	testnet.Until(x.t, "the shell has a child", func() bool {
		text, err := os.ReadFile("/proc/" + shell + "/task/" + shell + "/children")
		if err != nil {
			x.t.Fatal(err)
		}
		_, err = fmt.Sscan(string(text), &pid)
		return err == nil
	})
	return pid
}

// TestTerminalIsRestored ends and stops it in the ways there are.
func TestTerminalIsRestored(t *testing.T) {
	p := testnet.NewPair(t, testnet.VPN, testnet.WireGuardGo, 0, false)
	vpn, link := testnet.Binary(t, testnet.VPN), p.A.Daemon.Link.Name
	x := newTerminal(t, p.A.Host, 80, 24)
	x.run(`before=$(stty -g)`)
	was := x.modes()
	restored := func(how string) {
		t.Helper()
		x.run(`clear; [ "$before" = "$(stty -g)" ] && echo as "before"`)
		x.await("the terminal is as before after "+how, func(s string) bool { return strings.HasPrefix(s, "as before\n") })
		if now := x.modes(); now != was {
			t.Errorf("after %s the terminal is %q, and was %q", how, now, was)
		}
	}
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT} {
		x.run(vpn + " top " + link + "; echo code $?")
		x.awaitText("q quit")
		syscall.Kill(x.child(), s)
		x.awaitText("code 0\n")
		restored(s.String())
	}
	x.run(vpn + " top " + link + "; echo code $?")
	x.awaitText("q quit")
	x.keys("C-c")
	x.awaitText("code 0\n")
	restored("Ctrl-C")

	// Stopped by a key, by a signal, and by one that nobody can take.
	x.run(vpn + " top " + link)
	x.awaitText("q quit")
	for _, how := range []string{"Ctrl-Z", "SIGTSTP"} {
		if how == "Ctrl-Z" {
			x.keys("C-z")
		} else {
			syscall.Kill(x.child(), syscall.SIGTSTP)
		}
		x.awaitText("Stopped")
		restored(how)
		x.run("fg")
		x.awaitText("q quit")
		x.keys("/")
		x.awaitText("filter: ")
		x.keys("Escape")
		x.awaitText("q quit")
	}
	pid := x.child()
	syscall.Kill(pid, syscall.SIGSTOP)
	x.awaitText("Stopped")
	x.run("fg")
	x.awaitText("q quit")
	x.quit()
	restored("SIGSTOP")

	x.run(envPanic + "=1 " + os.Args[0] + "; echo code $?")
	x.awaitText("panic: as the test asks")
	x.awaitText("code 2\n")
	restored("a panic")
}

// TestPlainTerminals are those that know less, or that are none.
func TestPlainTerminals(t *testing.T) {
	p := testnet.NewPair(t, testnet.VPN, testnet.WireGuardGo, 0, false)
	p.A.MustPing(p.B.Inner4)
	vpn, link := testnet.Binary(t, testnet.VPN), p.A.Daemon.Link.Name
	x := newTerminal(t, p.A.Host, 80, 24, "NO_COLOR=1", "LC_ALL=C")
	x.run(vpn + " top " + link)
	text := x.awaitText("-- " + base64Of(p.B.Daemon.Key.Public) + "  up ---")
	for _, r := range text {
		if r > 0x7e {
			t.Fatalf("%q is not ASCII:\n%s", r, text)
		}
	}
	if !strings.Contains(text, "#") {
		t.Errorf("there is no bar:\n%s", text)
	}
	if coloured := x.tmux("capture-pane", "-p", "-e"); strings.Contains(coloured, "\x1b") {
		t.Errorf("there are escapes: %q", coloured)
	}
	x.quit()
	x.run("unset NO_COLOR; " + vpn + " top " + link)
	x.await("colours", func(string) bool { return strings.Contains(x.tmux("capture-pane", "-p", "-e"), "\x1b[32m") })
	x.quit()
	ended := 0
	for command, want := range map[string]string{
		"top " + link + " | cat":      "error: standard input and output are not a terminal",
		"top " + link + " </dev/null": "error: standard input and output are not a terminal",
		"top none0":                   "error: none0: there is no such WireGuard interface",
		"top --interval 1ms":          "error: --interval 1ms: less than 100ms",
	} {
		ended++
		x.run(fmt.Sprintf("clear; %s %s; echo ended $((%d))", vpn, command, ended))
		if text := x.awaitText(fmt.Sprintf("\nended %d\n", ended)); !strings.Contains(text, want) || !strings.Contains(text, "\nhint: ") {
			t.Errorf("%s: %s", command, text)
		}
	}
}

// TestManyPeers has 10,000 of them: keys are answered.
func TestManyPeers(t *testing.T) {
	p := testnet.NewPair(t, testnet.VPN, testnet.WireGuardGo, 0, false)
	var lines []string
	for n := range 9999 {
		lines = append(lines, fmt.Sprintf("public_key=%064x", n+1), fmt.Sprintf("allowed_ip=10.%d.%d.%d/32", 100+n>>16, n>>8&255, n&255))
	}
	p.A.Daemon.Set(lines...)
	p.A.MustPing(p.B.Inner4)
	x := newTerminal(t, p.A.Host, 80, 24)
	x.run(testnet.Binary(t, testnet.VPN) + " top " + p.A.Daemon.Link.Name)
	x.awaitText("10000 peers, 1 up")
	for range 20 {
		x.keys("End")
		x.await("the end of the list", func(s string) bool {
			return !strings.Contains(s, "──  up") && !strings.Contains(s, " up  ──") && strings.Contains(s, "▶")
		})
		x.keys("Home")
		x.awaitText("▶ " + base64Of(p.B.Daemon.Key.Public)[:11] + "…")
	}
	x.keys("/")
	x.tmux("send-keys", "-l", "10.100.39.14")
	x.awaitText(`1 with "10.100.39.14"`)
	x.keys("Escape")
	x.quit()
}
