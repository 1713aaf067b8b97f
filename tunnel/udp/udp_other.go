//go:build !linux

package udp

import (
	"errors"
	"syscall"
)

// System opens the sockets of the machine.
func System() Opener { return portableOpener{} }

// Loopback opens sockets that nobody outside of this machine reaches.
func Loopback() Opener { return portableOpener{loopback: true} }

// Spread is System: there is no sharing of a port that keeps senders apart.
func Spread(int) Opener { return System() }

// reader is not needed here.
type reader struct{}

func (*reader) init(*Batch) {}

// familyMissing reports whether an error of listen means that the host does
// without an address family.
func familyMissing(err error) bool {
	return errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL)
}
