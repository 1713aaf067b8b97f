//go:build !linux

package sleep

import (
	"context"
	"errors"
	"log/slog"
)

// ErrNoBus is returned where there is no system bus.
var ErrNoBus = errors.New("there is no system bus")

// Watch returns ErrNoBus: there is no logind.
func Watch(context.Context, *slog.Logger, func(context.Context) error, func()) error { return ErrNoBus }
