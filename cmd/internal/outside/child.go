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
	cmd := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...)
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
	cmd.Cancel = func() error { return cmd.Process.Signal(terminate) }
	cmd.WaitDelay = patience
	ownGroup(cmd)
	err := cmd.Start()
	if err == nil {
		if c.Running != nil {
			c.Running(handleOf(cmd.Process.Pid))
		}
		err = cmd.Wait()
	}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil && err != nil:
		return ctx.Err()
	case errors.As(err, &exit):
		return &ExitError{code(exit.ProcessState)}
	}
	return err
}

// code is the state's exit code as a shell has it.
func code(s *os.ProcessState) int {
	if status, ok := s.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return signalled + int(status.Signal())
	}
	return s.ExitCode()
}

// signalled is what a shell adds to a signal's number.
const signalled = 128
