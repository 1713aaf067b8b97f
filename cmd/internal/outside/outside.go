// Package outside runs commands that need more than this process may do.
//
// The unit vpn@.service confines the keeper, and what is confined can't start
// what is not: a child gets its parent's sandbox, and `sudo`, `sysctl -w` or
// iptables fail in it. So a confined process asks systemd to run the command, in
// a transient service without any restriction, with its own descriptors as
// standard input and output. Elsewhere the command is simply a child.
package outside

import (
	"fmt"
	"os"
)

// Command is what to run.
type Command struct {
	Description string   // for `systemctl list-units`
	Args        []string // the program by its absolute path, and its arguments
	Env         []string // NAME=value; all of it where it is a child, in addition to systemd's own elsewhere

	// These stay the caller's. Standard input is empty where it is nil; output
	// goes to /dev/null, or the journal.
	Stdin, Stdout, Stderr *os.File

	// Running is told, if it is not nil, by what handle End finds the command, before it
	// does anything.
	Running func(handle string)
}

// ExitError is a command that did not end well.
type ExitError struct {
	Code int // what a shell would say: 128 and its number for a signal
}

func (e *ExitError) Error() string { return fmt.Sprintf("exit code %d", e.Code) }
