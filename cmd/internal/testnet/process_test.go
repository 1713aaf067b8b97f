//go:build linux

package testnet

import (
	"fmt"
	"strings"
	"testing"
)

// A record is a test within a test: it keeps what it is told, and is over when end is called.
type record struct {
	*testing.T
	text     strings.Builder
	cleanups []func()
}

func (r *record) Cleanup(f func())                  { r.cleanups = append(r.cleanups, f) }
func (r *record) Errorf(format string, args ...any) { fmt.Fprintf(&r.text, format+"\n", args...) }
func (r *record) Failed() bool                      { return r.text.Len() > 0 }

func (r *record) end() {
	for i := len(r.cleanups) - 1; i >= 0; i-- {
		r.cleanups[i]()
	}
}

// TestRaceOfChild holds that a test fails if a program that it started has a data race, which the program itself survives.
func TestRaceOfChild(t *testing.T) {
	for report, fails := range map[string]bool{raceReport: true, "all is well": false} {
		r := &record{T: t}
		NewHost(r, "a").MustRun("echo", report)
		r.end()
		if got := r.text.String(); strings.Contains(got, "echo has a data race") != fails || r.Failed() != fails {
			t.Errorf("a program that prints %q: the test says %q", report, got)
		}
	}
}
