package child

import (
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"vpn/cmd/internal/logs"
)

const (
	// EnvKeeper is the variable with the number of the engine's end of the pair.
	EnvKeeper = "VPN_KEEPER_FD"
	// envLevel is how much the engine logs.
	envLevel = "LOG_LEVEL"
)

// handedOn are further variables that an engine gets: those of Go's runtime, and
// the one by which it knows that stderr is the journal.
var handedOn = []string{"GODEBUG", "GOGC", "GOMAXPROCS", "GOMEMLIMIT", "GOTRACEBACK", "GOCOVERDIR", "JOURNAL_STREAM"}

// process is an engine's process.
type process struct {
	*os.Process
	ended chan struct{}
	err   error // once ended is closed; nil: exit code 0
}

// startProcess starts this program as `vpn device`, with its end of the pair and
// nothing else that is open here. It is in a session of its own, so that the
// terminal's signals reach the keeper alone, and dies with the keeper.
func startProcess(c *Config, end *os.File) (*process, error) {
	p := &process{ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel kills the child with the thread that started it, not with the
		// process: this one waits for the child's end and ends with the goroutine.
		runtime.LockOSThread()
		cmd, err := startUnprivileged(c, end)
		if err == nil {
			p.Process = cmd.Process
		}
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.ended)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	// Session keys are locked in memory, of which nobody may lock little.
	unlimited := &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	if err := unix.Prlimit(p.Pid, unix.RLIMIT_MEMLOCK, unlimited, nil); err != nil {
		c.Log.Debug("the engine can't lock all the memory that it may need", "error", err)
	}
	return p, nil
}

func command(c *Config, end *os.File) *exec.Cmd {
	stderr := c.Stderr
	if stderr == nil {
		stderr = os.Stderr
	}
	format := c.Format
	if format == "" {
		format = logs.Text
	}
	return &exec.Cmd{
		// This very program, also when its file was replaced by another version.
		Path:        "/proc/self/exe",
		Args:        []string{"vpn", "device", c.Name, "--log-format", string(format)},
		Dir:         "/",
		Env:         environment(c.Level),
		ExtraFiles:  []*os.File{end}, // descriptor 3
		Stdout:      stderr,
		Stderr:      stderr,
		SysProcAttr: &syscall.SysProcAttr{Setsid: true, Pdeathsig: unix.SIGKILL},
	}
}

func environment(level string) []string {
	env := []string{EnvKeeper + "=3"}
	if level != "" {
		env = append(env, envLevel+"="+level)
	}
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); slices.Contains(handedOn, name) {
			env = append(env, v)
		}
	}
	return env
}

// kill ends the process; one that has ended already doesn't matter.
func (p *process) kill() { _ = p.Kill() }
