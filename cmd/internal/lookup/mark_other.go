//go:build !linux

package lookup

import "syscall"

// control is nil: there are no marks.
func (r *Resolver) control() func(network, address string, conn syscall.RawConn) error { return nil }
