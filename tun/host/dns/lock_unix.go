//go:build unix

package dns

import (
	"os"

	"golang.org/x/sys/unix"
)

// lock holds a folder against other processes, until unlock.
func lock(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for {
		if err = unix.Flock(int(f.Fd()), unix.LOCK_EX); err != unix.EINTR {
			break
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, os.NewSyscallError("flock "+dir, err)
	}
	return func() { _ = f.Close() }, nil
}

// syncDir makes renames and removals in a folder survive a power cut.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return f.Sync()
}
