//go:build !linux

package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"vpn/tunnel/uapi"
)

// canDetach says whether a daemon can leave the terminal on this system.
const canDetach = false

func (d *daemon) detach(context.Context) error { return errors.ErrUnsupported }

// takeListener makes a listener of a control socket that another process made.
func takeListener(string, *os.File) (*uapi.Listener, error) {
	return nil, fmt.Errorf("%s is for Linux only", envUAPIFD)
}
