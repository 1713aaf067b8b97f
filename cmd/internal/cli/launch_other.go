//go:build !linux

package cli

import (
	"context"
	"errors"

	"vpn/cmd/internal/keeper"
)

// launch is never reached on this system: a link is refused before.
func launch(context.Context, source, bool, keeper.Show) error { return errors.ErrUnsupported }
