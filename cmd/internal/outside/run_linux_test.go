package outside

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
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
	{"given up", []string{"/bin/sh", "-c", "trap 'echo told; exit 1' TERM; echo begun; while :; do sleep 0.1; done"}, "begun\ntold\nerror: context canceled\n"},
}

const envCase = "VPN_TEST_OUTSIDE"

// The test binary is the confined process too.
func TestMain(m *testing.M) {
	n, err := strconv.Atoi(os.Getenv(envCase))
	if err != nil {
		os.Exit(testnet.Main(m))
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM)
	defer stop()
	if !Confined() {
		fmt.Println("not confined")
	}
	err = Run(ctx, Command{Description: "a test", Args: confined[n].args, Env: []string{"X=x y"}, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr})
	var exit *ExitError
	switch {
	case errors.As(err, &exit):
		fmt.Println("code:", exit.Code)
	case err != nil:
		fmt.Println("error:", err)
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
		start := []string{"--quiet", "--unit=confined", "--setenv=" + envCase + "=" + strconv.Itoa(n)}
		for _, p := range []string{
			"NoNewPrivileges=yes", "CapabilityBoundingSet=", "ProtectSystem=strict", "ProtectKernelTunables=yes", "WorkingDirectory=/usr/share", "CollectMode=inactive-or-failed",
			"KillMode=mixed", "StandardInput=file:/run/input", "StandardOutput=append:/run/out", "StandardError=append:/run/out",
		} {
			start = append(start, "-p", p)
		}
		s.MustRun("systemd-run", append(start, "/run/outside")...)
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
}
