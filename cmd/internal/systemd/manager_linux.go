package systemd

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"
	godbus "github.com/godbus/dbus/v5"
)

// stopLimit is how long a start that was given up may take to be undone.
const stopLimit = 2 * time.Minute

var errLost = errors.New("the connection to systemd is lost")

// A Manager is a connection to systemd, over the system bus or, for root, where
// there is no bus, directly. Its methods may be called concurrently.
type Manager struct{ conn *dbus.Conn }

// Connect connects to systemd. The connection lasts until Close, also when ctx
// has ended, to undo what was begun.
func Connect(ctx context.Context) (*Manager, error) {
	conn, err := dbus.NewWithContext(context.WithoutCancel(ctx))
	if err != nil {
		return nil, fmt.Errorf("connect to systemd: %w", err)
	}
	return &Manager{conn}, nil
}

// Close ends the connection.
func (m *Manager) Close() { m.conn.Close() }

// State asks for a unit's state. A unit that is not known has one too: Load says
// "not-found".
func (m *Manager) State(ctx context.Context, unit string) (State, error) {
	all, err := m.conn.GetAllPropertiesContext(ctx, unit)
	if err != nil {
		return State{}, fmt.Errorf("state of %s: %w", unit, err)
	}
	text := func(name string) string { s, _ := all[name].(string); return s }
	s := State{Load: text("LoadState"), Active: text("ActiveState"), Sub: text("SubState"), Result: text("Result")}
	if pid, ok := all["MainPID"].(uint32); ok {
		s.MainPID = int(pid)
	}
	if status, ok := all["ExecMainStatus"].(int32); ok {
		s.ExitCode = int(status)
	}
	const exited = 1 // CLD_EXITED of sigaction(2); others: a signal
	if code, ok := all["ExecMainCode"].(int32); ok && code > exited {
		s.ExitCode += 128
	}
	s.lastPID, _ = all["ExecMainPID"].(uint32)
	s.began, _ = all["ExecMainStartTimestamp"].(uint64)
	if id, ok := all["InvocationID"].([]byte); ok {
		s.invoked = hex.EncodeToString(id)
	}
	return s, nil
}

// Start starts a unit and waits until it is ready. What fails to start is a
// *StartError, and is not left to be restarted; what ctx ends is stopped again.
func (m *Manager) Start(ctx context.Context, unit string) error {
	return m.start(ctx, unit, func(result chan<- string) error {
		_, err := m.conn.StartUnitContext(ctx, unit, "replace", result)
		return err
	})
}

// Run makes a unit that lives until it ends or the system does, starts it and
// waits until it is ready, as Start does. One of this name that has failed before is
// forgotten; one that runs is an error.
func (m *Manager) Run(ctx context.Context, unit string, s Service) error {
	_ = m.conn.ResetFailedUnitContext(ctx, unit) // mostly there is none
	return m.start(ctx, unit, func(result chan<- string) error {
		_, err := m.conn.StartTransientUnitContext(ctx, unit, "fail", s.properties(), result)
		return err
	})
}

func (m *Manager) start(ctx context.Context, unit string, begin func(result chan<- string) error) error {
	result := make(chan string, 1)
	if err := begin(result); err != nil {
		return fmt.Errorf("start %s: %w", unit, err)
	}
	r, err := m.wait(ctx, result)
	switch {
	case err != nil:
		return errors.Join(fmt.Errorf("start %s: %w", unit, err), m.giveUp(ctx, unit))
	case r != "done":
		return m.failed(ctx, unit, r)
	}
	return nil
}

// wait waits for a job's result.
func (m *Manager) wait(ctx context.Context, result <-chan string) (string, error) {
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for {
		select {
		case r := <-result:
			return r, nil
		case <-ctx.Done():
			return "", ctx.Err()
		case <-look.C:
			if !m.conn.Connected() {
				return "", errLost
			}
		}
	}
}

// failed gathers what there is to say, and takes the unit back.
func (m *Manager) failed(ctx context.Context, unit, result string) error {
	e := &StartError{Unit: unit, Result: result}
	var err error
	if e.State, err = m.State(ctx, unit); err == nil {
		e.Log = journal(ctx, unit, e.State)
	}
	return errors.Join(e, m.giveUp(ctx, unit))
}

// giveUp stops a unit that systemd would otherwise go on to start, and forgets
// that it failed.
func (m *Manager) giveUp(ctx context.Context, unit string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
	defer cancel()
	if err := m.Stop(ctx, unit); err != nil {
		return err
	}
	_ = m.conn.ResetFailedUnitContext(ctx, unit) // one that is gone has not failed
	return nil
}

// Stop stops a unit and waits until it has stopped. One that doesn't run is no
// error.
func (m *Manager) Stop(ctx context.Context, unit string) error {
	result := make(chan string, 1)
	if _, err := m.conn.StopUnitContext(ctx, unit, "replace", result); err != nil {
		var bus godbus.Error
		if errors.As(err, &bus) && bus.Name == "org.freedesktop.systemd1.NoSuchUnit" {
			return nil
		}
		return fmt.Errorf("stop %s: %w", unit, err)
	}
	r, err := m.wait(ctx, result)
	if err == nil && r != "done" {
		err = errors.New(r)
	}
	if err != nil {
		return fmt.Errorf("stop %s: %w", unit, err)
	}
	return nil
}
