//go:build !linux

package host

import (
	"context"
	"errors"
	"net/netip"
)

var errOther = errors.New("only Linux hosts can be set up: elsewhere, use `vpn device`")

// Read fails: see the package's Linux part.
func Read(context.Context, Query) (*State, error) { return nil, errOther }

// Look fails: see the package's Linux part.
func Look(*Journal) (*State, error) { return nil, errOther }

// SSHPeers finds none: see the package's Linux part.
func SSHPeers(bool) []netip.Addr { return nil }

// Watch fails: see the package's Linux part.
func Watch(context.Context, string) (<-chan Change, error) { return nil, errOther }

// Shown is the action.
func Shown(a Action) Action { return a }

// executor does nothing.
type executor struct {
	journal *Journal
	show    func(Action)
}

func newExecutor(*Journal, Owner, func(Action)) (*executor, error) { return nil, errOther }

func (*executor) close() {}

func (*executor) do(context.Context, Action) error { return errOther }

func (*executor) settle() error { return nil }
