//go:build unix

package cli

import (
	"os"
	"os/signal"
	"syscall"
)

// notifyKeeper has the signals for a keeper sent to it.
func notifyKeeper(reload, restart chan<- os.Signal) {
	signal.Notify(reload, syscall.SIGHUP)
	signal.Notify(restart, syscall.SIGUSR2)
}

// closeOnExec keeps a descriptor from the programs that this one starts.
func closeOnExec(fd uintptr) { syscall.CloseOnExec(int(fd)) }
