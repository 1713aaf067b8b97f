package configfile

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Lock keeps others from editing the file at path, until unlock: they wait. It
// holds a lock on the folder, since Write replaces the file.
func Lock(path string) (unlock func(), err error) {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		target = path
	}
	folder, err := os.Open(filepath.Dir(target))
	if err != nil {
		return nil, err
	}
	for {
		if err = unix.Flock(int(folder.Fd()), unix.LOCK_EX); err != unix.EINTR {
			break
		}
	}
	if err != nil {
		folder.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { folder.Close() }, nil
}
