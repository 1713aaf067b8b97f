//go:build linux

package configfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestCreate(t *testing.T) {
	dir, path := folder(t)
	if err := Create(path, []byte(newText)); !errors.Is(err, fs.ErrExist) {
		t.Errorf("of a file that is there: %v", err)
	}
	holds(t, path, oldText, 1)
	other := filepath.Join(dir, "new.conf")
	if err := Create(other, []byte(newText)); err != nil {
		t.Fatal(err)
	}
	holds(t, other, newText, 2)
	if info, err := os.Stat(other); err != nil || info.Mode() != 0o600 {
		t.Errorf("got %v, %v", info.Mode(), err)
	}
	link := filepath.Join(dir, "link.conf")
	if err := os.Symlink("nowhere", link); err != nil {
		t.Fatal(err)
	}
	if err := Create(link, nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("through a link: %v", err)
	}
}

// A file that can't be written whole is not there.
func TestCreateOnAFullDisk(t *testing.T) {
	ownMounts(t, func() {
		dir := t.TempDir()
		mount(t, "tmpfs", dir, "tmpfs", 0, "size=32k")
		path := filepath.Join(dir, "wg0.conf")
		if err := os.WriteFile(path, []byte(oldText), 0o600); err != nil {
			t.Error(err)
		}
		fill(t, dir, 1)
		if err := Create(filepath.Join(dir, "new.conf"), make([]byte, 3*pageSize)); err == nil {
			t.Error("there was room for it")
		}
		holds(t, path, oldText, 2)
	})
}

// Of those who edit a file one does at a time.
func TestLock(t *testing.T) {
	dir, path := folder(t)
	folder, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	unlock, err := Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(int(folder.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != unix.EWOULDBLOCK {
		t.Errorf("two have it: %v", err)
	}
	unlock()
	if err := unix.Flock(int(folder.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Errorf("nobody can have it: %v", err)
	}
}
