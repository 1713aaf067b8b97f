package keeper_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"vpn/cmd/internal/testnet"
)

// TestNotify is a service manager that hears what a keeper tells it.
func TestNotify(t *testing.T) {
	w := newWorld(t)
	w.a.write(w.a.config(w.b, "", w.b.endpoint()))
	const name = "@vpn-manager" // it is the namespace's own
	var manager *net.UnixConn
	var err error
	w.a.Do(func() { manager, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"}) })
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	hears := func(want ...string) {
		t.Helper()
		manager.SetReadDeadline(time.Now().Add(time.Minute))
		for said := make([]byte, 4096); ; {
			n, err := manager.Read(said)
			if err != nil {
				t.Fatalf("%q is not told: %v", want, err)
			}
			is := true
			for _, part := range want {
				is = is && strings.Contains("\n"+string(said[:n]), "\n"+part)
			}
			if is {
				return
			}
		}
	}
	p := w.a.Start([]string{"NOTIFY_SOCKET=" + name, "WATCHDOG_USEC=200000"}, w.vpn, "run", "wg0", "--log-format", "json")
	hears("READY=1", "STATUS=up on port 51001; 0 of 1 peers in session")
	p.WaitOutput(`"msg":"the link is up"`)
	hears("WATCHDOG=1")
	hears("WATCHDOG=1") // again and again
	p.Signal(syscall.SIGHUP)
	hears("RELOADING=1", "MONOTONIC_USEC=")
	hears("READY=1")
	w.a.do("reload", "wg0")
	hears("RELOADING=1", "MONOTONIC_USEC=")
	hears("READY=1")
	w.a.do("restart", "wg0") // in the same process
	hears("READY=1")
	p.Signal(syscall.SIGTERM)
	hears("STOPPING=1")
	if code := p.WaitEnd(); code != 0 {
		t.Errorf("code %d", code)
	}
}

// logind does the part of systemd-logind that keepers ask for.
type logind struct {
	inhibitors chan *os.File // our copy of each that was handed out
	released   chan struct{}
}

// Inhibit is the method of org.freedesktop.login1.Manager.
func (l *logind) Inhibit(_, _, _, _ string) (dbus.UnixFD, *dbus.Error) {
	r, w, err := os.Pipe()
	if err != nil {
		return 0, dbus.MakeFailedError(err)
	}
	go func() {
		defer r.Close()
		r.Read(make([]byte, 1)) // until the last who has it lets go
		l.released <- struct{}{}
	}()
	fd := dbus.UnixFD(w.Fd())
	l.inhibitors <- w
	return fd, nil
}

// TestSleep has logind announce sleep, and waking: then a handshake follows at once,
// though nobody sends anything.
func TestSleep(t *testing.T) {
	w := newWorld(t)
	w.peerUp()
	w.a.StartBus()
	l := &logind{make(chan *os.File, 10), make(chan struct{}, 10)}
	var bus *dbus.Conn
	var err error
	w.a.Do(func() { bus, err = dbus.ConnectSystemBus() })
	if err != nil {
		t.Fatal(err)
	}
	defer bus.Close()
	const path, manager = "/org/freedesktop/login1", "org.freedesktop.login1.Manager"
	if err := bus.Export(l, path, manager); err != nil {
		t.Fatal(err)
	}
	if _, err := bus.RequestName("org.freedesktop.login1", dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	w.a.write(w.a.config(w.b, "", w.b.endpoint()))
	w.a.do("up", "wg0")
	w.a.MustPing(w.b.inner)
	var inhibitor *os.File
	select {
	case inhibitor = <-l.inhibitors:
	case <-time.After(time.Minute):
		t.Fatal("the keeper asks for no inhibitor")
	}
	pipe, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", inhibitor.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	testnet.Until(t, "the keeper has the inhibitor", func() bool {
		return strings.Contains(w.a.MustRun("ls", "-l", fmt.Sprintf("/proc/%d/fd", w.a.pid())), pipe)
	})
	inhibitor.Close() // ours
	capture := testnet.NewCapture(w.outer)
	announce := func(sleeping bool) {
		t.Helper()
		if err := bus.Emit(path, manager+".PrepareForSleep", sleeping); err != nil {
			t.Fatal(err)
		}
	}
	const initiation = 1
	initiations := func() (n int) {
		for _, m := range capture.Messages() {
			if m.Outgoing && m.Type() == initiation {
				n++
			}
		}
		return n
	}
	announce(true)
	select {
	case <-l.released:
	case <-time.After(time.Minute):
		t.Fatal("the keeper holds back the host's sleep")
	}
	if n := initiations(); n != 0 {
		t.Errorf("%d initiations before the host sleeps", n)
	}
	announce(false)
	testnet.Until(t, "a handshake follows", func() bool { return initiations() > 0 })
	w.a.MustPing(w.b.inner)
	w.a.do("down", "wg0")
}

// TestFloorIsKept has timestamps that went a year ahead, as after a clock that was
// wrong: the peer hears later runs all the same.
func TestFloorIsKept(t *testing.T) {
	w := newWorld(t)
	w.peerUp()
	w.a.write(w.a.config(w.b, "", w.b.endpoint()))
	public, err := hex.DecodeString(w.a.key.Public)
	if err != nil {
		t.Fatal(err)
	}
	path := "/var/lib/vpn/floor/" + base64.RawURLEncoding.EncodeToString(public)
	const taiOffset = 1<<62 + 10
	ahead := fmt.Sprintf("%016x%08x\n", taiOffset+time.Now().AddDate(1, 0, 0).Unix(), 0)
	w.a.MustRun("mkdir", "-p", "/var/lib/vpn/floor")
	w.a.WriteFile(path, ahead, 0o600)
	for range 2 {
		w.a.do("up", "wg0")
		w.a.MustPing(w.b.inner)
		now := w.a.ReadFile(path)
		if now <= ahead {
			t.Fatalf("the floor is %s, was %s", now, ahead)
		}
		ahead = now
		w.a.kill(w.a.engine())
		w.a.kill(w.a.pid())
		w.a.do("up", "wg0")
		w.a.MustPing(w.b.inner)
		w.a.do("down", "wg0")
	}
}

// TestSecretsStay looks for keys where others might see them: in what is printed, in
// arguments and environments, in files that are not root's alone.
func TestSecretsStay(t *testing.T) {
	w := newWorld(t)
	psk := testnet.NewKey().Private
	text := w.a.config(w.b, "PostUp = env; tr '\\0' ' ' </proc/$PPID/cmdline; cat /proc/$PPID/environ; true",
		"PresharedKey = "+base64Of(psk)+"\n"+w.b.endpoint())
	w.a.write(text)
	w.a.WriteFile("/run/text", text, 0o600)
	look := func(where, text string) {
		t.Helper()
		for name, secret := range map[string]string{"private key": w.a.key.Private, "preshared key": psk} {
			if strings.Contains(text, base64Of(secret)) || strings.Contains(strings.ToLower(text), secret) {
				t.Errorf("the %s is in %s", name, where)
			}
		}
	}
	processes := func() {
		t.Helper()
		for _, pid := range w.a.Processes() {
			for _, file := range []string{"cmdline", "environ"} {
				path := fmt.Sprintf("/proc/%d/%s", pid, file)
				text, _ := os.ReadFile(path) // of one that has just ended there is none
				look(path, string(text))
			}
		}
		if open := w.a.MustRun("find", "/run/vpn", "/run/wireguard", "/var/lib/vpn", "-not", "-type", "d", "-perm", "/077"); open != "" {
			t.Errorf("not root's alone: %s", open)
		}
	}
	for _, up := range []string{" up wg0", " up - --name wg0 </run/text"} {
		for _, command := range []string{up + " --dry-run", up} {
			look(command, w.a.MustRun("sh", "-c", w.vpn+command))
		}
		processes()
		look("a second up", w.a.fail(1, nil, "up", "wg0"))
		look("a restart", w.a.do("restart", "wg0"))
		if up == " up wg0" {
			psk = testnet.NewKey().Private
			w.a.write(strings.Replace(text, "PresharedKey = ", "PresharedKey = "+base64Of(psk)+"\n#", 1))
			look("a reload", w.a.do("reload", "wg0", "--confirm", "1h"))
			processes()
		}
		look("down", w.a.do("down", "wg0"))
	}
	w.a.write(text + "PresharedKey = " + base64Of(psk) + "x\nPrivatKey = " + base64Of(w.a.key.Private) + "\n")
	look("an error", w.a.fail(78, nil, "up", "wg0"))
}
