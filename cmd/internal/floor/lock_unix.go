//go:build unix

package floor

import (
	"os"
	"syscall"
)

// flock waits for the directory, until whoever has it closes it.
func flock(dir *os.File) error {
	for {
		err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX)
		if err != syscall.EINTR {
			return err
		}
	}
}

// syncDir makes a rename in the directory survive a power cut.
func syncDir(dir *os.File) error { return dir.Sync() }
