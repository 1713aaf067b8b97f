//go:build !unix

package cli

import "os"

// notifyKeeper does nothing on this system, which has no such signals.
func notifyKeeper(chan<- os.Signal, chan<- os.Signal) {}

// closeOnExec does nothing on this system, where no descriptor is inherited
// unasked.
func closeOnExec(uintptr) {}
