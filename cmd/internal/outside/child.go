package outside

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// patience is how long a command that is to end may take before it is killed.
const patience = 10 * time.Second

// asChild runs the command as a child of this process.
func asChild(ctx context.Context, c Command) error {
	args := c.Args
	if c.Running != nil {
		args = append([]string{"/bin/sh", "-c", gate, "sh"}, args...)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = c.Env
	// A nil *os.File in an interface would not be nil.
	if c.Stdin != nil {
		cmd.Stdin = c.Stdin
	}
	if c.Stdout != nil {
		cmd.Stdout = c.Stdout
	}
	if c.Stderr != nil {
		cmd.Stderr = c.Stderr
	}
	cmd.Cancel = func() error { return tellGroup(cmd.Process) }
	cmd.WaitDelay = patience
	ownGroup(cmd)
	err := c.start(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil && err != nil:
		if errors.As(err, &exit) && code(exit.ProcessState) == killed {
			killGroup(cmd.Process)
		}
		return ctx.Err()
	case errors.As(err, &exit):
		return &ExitError{code(exit.ProcessState)}
	}
	return err
}

// gate is a shell that becomes the command once it is told to, over descriptor 3, and
// ends if nobody is left who could.
const gate = `read -r _ <&3 && exec 3<&- && exec "$@"`

// start starts the command. One that somebody is to be told of begins after that: if
// this process is killed before, it never does.
func (c *Command) start(cmd *exec.Cmd) error {
	if c.Running == nil {
		return cmd.Start()
	}
	wait, open, err := os.Pipe()
	if err != nil {
		return err
	}
	defer open.Close()
	cmd.ExtraFiles = []*os.File{wait}
	err = cmd.Start()
	wait.Close()
	if err != nil {
		return err
	}
	c.Running(handleOf(cmd.Process.Pid))
	_, _ = open.WriteString("\n") // who has ended meanwhile says so by its end
	return nil
}

// code is the state's exit code as a shell has it.
func code(s *os.ProcessState) int {
	if status, ok := s.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return signalled + int(status.Signal())
	}
	return s.ExitCode()
}

const (
	signalled = 128 // what a shell adds to a signal's number
	killed    = signalled + int(syscall.SIGKILL)
)
