package top

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"vpn/cmd/internal/testnet"
)

// envPanic has the test's own program take the terminal, and panic in a goroutine beside.
const envPanic = "VPN_TOP_TEST_PANICS"

func TestMain(m *testing.M) {
	if os.Getenv(envPanic) != "" {
		s := &screen{in: os.Stdin, out: os.Stdout}
		if err := s.enter(); err != nil {
			panic(err)
		}
		go func() {
			defer s.guard()
			panic("as the test asks")
		}()
		select {}
	}
	os.Exit(testnet.Main(m))
}

// terminal is one of tmux's, with a shell in it, on a host.
type terminal struct {
	t      *testing.T
	socket string
}

// newTerminal opens a terminal; env is of the shell.
func newTerminal(t *testing.T, h *testnet.Host, columns, lines int, env ...string) *terminal {
	t.Helper()
	dir, err := os.MkdirTemp("", "toptest") // t.TempDir's path is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	x := &terminal{t, filepath.Join(dir, "tmux")}
	h.Start(nil, "tmux", "-u", "-D", "-f", "/dev/null", "-S", x.socket)
	testnet.Until(t, "tmux listens", func() bool { _, err := os.Stat(x.socket); return err == nil })
	args := []string{"new-session", "-d", "-x", strconv.Itoa(columns), "-y", strconv.Itoa(lines), "env", "-i", "PATH=" + os.Getenv("PATH"),
		"TERM=screen-256color", "PS1=prompt> ", "LC_ALL=C.UTF-8"}
	x.tmux(append(append(args, env...), "bash", "--norc", "--noprofile")...)
	x.await("the shell is there", func(s string) bool { return strings.Contains(s, "prompt>") })
	return x
}

func (x *terminal) tmux(args ...string) string {
	x.t.Helper()
	text, err := exec.Command("tmux", append([]string{"-u", "-S", x.socket}, args...)...).CombinedOutput()
	if err != nil {
		x.t.Fatalf("tmux %q: %v\n%s", args, err, text)
	}
	return strings.TrimRight(string(text), "\n")
}

// keys presses keys, by tmux's names.
func (x *terminal) keys(names ...string) {
	x.t.Helper()
	x.tmux(append([]string{"send-keys"}, names...)...)
}

// run types a command line.
func (x *terminal) run(command string) {
	x.t.Helper()
	x.tmux("send-keys", "-l", command)
	x.keys("Enter")
}

// text is what the screen shows.
func (x *terminal) text() string {
	x.t.Helper()
	return x.tmux("capture-pane", "-p")
}

// await waits until the screen is as it should be, and returns its text.
func (x *terminal) await(what string, holds func(text string) bool) (text string) {
	x.t.Helper()
	defer func() {
		if x.t.Failed() {
			x.t.Logf("the screen:\n%s", text)
		}
	}()
	testnet.Until(x.t, what, func() bool { text = x.text(); return holds(text) })
	return text
}

func (x *terminal) awaitText(want string) string {
	x.t.Helper()
	return x.await("the screen says "+want, func(s string) bool { return strings.Contains(s, want) })
}

// modes are those that a program may have changed.
func (x *terminal) modes() string {
	x.t.Helper()
	return x.tmux("display-message", "-p", "alternate #{alternate_on} cursor #{cursor_flag} wrap #{wrap_flag} keypad #{keypad_flag} mouse #{mouse_any_flag}")
}
