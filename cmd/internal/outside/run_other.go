//go:build !linux

package outside

import (
	"context"
	"os"
	"os/exec"
)

// Confined reports whether commands have to be run by somebody else.
func Confined() bool { return false }

// Run runs a command to its end. If it fails the error is an *ExitError.
func Run(ctx context.Context, c Command) error { return asChild(ctx, c) }

func ownGroup(*exec.Cmd) {}

func tellGroup(p *os.Process) error { return p.Kill() } // other systems may know no other signal

func killGroup(*os.Process) {}

func handleOf(int) string { return "" }

// End kills what an earlier process has run. There is none here.
func End(context.Context, string) error { return nil }
