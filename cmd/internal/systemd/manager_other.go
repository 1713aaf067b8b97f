//go:build !linux

package systemd

import (
	"context"
	"errors"
)

var errNotHere = errors.New("there is no systemd on this system")

// A Manager can't be had: there is no systemd.
type Manager struct{}

// Connect fails.
func Connect(context.Context) (*Manager, error) { return nil, errNotHere }

// Close does nothing.
func (*Manager) Close() {}

// State fails.
func (*Manager) State(context.Context, string) (State, error) { return State{}, errNotHere }

// Start fails.
func (*Manager) Start(context.Context, string) error { return errNotHere }

// Run fails.
func (*Manager) Run(context.Context, string, Service) error { return errNotHere }

// Stop fails.
func (*Manager) Stop(context.Context, string) error { return errNotHere }
