package outside

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vpn/cmd/internal/testnet"
)

// What a confined process has run, and what comes of it.
var confined = []struct {
	name string
	args []string
	want string
}{
	{"privileges", []string{"/bin/sh", "-c", "grep NoNewPrivs /proc/self/status; sysctl -w net.ipv4.ip_forward=1; touch /root/here && echo made"},
		"NoNewPrivs:\t0\nnet.ipv4.ip_forward = 1\nmade\n"},
	{"both outputs and a code", []string{"/bin/sh", "-c", "echo out; echo err >&2; exit 7"}, "out\nerr\ncode: 7\n"},
	{"input", []string{"/bin/cat"}, "what is read\n"},
	{"a signal", []string{"/bin/sh", "-c", "kill -9 $$"}, "code: 137\n"},
	{"its own variables", []string{"/bin/sh", "-c", `Y=y; echo "$Y ${Y} $X %i" $0 "$1"`, "$X", "${X} \\ "}, "y y x y %i $X ${X} \\ \n"},
	{"the working directory", []string{"/bin/pwd"}, "/usr/share\n"},
	{"no such program", []string{"/no/such/program"}, "code: 203\n"},
	{"what is left lives on", []string{"/bin/sh", "-c", "sleep 12345 >/dev/null 2>&1 & echo done"}, "done\n"},
	{"given up", []string{"/bin/sh", "-c", "trap 'echo told; exit 1' TERM; echo begun; sleep 1000 & wait; echo not told"}, "begun\ntold\nerror: context canceled\n"},
}

// What the test binary is to be instead of the tests.
const (
	envCase = "VPN_TEST_OUTSIDE"      // runs the case of that number
	envTell = "VPN_TEST_OUTSIDE_TELL" // prints the handle; "and die": and is killed at that moment
	envEnd  = "VPN_TEST_OUTSIDE_END"  // ends the command of that handle
)

// The test binary is the confined process too.
func TestMain(m *testing.M) {
	if handle := os.Getenv(envEnd); handle != "" {
		if err := End(context.Background(), handle); err != nil {
			fmt.Println("error:", err)
		}
		return
	}
	n, err := strconv.Atoi(os.Getenv(envCase))
	if err != nil {
		os.Exit(testnet.Main(m))
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM)
	defer stop()
	if !Confined() {
		fmt.Println("not confined")
	}
	c := Command{Description: "a test", Args: confined[n].args, Env: []string{"X=x y"}, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	if tell := os.Getenv(envTell); tell != "" {
		c.Running = func(handle string) {
			fmt.Println(handle)
			if tell == "and die" {
				_ = unix.Kill(os.Getpid(), unix.SIGKILL)
			}
		}
	}
	err = Run(ctx, c)
	var exit *ExitError
	switch {
	case errors.As(err, &exit):
		fmt.Println("code:", exit.Code)
	case err != nil:
		fmt.Println("error:", err)
	}
}

// startConfined has systemd run a case, confined.
func startConfined(s *testnet.Systemd, n int, variables ...string) {
	start := []string{"--quiet", "--unit=confined", "--setenv=" + envCase + "=" + strconv.Itoa(n)}
	for _, v := range variables {
		start = append(start, "--setenv="+v)
	}
	for _, p := range []string{
		"NoNewPrivileges=yes", "CapabilityBoundingSet=", "ProtectSystem=strict", "ProtectKernelTunables=yes", "WorkingDirectory=/usr/share", "CollectMode=inactive-or-failed",
		"KillMode=mixed", "StandardInput=file:/run/input", "StandardOutput=append:/run/out", "StandardError=append:/run/out",
	} {
		start = append(start, "-p", p)
	}
	s.MustRun("systemd-run", append(start, "/run/outside")...)
}

// caseOf is the number of a case.
func caseOf(name string) int {
	for n, c := range confined {
		if c.name == name {
			return n
		}
	}
	panic(name)
}

// TestEndService ends a service of a process that was killed, with what it has
// started; one that has ended is none to it.
func TestEndService(t *testing.T) {
	h := testnet.NewMachine(t, "machine")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	h.WriteFile("/run/input", "", 0o600)
	h.MustRun("cp", self, "/run/outside")
	s := h.StartSystemd()
	startConfined(s, caseOf("given up"), envTell+"=yes")
	var handle string
	testnet.Until(t, "the command runs", func() bool {
		text, _ := s.Run("cat", "/run/out")
		first, rest, _ := strings.Cut(text, "\n")
		handle = first
		return rest == "begun\n"
	})
	s.MustRun("systemctl", "kill", "--kill-who=main", "--signal=KILL", "confined")
	testnet.Until(t, "who has it run is gone", func() bool {
		_, code := s.Run("systemctl", "is-active", "--quiet", "confined")
		return code != 0
	})
	units := func() string {
		return s.MustRun("systemctl", "list-units", "--all", "--plain", "--no-legend", "vpn-run-*")
	}
	if units() == "" {
		t.Fatal("the command is gone by itself")
	}
	for _, handle := range []string{handle, handle, "service vpn-run-none.service"} {
		if text := s.MustRun("env", envEnd+"="+handle, "/run/outside"); text != "" {
			t.Errorf("%s: %s", handle, text)
		}
		if text := units(); text != "" {
			t.Errorf("%s: there is still\n%s", handle, text)
		}
	}
	if text := s.MustRun("cat", "/run/out"); strings.Contains(text, "told") {
		t.Errorf("it was asked, not killed:\n%s", text)
	}
}

// TestGate kills a process between the start of its command and the moment at which
// it could be told of it: the command has done nothing.
func TestGate(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), envCase+"="+strconv.Itoa(caseOf("both outputs and a code")), envTell+"=and die")
	var out bytes.Buffer
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	cmd.Stdout, cmd.Stderr = write, write
	err = cmd.Run()
	write.Close()
	if err == nil {
		t.Fatal("it was not killed")
	}
	if _, err := out.ReadFrom(read); err != nil { // to the end of the last who could write
		t.Fatal(err)
	}
	if text := out.String(); !strings.HasPrefix(text, "not confined\ngroup ") || strings.Count(text, "\n") != 2 {
		t.Errorf("the command has run:\n%s", text)
	}
}

func TestConfined(t *testing.T) {
	h := testnet.NewMachine(t, "machine")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	h.WriteFile("/run/input", "what is read\n", 0o600)
	h.MustRun("cp", self, "/run/outside")
	s := h.StartSystemd()
	for n, c := range confined {
		startConfined(s, n)
		if c.name == "given up" {
			testnet.Until(t, "the command runs", func() bool {
				text, _ := s.Run("cat", "/run/out")
				return text == "begun\n"
			})
			s.MustRun("systemctl", "kill", "--kill-who=main", "confined")
		}
		testnet.Until(t, c.name+" has ended", func() bool {
			_, code := s.Run("systemctl", "is-active", "--quiet", "confined")
			return code != 0
		})
		if got := s.MustRun("cat", "/run/out"); got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.name, got, c.want)
		}
		s.MustRun("rm", "/run/out")
	}
	s.MustRun("pkill", "-f", "sleep 12345") // it has lived on
	testnet.Until(t, "systemd has forgotten the commands", func() bool {
		return s.MustRun("systemctl", "list-units", "--all", "--plain", "--no-legend", "vpn-run-*") == ""
	})
}

func TestAsChild(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	err = Run(t.Context(), Command{Args: []string{"/bin/sh", "-c", "echo $X; exit 3"}, Env: []string{"X=x"}, Stdout: w})
	w.Close()
	out, _ := io.ReadAll(r)
	var exit *ExitError
	if !errors.As(err, &exit) || exit.Code != 3 || !bytes.Equal(out, []byte("x\n")) {
		t.Errorf("got %q, %v", out, err)
	}
	if err := Run(t.Context(), Command{Args: []string{"/bin/sh", "-c", "kill -9 $$"}}); !errors.As(err, &exit) || exit.Code != 137 {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := Run(ctx, Command{Args: []string{"/bin/sleep", "1000"}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	r, w, err = os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ended := make(chan error)
	go func() {
		err := Run(ctx, Command{Args: []string{"/bin/sh", "-c", "sleep 1000 & echo begun; sleep 1000; echo not told"}, Stdout: w})
		w.Close()
		ended <- err
	}()
	begun := make([]byte, len("begun\n"))
	_, _ = io.ReadFull(r, begun) // what is wrong is seen below
	cancel()
	out, _ = io.ReadAll(r) // to the end of all that has it open
	if err := <-ended; !errors.Is(err, context.Canceled) || string(begun)+string(out) != "begun\n" {
		t.Errorf("got %q, %v", out, err)
	}
}
