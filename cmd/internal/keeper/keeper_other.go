//go:build !linux

package keeper

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"vpn/cmd/internal/configfile"
	"vpn/cmd/internal/logs"
	"vpn/tunnel/uapi"
)

var errOther = hint(errors.New("a link's addresses, routes and DNS are this program's work on Linux only"), "\"vpn device\" runs a bare interface here")

// Config is what a keeper is started with.
type Config struct {
	File            configfile.File
	Force           bool
	Log             *slog.Logger
	Format          logs.Format
	Level           string
	Stderr          *os.File
	Show            Show
	Ready           func()
	Impatient       context.Context
	Reload, Restart <-chan os.Signal
	Handed          *Handed
}

// Handed is what one program leaves to the next in the same process.
type Handed struct{}

// HeldError says who holds a link's lock.
type HeldError struct {
	Link string
	PID  int
	Who  string
}

func (e *HeldError) Error() string { return e.Link + " is held" }

// ErrNotUp says that there is nothing of a link to take down.
var ErrNotUp = errors.New("is not up")

// Run fails on this system.
func Run(context.Context, Config) error { return errOther }

// Inherit returns nothing on this system.
func Inherit() (*Handed, error) { return nil, nil }

// Held returns nil on this system.
func Held(string) *HeldError { return nil }

// Refuse says why a link can't be brought up now; nil if it can.
func Refuse(string) error { return errOther }

// Pin fails on this system.
func Pin(string, []byte) error { return errOther }

// Check fails on this system.
func Check(context.Context, configfile.File, bool) ([]string, error) { return nil, errOther }

// Had fails on this system.
func Had(string) (*uapi.Device, error) { return nil, errOther }

// Preview fails on this system.
func Preview(context.Context, configfile.File, []byte, bool, Show) error { return errOther }

// KillSwitch fails on this system.
func KillSwitch(context.Context, configfile.File, Show) error { return errOther }

// Clean fails on this system.
func Clean(context.Context, string, Show) error { return errOther }

// Links returns nothing on this system.
func Links() ([]string, error) { return nil, errOther }

// AwaitEnd fails on this system.
func AwaitEnd(context.Context, string, int) error { return errOther }
