package keeper

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"vpn/cmd/internal/outside"
	"vpn/cmd/internal/systemd"
	"vpn/tun/host"
)

const (
	// outputGrace is how long a hook that has ended is given to have its output
	// read: what it has left in the background may hold the pipe for ever.
	outputGrace = 200 * time.Millisecond
	maxLine     = 64 << 10
)

// hookRunner runs the hooks of one link.
type hookRunner struct {
	link, file string
}

// run runs a hook as wg-quick would, shows its output, and returns when it has
// ended. A hook that fails gives its exit code to the error.
func (r hookRunner) run(ctx context.Context, h host.Hook, show Show) error {
	bash, err := exec.LookPath("bash")
	if err != nil {
		return hint(r.failed(h, errors.New("there is no bash, which runs hooks")), "install bash, or do without hooks")
	}
	handle := host.RunPath(r.link, hookFile)
	defer os.Remove(handle)
	err = runOutside(ctx, outside.Command{
		// Where it can't be written down a hook may outlive a keeper that is killed.
		Running:     func(h string) { _ = host.Replace(handle, []byte(h)) },
		Description: fmt.Sprintf("%s hook of %s", h.Kind, r.link),
		Args:        []string{bash, "-O", "extglob", "-e", "-o", "pipefail", "-c", h.Command},
		Env:         append(r.env(), EnvHook+"="+string(h.Kind)),
	}, show)
	var exit *outside.ExitError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return r.failed(h, ctx.Err())
	case errors.As(err, &exit):
		return WithCode(r.failed(h, fmt.Errorf("failed with exit code %d", exit.Code)), exit.Code)
	}
	return r.failed(h, err)
}

// endHook ends the hook that a keeper which was killed has left running. What hooks
// that have ended left in the background lives on.
func endHook(ctx context.Context, link string) error {
	path := host.RunPath(link, hookFile)
	handle, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	defer os.Remove(path)
	if len(handle) == 0 {
		return nil
	}
	return outside.End(ctx, string(handle))
}

// runOutside runs a command outside of this process's sandbox, and shows its
// output.
func runOutside(ctx context.Context, c outside.Command, show Show) error {
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		defer read.Close()
		showLines(read, func(line string) { show(Message{Output: line}) })
	}()
	c.Stdout, c.Stderr = write, write
	err = outside.Run(ctx, c)
	write.Close()
	grace := time.NewTimer(outputGrace)
	defer grace.Stop()
	select {
	case <-shown:
	case <-grace.C:
	}
	return err
}

// resolvconf runs that program outside of this process's sandbox.
func resolvconf(ctx context.Context, input string, args ...string) (string, error) {
	program, err := exec.LookPath("resolvconf")
	if err != nil {
		return "", err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return "", err
	}
	go func() {
		_, _ = io.WriteString(write, input) // what isn't read it does not want
		write.Close()
	}()
	var said strings.Builder
	err = runOutside(ctx, outside.Command{
		Description: "resolvconf", Args: append([]string{program}, args...), Env: os.Environ(), Stdin: read,
	}, func(m Message) { said.WriteString(m.Output + "\n") })
	read.Close()
	if err != nil {
		return "", fmt.Errorf("resolvconf %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(said.String()))
	}
	return said.String(), nil
}

// failed says which hook it was.
func (r hookRunner) failed(h host.Hook, err error) error {
	where := r.file
	if h.Line != 0 {
		where = fmt.Sprintf("%s:%d", r.file, h.Line)
	}
	return fmt.Errorf("%s: %s %q: %w", where, h.Kind, h.Command, err)
}

// env is the environment of hooks: ours, without what is meant for us alone, and
// with the variables that wg-quick's hooks see.
func (r hookRunner) env() []string {
	var env []string
	for _, e := range systemd.Environ(os.Environ()) {
		if !strings.HasPrefix(e, "VPN_") {
			env = append(env, e)
		}
	}
	return append(env, "INTERFACE="+r.link, "CONFIG_FILE="+r.file, "LC_ALL=C")
}

// showLines shows what comes from r a line at a time, until its end.
func showLines(r io.Reader, show func(string)) {
	lines := bufio.NewReaderSize(r, maxLine)
	for {
		line, _, err := lines.ReadLine() // one that is too long comes in pieces
		if err != nil {
			return
		}
		show(string(line))
	}
}
