//go:build !linux && !darwin && !freebsd && !openbsd

package tun

import (
	"errors"
	"os"
)

// FromFile fails: this system has no descriptors that can be handed over.
func FromFile(*os.File, int, ...*os.File) (Device, error) {
	return nil, errors.New("tun: a device cannot be handed over as a file on this system")
}
