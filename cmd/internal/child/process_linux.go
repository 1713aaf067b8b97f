package child

import (
	"errors"
	"fmt"
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

	// nobody is the user that has no rights on any system.
	nobody = 65534
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

// startUnprivileged starts the engine as the user nobody. Where there is no such
// user, or we are not allowed to be another, it stays root, but without any
// capability. The calling thread is to be used for nothing else after.
func startUnprivileged(c *Config, end *os.File) (*exec.Cmd, error) {
	cmd := command(c, end)
	if os.Geteuid() != 0 {
		return cmd, cmd.Start()
	}
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	err := cmd.Start()
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EINVAL) {
		c.Log.Debug("the engine can't be the user nobody: it is root without capabilities", "error", err)
		cmd = command(c, end)
		if err = dropCapabilities(); err == nil {
			err = cmd.Start()
		}
	}
	return cmd, err
}

// dropCapabilities takes all capabilities from the calling thread, and from the
// processes that it starts: without new privileges, root has none given back
// when it starts a program.
func dropCapabilities() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("give up new privileges: %w", err)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&header, &none[0]); err != nil {
		return fmt.Errorf("give up capabilities: %w", err)
	}
	return nil
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
