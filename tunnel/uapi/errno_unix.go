//go:build !windows

package uapi

import "syscall"

// The numbers that this package itself replies with.
const (
	EIO        = Errno(syscall.EIO)
	E2BIG      = Errno(syscall.E2BIG)
	EINVAL     = Errno(syscall.EINVAL)
	EPROTO     = Errno(syscall.EPROTO)
	EADDRINUSE = Errno(syscall.EADDRINUSE)
)
