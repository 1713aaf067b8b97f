package configfile

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const oldText, newText = "the old text\n", "the new text, which is longer\n"

// folder has one file in it.
func folder(t *testing.T) (dir, path string) {
	t.Helper()
	dir = t.TempDir()
	path = filepath.Join(dir, "wg0.conf")
	if err := os.WriteFile(path, []byte(oldText), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, path
}

// holds checks a file's text, and that the folder has so many entries.
func holds(t *testing.T, path, text string, entries int) {
	t.Helper()
	if got, err := os.ReadFile(path); string(got) != text || err != nil {
		t.Errorf("%s has %q, %v", path, got, err)
	}
	list, err := os.ReadDir(filepath.Dir(path))
	if len(list) != entries || err != nil {
		t.Errorf("the folder has %v, %v", list, err)
	}
}

func TestWriteKeepsOwnerAndMode(t *testing.T) {
	_, path := folder(t)
	uid := os.Getuid()
	if uid == 0 {
		uid = 1234
	}
	if err := errors.Join(os.Chown(path, uid, -1), os.Chmod(path, 0o640)); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := Write(path, []byte(newText)); err != nil {
		t.Fatal(err)
	}
	holds(t, path, newText, 1)
	after, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if owner := after.Sys().(*syscall.Stat_t).Uid; after.Mode() != 0o640 || int(owner) != uid {
		t.Errorf("mode %v, owner %d", after.Mode(), owner)
	}
	if os.SameFile(before, after) {
		t.Error("it was written in place")
	}
}

func TestWriteANewFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "wg0.conf")
	if err := Write(path, []byte(newText)); err != nil {
		t.Fatal(err)
	}
	holds(t, path, newText, 1)
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("got %v, %v", info.Mode(), err)
	}
	if err := Write(filepath.Join(path, "x"), nil); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("got %v", err)
	}
	if err := Write(filepath.Dir(path), nil); err == nil {
		t.Error("a folder was written to")
	}
}

// Mounted secrets are links to links.
func TestWriteFollowsLinks(t *testing.T) {
	dir, path := folder(t)
	elsewhere := t.TempDir()
	if err := errors.Join(os.Symlink(dir, filepath.Join(elsewhere, "data")), os.Symlink("data/wg0.conf", filepath.Join(elsewhere, "wg0.conf"))); err != nil {
		t.Fatal(err)
	}
	if err := Write(filepath.Join(elsewhere, "wg0.conf"), []byte(newText)); err != nil {
		t.Fatal(err)
	}
	holds(t, path, newText, 1)
	holds(t, filepath.Join(elsewhere, "wg0.conf"), newText, 2)
	if to, err := os.Readlink(filepath.Join(elsewhere, "wg0.conf")); to != "data/wg0.conf" {
		t.Errorf("the link leads to %s, %v", to, err)
	}
}

// ownMounts lets a test mount what nobody else sees. What is mounted goes with
// the thread, which ends with f.
func ownMounts(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Log("needs root, for mounts of its own: nothing was tested")
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		err := errors.Join(unix.Unshare(unix.CLONE_FS|unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""))
		if err != nil {
			t.Error(err)
			return
		}
		f()
	}()
	<-done
}

func mount(t *testing.T, source, target, kind string, flags uintptr, data string) {
	t.Helper()
	if err := unix.Mount(source, target, kind, flags, data); err != nil {
		t.Errorf("mount %s: %v", target, err)
	}
}

const pageSize, pages = 4096, 8

// fill leaves no page free in a folder of its own, but for those of the last
// file, which is removed.
func fill(t *testing.T, dir string, free int) {
	t.Helper()
	for _, name := range []string{"filler", "more"} {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		size := free * pageSize
		if name == "more" {
			size = pages * pageSize
		}
		if n, err := f.Write(bytes.Repeat([]byte("x"), size)); name == "more" && !errors.Is(err, unix.ENOSPC) {
			t.Errorf("there was room for %d bytes", n)
		}
	}
	if err := os.Remove(filepath.Join(dir, "filler")); err != nil {
		t.Error(err)
	}
}

func TestWriteOnAFullDisk(t *testing.T) {
	large := bytes.Repeat([]byte("n"), 3*pageSize)
	for free := range 4 {
		ownMounts(t, func() {
			dir := t.TempDir()
			mount(t, "tmpfs", dir, "tmpfs", 0, "size=32k")
			path := filepath.Join(dir, "wg0.conf")
			if err := os.WriteFile(path, []byte(oldText), 0o600); err != nil {
				t.Error(err)
			}
			fill(t, dir, free)
			err := Write(path, large)
			if free == 3 {
				if err != nil {
					t.Errorf("with room for it: %v", err)
				}
				holds(t, path, string(large), 2)
				return
			}
			if !errors.Is(err, unix.ENOSPC) {
				t.Errorf("%d pages free: %v", free, err)
			}
			holds(t, path, oldText, 2)
		})
	}
}

func TestWriteToABindMount(t *testing.T) {
	ownMounts(t, func() {
		_, path := folder(t)
		_, source := folder(t)
		mount(t, source, path, "", unix.MS_BIND, "")
		for _, text := range []string{newText, "short", ""} {
			if err := Write(path, []byte(text)); err != nil {
				t.Error(err)
			}
			holds(t, path, text, 1)
			holds(t, source, text, 1)
		}
	})
}

// A file alone may be open to writing in a folder that is not.
func TestWriteInAReadOnlyFolder(t *testing.T) {
	ownMounts(t, func() {
		dir, path := folder(t)
		_, source := folder(t)
		mount(t, dir, dir, "", unix.MS_BIND, "")
		mount(t, source, path, "", unix.MS_BIND, "")
		mount(t, "", dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
		if err := Write(path, []byte(newText)); err != nil {
			t.Error(err)
		}
		holds(t, source, newText, 1)
		if err := Write(filepath.Join(dir, "new.conf"), nil); !errors.Is(err, unix.EROFS) {
			t.Errorf("got %v", err)
		}
	})
}

func TestWriteToABindMountOnAFullDisk(t *testing.T) {
	ownMounts(t, func() {
		_, path := folder(t)
		dir := t.TempDir()
		mount(t, "tmpfs", dir, "tmpfs", 0, "size=32k")
		source := filepath.Join(dir, "source.conf")
		if err := os.WriteFile(source, []byte(oldText), 0o600); err != nil {
			t.Error(err)
		}
		mount(t, source, path, "", unix.MS_BIND, "")
		fill(t, dir, 1)
		if err := Write(path, bytes.Repeat([]byte("n"), 3*pageSize)); !errors.Is(err, unix.ENOSPC) {
			t.Errorf("got %v", err)
		}
		holds(t, path, oldText, 1)
		holds(t, source, oldText, 2)
		text := bytes.Repeat([]byte("n"), pageSize)
		if err := Write(path, text); err != nil {
			t.Errorf("with room for it: %v", err)
		}
		holds(t, source, string(text), 2)
	})
}
