package outside

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"
	godbus "github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"vpn/cmd/internal/systemd"
)

// Confined reports whether commands have to be run by somebody else: this process
// can gain no privilege, nor can its children, and systemd is there to ask.
func Confined() bool {
	set, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	return err == nil && set == 1 && systemd.Booted()
}

// Run runs a command to its end: by systemd if this process is confined, else as
// a child. If it fails the error is an *ExitError. What it has left in the
// background lives on; but when ctx ends before it does, it gets SIGTERM, with all
// that it has started.
func Run(ctx context.Context, c Command) error {
	if !Confined() {
		return asChild(ctx, c)
	}
	conn, err := dbus.NewWithContext(context.WithoutCancel(ctx))
	if err != nil {
		return fmt.Errorf("connect to systemd: %w", err)
	}
	defer conn.Close()
	return asService(ctx, conn, c)
}

func asService(ctx context.Context, conn *dbus.Conn, c Command) error {
	unit := "vpn-run-" + strings.ToLower(rand.Text()) + ".service"
	if c.Running != nil { // before it is so: nobody could say later which it was
		c.Running(fmt.Sprintf(serviceHandle, unit))
	}
	result := make(chan string, 1)
	if _, err := conn.StartTransientUnitContext(ctx, unit, "fail", c.properties(), result); err != nil {
		return fmt.Errorf("have systemd run %s: %w", c.Args[0], err)
	}
	switch r, err := wait(ctx, conn, result); {
	case err != nil:
		giveUp(context.WithoutCancel(ctx), conn, unit, result)
		return err
	case r != "done":
		return failure(ctx, conn, unit, r)
	}
	return nil
}

// giveUp ends a command that nobody waits for any more, with all that it has started,
// and kills it if it does not obey.
func giveUp(ctx context.Context, conn *dbus.Conn, unit string, result <-chan string) {
	patient, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_ = conn.KillUnitWithTarget(patient, unit, dbus.All, int32(unix.SIGTERM)) // fails if it has ended
	if _, err := wait(patient, conn, result); err != nil {
		endUnit(ctx, conn, unit)
		return
	}
	_ = conn.ResetFailedUnitContext(patient, unit) // systemd forgets what has not failed by itself
}

// wait waits for a job's result.
func wait(ctx context.Context, conn *dbus.Conn, result <-chan string) (string, error) {
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for {
		select {
		case r := <-result:
			return r, nil
		case <-ctx.Done():
			return "", ctx.Err()
		case <-look.C:
			if !conn.Connected() {
				return "", errors.New("the connection to systemd is lost")
			}
		}
	}
}

// failure asks how the command ended. Systemd keeps what failed until it is told
// to forget it.
func failure(ctx context.Context, conn *dbus.Conn, unit, result string) error {
	defer func() { _ = conn.ResetFailedUnitContext(ctx, unit) }() // what could not be forgotten does no harm
	all, err := conn.GetUnitTypePropertiesContext(ctx, unit, "Service")
	if err != nil {
		return fmt.Errorf("ask how %s ended: %w", unit, err)
	}
	status, _ := all["ExecMainStatus"].(int32)
	const exited = 1 // CLD_EXITED of sigaction(2); others: a signal
	switch how, _ := all["ExecMainCode"].(int32); {
	case how == exited:
		return &ExitError{int(status)}
	case how > exited:
		return &ExitError{signalled + int(status)}
	}
	why, _ := all["Result"].(string)
	return fmt.Errorf("systemd did not run it: %s (%s)", result, why)
}

func (c Command) properties() []dbus.Property {
	set := func(name string, value any) dbus.Property {
		return dbus.Property{Name: name, Value: godbus.MakeVariant(value)}
	}
	args := make([]string, len(c.Args))
	for i, a := range c.Args {
		args[i] = strings.ReplaceAll(a, "$", "$$") // systemd would put its own variables there
	}
	all := []dbus.Property{
		dbus.PropDescription(c.Description),
		dbus.PropType("oneshot"),
		dbus.PropExecStart(args, false), // true would take each exit code for success, whatever the library says
		// It runs at shutdown too, which services else are in conflict with.
		set("DefaultDependencies", false),
		set("KillMode", "process"),
	}
	if dir, err := os.Getwd(); err == nil {
		all = append(all, set("WorkingDirectory", "-"+dir)) // the dash: it may be gone
	}
	if len(c.Env) > 0 {
		all = append(all, set("Environment", c.Env))
	}
	for name, f := range map[string]*os.File{"StandardInput": c.Stdin, "StandardOutput": c.Stdout, "StandardError": c.Stderr} {
		if f != nil {
			all = append(all, set(name+"FileDescriptor", godbus.UnixFD(f.Fd())))
		}
	}
	return all
}
