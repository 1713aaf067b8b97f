//go:build !linux

package control

import (
	"errors"
	"net"
)

// Listen fails on this system.
func Listen(string) (*net.UnixListener, error) {
	return nil, errors.New("control sockets are there on Linux only")
}

// Remove does nothing on this system.
func Remove(string) {}

// callerOf knows nothing on this system.
func callerOf(net.Conn) int { return -1 }
