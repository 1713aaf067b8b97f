package host

import (
	"context"
	"errors"
)

// Options are what a plan is made with beside the config and the state.
type Options struct {
	Link string // its name
	File string // the config's, as the user calls it; for errors
	// Mark is what the tunnel's messages carry already: an automatic mark
	// survives a reload. 0: none yet.
	Mark  uint32
	Force bool // cut SSH sessions if need be
}

// Owner does the steps that belong to whoever holds the link.
type Owner interface {
	// OpenLink makes the link, persistent, and serves its control socket. It
	// returns the link's index.
	OpenLink(ctx context.Context, name string) (index int, err error)
	// Configure gives it keys, peers, port and mark. It is called on a goroutine of its
	// own, and nothing else is before it returns, which it does soon when ctx ends.
	Configure(ctx context.Context) error
	// SetMark sets the mark of its messages; 0: none.
	SetMark(ctx context.Context, mark uint32) error
	// Hook runs a command of the user's.
	Hook(ctx context.Context, h Hook) error
}

// ErrTaken says that another tunnel has taken the mark that the plan chose since
// the state was read: nothing was done, and a plan made anew will choose another.
var ErrTaken = errors.New("the mark was taken by another tunnel meanwhile")
