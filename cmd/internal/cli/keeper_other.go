//go:build !linux

package cli

import (
	"errors"
	"fmt"
	"os"
)

// envKeeperFD is the number of the socket to the keeper whose engine we are.
const envKeeperFD = "VPN_KEEPER_FD"

// serve fails: keepers are for Linux.
func (d *daemon) serve(_ *os.File, err error) error {
	return errors.Join(err, fmt.Errorf("%s: %w", envKeeperFD, errors.ErrUnsupported))
}
