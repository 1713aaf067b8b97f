package uapi

// The numbers that this package itself replies with. Windows has other numbers
// for these; `wg` there expects the ones of Linux.
const (
	EIO        Errno = 5
	E2BIG      Errno = 7
	EINVAL     Errno = 22
	EPROTO     Errno = 71
	EADDRINUSE Errno = 98
)
