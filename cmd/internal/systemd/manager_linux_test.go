package systemd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"testing"

	"vpn/cmd/internal/testnet"

	"golang.org/x/sys/unix"
)

// The test's own program is started by a real systemd, as a service, and beside
// it, as a person's command: systemd talks to nobody from outside.
const (
	serviceVariable = "VPN_TEST_SERVICE" // how the service behaves
	commandVariable = "VPN_TEST_COMMAND" // what the command does
)

func TestMain(m *testing.M) {
	if how := os.Getenv(serviceVariable); how != "" {
		os.Exit(service(how))
	}
	if text := os.Getenv(commandVariable); text != "" {
		var c order
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			panic(err)
		}
		ctx, cancel := signal.NotifyContext(context.Background(), unix.SIGTERM)
		defer cancel()
		if err := json.NewEncoder(os.Stdout).Encode(c.result(ctx)); err != nil {
			panic(err)
		}
		os.Exit(0)
	}
	os.Exit(testnet.Main(m))
}

// service is a daemon.
func service(how string) int {
	ctx, cancel := signal.NotifyContext(context.Background(), unix.SIGTERM)
	defer cancel()
	switch how {
	case "config error":
		fmt.Println("error: wg0.conf:12: out of luck")
		return configError
	case "verbose":
		for i := range 100 {
			fmt.Println("line", i, strings.Repeat("x", 600))
		}
		return 3
	case "killed":
		unix.Kill(os.Getpid(), unix.SIGKILL)
	case "slow":
		fmt.Println("still starting")
		<-ctx.Done()
		return 0
	}
	Ready("up")
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, unix.SIGHUP)
	alive := func(context.Context) bool { return how != "stuck" }
	go Watchdog(ctx, alive)
	for {
		select {
		case <-reload:
			Reloading("reading")
			Ready("reloaded")
		case <-ctx.Done():
			Stopping("going down")
			return 0
		}
	}
}

// command is what is asked of a Manager.
type order struct {
	Do      string // start, run, stop or state
	Unit    string
	Service Service
}

type result struct {
	Booted bool
	Err    string
	Start  *StartError
	State  State
}

func (c order) result(ctx context.Context) (r result) {
	r.Booted = Booted()
	m, err := Connect(ctx)
	if err != nil {
		return result{Err: err.Error()}
	}
	defer m.Close()
	switch c.Do {
	case "start":
		err = m.Start(ctx, c.Unit)
	case "run":
		err = m.Run(ctx, c.Unit, c.Service)
	case "stop":
		err = m.Stop(ctx, c.Unit)
	}
	errors.As(err, &r.Start)
	if err != nil {
		r.Err = err.Error()
	}
	if r.State, err = m.State(context.WithoutCancel(ctx), c.Unit); err != nil {
		panic(err)
	}
	return r
}

// world is a machine with a systemd.
type world struct {
	*testnet.Systemd
	t *testing.T
	h *testnet.Host
}

func boot(t *testing.T) world {
	h := testnet.NewMachine(t, "machine")
	return world{h.StartSystemd(), t, h}
}

// begin starts a command.
func (w world) begin(c order) *testnet.Process {
	w.t.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.Start([]string{commandVariable + "=" + string(text)}, os.Args[0])
}

// do runs a command to its end.
func (w world) do(c order) (r result) {
	w.t.Helper()
	p := w.begin(c)
	p.WaitEnd()
	if err := json.Unmarshal([]byte(p.Output()), &r); err != nil {
		w.t.Fatalf("%v: %s", err, p.Output())
	}
	return r
}

func (w world) want(c order, active string) {
	w.t.Helper()
	if r := w.do(c); r.Err != "" || r.State.Active != active {
		w.t.Errorf("%s %s: %+v, want %s", c.Do, c.Unit, r, active)
	}
}

// show returns properties of a unit, a line each.
func (w world) show(unit string, properties ...string) string {
	w.t.Helper()
	return w.MustRun("systemctl", "show", unit, "--property="+strings.Join(properties, ","))
}

// install writes a unit that is this test's program.
func (w world) install(unit, how, more string) {
	w.t.Helper()
	w.h.WriteFile("/etc/systemd/system/"+unit, fmt.Sprintf("[Service]\nType=notify\nExecStart=%s\nEnvironment=%s='%s'\nRestart=on-failure\n%s\n",
		os.Args[0], serviceVariable, how, more), 0o644)
	w.MustRun("systemctl", "daemon-reload")
}

func TestStartAndStop(t *testing.T) {
	w := boot(t)
	w.install("vpn@.service", "good", "ExecReload=kill -HUP $MAINPID\nWatchdogSec=200ms")
	unit, ok := Template("wg0")
	if !ok || unit != "vpn@wg0.service" {
		t.Fatal(unit, ok)
	}
	w.want(order{Do: "state", Unit: unit}, "inactive")
	w.want(order{Do: "start", Unit: unit}, "active")
	w.want(order{Do: "start", Unit: unit}, "active")
	if got := w.show(unit, "StatusText"); got != "StatusText=up\n" {
		t.Error(got)
	}
	w.MustRun("systemctl", "reload", unit)
	testnet.Until(t, "it is reloaded", func() bool { return w.show(unit, "StatusText") == "StatusText=reloaded\n" })
	r := w.do(order{Do: "state", Unit: unit})
	if !r.Booted || r.State.MainPID == 0 || r.State.Load != "loaded" || r.State.Result != "success" {
		t.Errorf("%+v", r)
	}
	w.want(order{Do: "stop", Unit: unit}, "inactive")
	w.want(order{Do: "stop", Unit: unit}, "inactive")
	w.want(order{Do: "stop", Unit: "vpn@unknown.service"}, "inactive")
	w.want(order{Do: "stop", Unit: "nobody-knows.service"}, "inactive")

	w.MustRun("systemctl", "stop", "dbus.socket", "dbus.service")
	w.want(order{Do: "start", Unit: unit}, "active") // without a bus
	w.want(order{Do: "stop", Unit: unit}, "inactive")
}

func TestStartFails(t *testing.T) {
	w := boot(t)
	for _, test := range []struct {
		how, message string
		code         int
	}{
		{"config error", "bad.service did not start: exit code 78", configError},
		{"verbose", "bad.service did not start: exit code 3", 3},
		{"killed", "bad.service did not start: signal", 128 + 9},
	} {
		w.install("bad.service", test.how, "RestartSec=10ms\nStartLimitIntervalSec=0")
		r := w.do(order{Do: "start", Unit: "bad.service"})
		if r.Start == nil || r.Err != test.message || r.Start.State.ExitCode != test.code {
			t.Errorf("%s: %+v", test.how, r)
			continue
		}
		if r.State.Active != "inactive" {
			t.Errorf("%s: it is %s, %s", test.how, r.State.Active, r.State.Sub)
		}
		switch log := r.Start.Log; test.how {
		case "config error":
			if log != "error: wg0.conf:12: out of luck" {
				t.Errorf("log: %q", log)
			}
		case "verbose":
			if n := strings.Count(log, "line"); !strings.Contains(log, "line 99") || n > logLines || len(log) > logBytes || !strings.HasPrefix(log, "line") {
				t.Errorf("%d lines and %d bytes of log: %q", n, len(log), log)
			}
		}
	}
	r := w.do(order{Do: "start", Unit: "nobody-knows.service"})
	if r.Start != nil || !strings.Contains(r.Err, "nobody-knows.service not found") {
		t.Errorf("%+v", r)
	}
}

func TestStartGivenUp(t *testing.T) {
	w := boot(t)
	w.install("slow.service", "slow", "")
	p := w.begin(order{Do: "start", Unit: "slow.service"})
	testnet.Until(t, "it is starting", func() bool { return strings.Contains(w.show("slow.service", "SubState"), "=start\n") })
	p.Signal(unix.SIGTERM)
	p.WaitEnd()
	if text := p.Output(); !strings.Contains(text, `"Active":"inactive"`) || !strings.Contains(text, context.Canceled.Error()) {
		t.Error(text)
	}
}

// TestWatchdogEnds has systemd end a service whose watchdog is silent.
func TestWatchdogEnds(t *testing.T) {
	w := boot(t)
	w.install("stuck.service", "stuck", "WatchdogSec=50ms\nRestart=no")
	w.do(order{Do: "start", Unit: "stuck.service"})
	testnet.Until(t, "it is ended", func() bool { return strings.Contains(w.show("stuck.service", "Result"), "=watchdog\n") })
}

func TestTransient(t *testing.T) {
	w := boot(t)
	unit := Transient("a+b")
	if unit != `vpn-a\x2bb.service` {
		t.Fatal(unit)
	}
	if _, ok := Template("a+b"); ok {
		t.Error("a+b is no instance's name")
	}
	s := Service{Description: "a tunnel", Args: []string{os.Args[0], "an argument", "$HOME %i"}, Env: []string{serviceVariable + "=good"}, Dir: "/tmp", Name: "ab"}
	w.want(order{Do: "run", Unit: unit, Service: s}, "active")
	r := w.do(order{Do: "state", Unit: unit})
	text := w.MustRun("sh", "-c", fmt.Sprintf("tr '\\0' '|' </proc/%d/cmdline; readlink /proc/%d/cwd", r.State.MainPID, r.State.MainPID))
	if !strings.HasSuffix(text, "|an argument|$HOME %i|/tmp\n") {
		t.Errorf("it runs %q", text)
	}
	shown := w.show(unit, "Description", "Type", "NotifyAccess", "Restart", "RestartUSec", "RestartPreventExitStatus", "KillMode", "WatchdogUSec", "LimitMEMLOCK", "UMask", "OOMPolicy", "Conflicts", "After", "StartLimitIntervalUSec", "PartOf")
	for _, want := range []string{"Description=a tunnel", "Type=notify", "NotifyAccess=main", "Restart=on-failure", "RestartUSec=2s", "RestartPreventExitStatus=78",
		"KillMode=mixed", "WatchdogUSec=30s", "LimitMEMLOCK=67108864", "UMask=0077", "OOMPolicy=continue", "StartLimitIntervalUSec=0", "wg-quick@ab.service", "PartOf=vpn.target"} {
		if !strings.Contains(shown, want) {
			t.Errorf("no %s in:\n%s", want, shown)
		}
	}
	if again := w.do(order{Do: "run", Unit: unit, Service: s}); !strings.Contains(again.Err, unit) {
		t.Errorf("a second time: %+v", again)
	}
	w.want(order{Do: "stop", Unit: unit}, "inactive")

	s.Env = []string{serviceVariable + "=config error"}
	for range 2 { // what has failed leaves its name free
		if r := w.do(order{Do: "run", Unit: unit, Service: s}); r.Start == nil || r.Start.State.ExitCode != configError || !strings.Contains(r.Start.Log, "out of luck") {
			t.Errorf("%+v", r)
		}
	}
}

func TestNoSystemd(t *testing.T) {
	h := testnet.NewMachine(t, "machine")
	h.Do(func() {
		if Booted() {
			t.Error("booted")
		}
		if m, err := Connect(t.Context()); err == nil {
			m.Close()
			t.Error("connected")
		}
	})
}
