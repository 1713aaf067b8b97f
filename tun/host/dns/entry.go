package dns

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// entry is what lies at a path: a file, a symbolic link, or nothing.
type entry struct {
	Text    []byte      `json:"text,omitempty"`
	Mode    fs.FileMode `json:"mode,omitempty"`
	Target  string      `json:"target,omitempty"` // of a link
	Missing bool        `json:"missing,omitempty"`
}

func readEntry(path string) (entry, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return entry{Missing: true}, nil
	case err != nil:
		return entry{}, err
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(path)
		return entry{Target: target}, err
	case !info.Mode().IsRegular():
		return entry{}, fmt.Errorf("%s is neither a file nor a link", path)
	}
	text, err := os.ReadFile(path)
	return entry{Text: text, Mode: info.Mode().Perm()}, err
}

func (e entry) equal(other entry) bool {
	return bytes.Equal(e.Text, other.Text) && e.Target == other.Target && e.Missing == other.Missing
}

// content returns what a resolver reads where /etc/resolv.conf is this entry.
func (e entry) content() []byte {
	if e.Target == "" {
		return e.Text
	}
	path := e.Target
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(resolvConf), path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil // a link to nowhere has no servers
	}
	return text
}

// temporary has one name for each path, so that what a killed process has left is
// found by the next.
func temporary(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".vpn")
}

// discard removes what a killed process may have left.
func discard(path string) error {
	if err := os.Remove(temporary(path)); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.EROFS) {
		return err
	}
	return nil
}

// write puts the entry in the place of what lies at the path, in one step that
// survives a power cut. Where a file is a mount of its own, as in containers, or
// its folder can't be written to, its text is replaced instead.
func (e entry) write(path string) error {
	if e.Missing {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return syncDir(filepath.Dir(path))
	}
	err := e.replace(path)
	for _, errno := range []error{syscall.EBUSY, syscall.EROFS, syscall.EACCES, syscall.EPERM} {
		if e.Target == "" && errors.Is(err, errno) {
			return e.overwrite(path)
		}
	}
	return err
}

func (e entry) replace(path string) (err error) {
	if err := discard(path); err != nil {
		return err
	}
	temp := temporary(path)
	defer func() {
		if err != nil {
			_ = discard(path)
		}
	}()
	if e.Target != "" {
		err = os.Symlink(e.Target, temp)
	} else {
		err = e.create(temp)
	}
	if err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// create makes a file with the entry's text and mode, whatever the umask.
func (e entry) create(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(e.Text)
	return errors.Join(err, f.Chmod(e.Mode), f.Sync(), f.Close())
}

// overwrite writes before it cuts, so that a reader never finds the file empty.
func (e entry) overwrite(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(e.Text, 0)
	if err == nil {
		err = f.Truncate(int64(len(e.Text)))
	}
	return errors.Join(err, f.Sync(), f.Close())
}
