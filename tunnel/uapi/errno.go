package uapi

import (
	"errors"
	"fmt"
	"syscall"
)

// Errno is a system's error number as it stands in a reply, without its sign.
type Errno int

// Error says what the number means on this system.
func (e Errno) Error() string {
	return fmt.Sprintf("%v (errno %d)", syscall.Errno(e), int(e))
}

// Is makes errors.Is(err, syscall.EINVAL) true of an Errno of that number.
func (e Errno) Is(target error) bool {
	n, ok := target.(syscall.Errno)
	return ok && Errno(n) == e
}

// errnoOf is the number that a client is told of an error.
func errnoOf(err error) Errno {
	if err == nil {
		return 0
	}
	var e Errno
	if errors.As(err, &e) && e > 0 {
		return e
	}
	var s syscall.Errno
	if errors.As(err, &s) && s != 0 {
		return Errno(s)
	}
	return EIO
}

// ParseError says what is wrong with a request or a reply. It never holds the
// value, which may be a secret.
type ParseError struct {
	Line   int    // counted from 1, the line after `set=1` or `get=1`
	Key    string // empty when the line has none that can be shown
	Reason string
	Errno  Errno
}

// Error reads `line 3: listen_port: not a number from 0 to 65535`.
func (e *ParseError) Error() string {
	if e.Key == "" {
		return fmt.Sprintf("line %d: %s", e.Line, e.Reason)
	}
	return fmt.Sprintf("line %d: %s: %s", e.Line, e.Key, e.Reason)
}

// Unwrap gives the number for the client.
func (e *ParseError) Unwrap() error { return e.Errno }
