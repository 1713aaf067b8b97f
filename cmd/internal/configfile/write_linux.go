package configfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"
)

// Write gives the file at path a new text, which stays the caller's to erase.
// The old one is there, whole, until the new one is on disk, whole: also when
// the disk is full or the power fails. Owner and mode stay as they are; a new
// file is root's own. Links are followed, and lead to the same file after.
//
// A file that is a mount point of its own, as containers have them, can't be
// replaced: it is written in place, once there is room for it, and gets its
// old text back if that fails.
func Write(path string, text []byte) error {
	target, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		target, err = path, nil
	}
	if err == nil {
		err = write(target, text)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func write(path string, text []byte) error {
	old, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		old = nil
	case err != nil:
		return err
	case !old.Mode().IsRegular():
		return errors.New("it is not a file")
	}
	folder := filepath.Dir(path)
	// The temporary has to lie beside the file: nobody else reads there, and it
	// can be renamed.
	f, err := renameio.NewPendingFile(path, renameio.WithTempDir(folder), renameio.WithStaticPermissions(0o600))
	if err != nil {
		if old != nil && closed(err) {
			return inPlace(path, text)
		}
		return err
	}
	defer func() { _ = f.Cleanup() }() // of what was not done there is an error already
	if _, err := f.Write(text); err != nil {
		return err
	}
	if old != nil {
		if err := likeBefore(f.File, old); err != nil {
			return err
		}
	}
	switch err := f.CloseAtomicallyReplace(); {
	case errors.Is(err, unix.EBUSY):
		return inPlace(path, text) // the temporary holds the new text meanwhile
	case err != nil:
		return err
	}
	return syncFolder(folder)
}

// closed says whether nothing can be made in a folder, by its nature and not for
// want of room.
func closed(err error) bool {
	return errors.Is(err, unix.EROFS) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM)
}

// likeBefore gives f the owner and mode of the file that it replaces.
func likeBefore(f *os.File, old fs.FileInfo) error {
	owner := old.Sys().(*syscall.Stat_t)
	if err := f.Chown(int(owner.Uid), int(owner.Gid)); err != nil {
		return err
	}
	return f.Chmod(old.Mode().Perm())
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// inPlace writes over a file.
func inPlace(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	old, err := io.ReadAll(f)
	defer clear(old)
	if err != nil {
		return err
	}
	// With room for all of it, no write fails for want of room.
	err = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, int64(max(1, len(text))))
	if err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
		return err
	}
	if err := overwrite(f, text); err != nil {
		return errors.Join(err, overwrite(f, old))
	}
	return nil
}

func overwrite(f *os.File, text []byte) error {
	if _, err := f.WriteAt(text, 0); err != nil {
		return err
	}
	if err := f.Truncate(int64(len(text))); err != nil {
		return err
	}
	return f.Sync()
}
