package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"vpn/cmd/internal/keeper"
	"vpn/cmd/internal/systemd"
)

// launch starts "vpn run" where it outlives this process, and returns when the
// link is up, or with the reason why it isn't: then nothing is left of it. When
// ctx ends meanwhile it is taken back.
func launch(ctx context.Context, s source, force bool, show keeper.Show) error {
	if systemd.Booted() && os.Geteuid() == 0 {
		m, err := systemd.Connect(ctx)
		if err == nil {
			defer m.Close()
			return launchUnit(ctx, m, s, force, show)
		}
		show(keeper.Message{Warning: fmt.Sprintf("not as a unit of systemd's, but in the background: %v", err)})
	}
	return launchProcess(ctx, s, force, show)
}

// runArgs are the arguments of "vpn run" for a source.
func runArgs(s source, force bool) []string {
	args := []string{"run"}
	if force {
		args = append(args, "--force")
	}
	if s.text != nil {
		return append(args, "--pinned="+s.Name)
	}
	return append(args, s.arg)
}

// launchUnit starts the unit of a name, or else makes one, if nothing speaks against
// it.
func launchUnit(ctx context.Context, m *systemd.Manager, s source, force bool, show keeper.Show) error {
	warnings, err := keeper.Check(ctx, s.File, force)
	for _, w := range warnings {
		show(keeper.Message{Warning: w})
	}
	if err != nil {
		return err
	}
	err = startUnit(ctx, m, s, force)
	var failed *systemd.StartError
	if errors.As(err, &failed) {
		for line := range strings.Lines(failed.Log) {
			show(keeper.Message{Output: strings.TrimSuffix(line, "\n")})
		}
		return keeper.WithCode(err, max(1, failed.State.ExitCode))
	}
	if err != nil {
		return err
	}
	c, err := keeper.Dial(s.Name)
	if err != nil {
		return err
	}
	return c.Log(ctx, func(m keeper.Message) {
		if m.Warning == "" || !slices.Contains(warnings, m.Warning) {
			show(m)
		}
	})
}

func startUnit(ctx context.Context, m *systemd.Manager, s source, force bool) error {
	if unit, plain := systemd.Template(s.Name); plain && !force && s.arg == s.Name {
		state, err := m.State(ctx, unit)
		if err != nil {
			return err
		}
		if state.Load == "loaded" {
			return m.Start(ctx, unit)
		}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return m.Run(ctx, systemd.Transient(s.Name), systemd.Service{
		Description: "WireGuard link " + s.Name,
		Args:        append([]string{self}, runArgs(s, force)...),
		Name:        s.Name,
	})
}

// launchProcess starts a process in a session of its own.
func launchProcess(ctx context.Context, s source, force bool, show keeper.Show) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	status, told, err := os.Pipe()
	if err != nil {
		return err
	}
	defer status.Close()
	child := &exec.Cmd{
		Path:        self,
		Args:        append(append([]string{programName}, runArgs(s, force)...), "--detached"),
		Dir:         "/", // no mount stays busy
		ExtraFiles:  []*os.File{told},
		Env:         append(os.Environ(), envStatusFD+"=3"),
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	err = child.Start()
	told.Close()
	if err != nil {
		return fmt.Errorf("start the keeper: %w", err)
	}
	stopChild := context.AfterFunc(ctx, func() {
		_ = child.Process.Signal(syscall.SIGTERM) // fails if it has ended already, which its status tells
	})
	defer stopChild()
	err = keeper.ReadMessages(status, show)
	switch {
	case err == nil:
		return nil
	case keeper.Ended(err):
		return fmt.Errorf("the keeper ended before it was ready: %v", endOf(child.Wait()))
	}
	_ = child.Wait() // nothing is left when this returns; how it ended has been told
	return err
}

// endOf is how a process ended.
func endOf(err error) string {
	if err == nil {
		return "it was told to"
	}
	return err.Error()
}
