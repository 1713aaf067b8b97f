//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"

	"vpn/cmd/internal/testnet"
)

// trial is the testnet.TB of one measurement: what fails ends the measurement,
// and what was made for it is removed.
type trial struct {
	cleanups []func()
	errs     []error
}

// ended is what Fatalf panics with.
type ended struct{}

// attempt runs f and then its cleanups, and returns what went wrong.
func attempt(f func(tb testnet.TB)) error {
	t := &trial{}
	t.guard(func() { f(t) })
	for len(t.cleanups) > 0 {
		last := len(t.cleanups) - 1
		cleanup := t.cleanups[last]
		t.cleanups = t.cleanups[:last]
		t.guard(cleanup)
	}
	return errors.Join(t.errs...)
}

func (t *trial) guard(f func()) {
	defer func() {
		if p := recover(); p != nil && p != any(ended{}) {
			panic(p)
		}
	}()
	f()
}

func (t *trial) Helper()                   {}
func (t *trial) Cleanup(f func())          { t.cleanups = append(t.cleanups, f) }
func (t *trial) Failed() bool              { return len(t.errs) > 0 }
func (t *trial) Skip(args ...any)          { t.Fatalf("%s", fmt.Sprint(args...)) }
func (t *trial) Logf(f string, a ...any)   { fmt.Fprintf(os.Stderr, f+"\n", a...) }
func (t *trial) Errorf(f string, a ...any) { t.errs = append(t.errs, fmt.Errorf(f, a...)) }
func (t *trial) Fatalf(f string, a ...any) {
	t.Errorf(f, a...)
	panic(ended{})
}
