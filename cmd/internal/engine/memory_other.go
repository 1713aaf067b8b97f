//go:build !linux

package engine

import (
	"log/slog"

	"vpn/noise/aead"
)

// NewArena makes an arena for session keys, on the heap.
func NewArena(*slog.Logger) *aead.Arena { return aead.NewArena(nil) }

// Harden does nothing on this system.
func Harden() error { return nil }
