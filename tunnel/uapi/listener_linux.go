package uapi

import (
	"fmt"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Listener is an interface's socket, with an eye on its file.
type Listener struct {
	*net.UnixListener

	path    string
	id      fileID // of the socket's file
	unlink  bool   // when closed
	deleted chan struct{}
	watch   *os.File // inotify
	ended   chan struct{}
	close   sync.Once
}

// fileID tells a file from another that has its name later.
type fileID struct{ device, inode uint64 }

func identify(path string) (fileID, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return fileID{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return fileID{uint64(st.Dev), st.Ino}, nil //nolint:unconvert // 32 bits on MIPS
}

// ListenerFromFile returns the listener that f is: the socket of that interface
// in the directory d, which another process made and handed down (WG_UAPI_FD).
// f stays the caller's. Close leaves the socket's file, see SetUnlinkOnClose.
func (d Directory) ListenerFromFile(name string, f *os.File) (*Listener, error) {
	l, err := d.listenerFromFile(name, f)
	if err != nil {
		return nil, fmt.Errorf("use the control socket of %s: %w", name, err)
	}
	return l, nil
}

func (d Directory) listenerFromFile(name string, f *os.File) (*Listener, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	l, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	inner, ok := l.(*net.UnixListener)
	if !ok {
		l.Close()
		return nil, fmt.Errorf("it is a %s socket", l.Addr().Network())
	}
	inner.SetUnlinkOnClose(false)
	watched, err := d.watched(inner, name)
	if err != nil {
		inner.Close()
		return nil, err
	}
	return watched, nil
}

// ListenerOf returns the listener that f is, a control socket whose file is
// somebody else's to watch and to delete: nothing is asked of the file system. f
// stays the caller's.
func ListenerOf(f *os.File) (*Listener, error) {
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("use a control socket: %w", err)
	}
	inner, ok := l.(*net.UnixListener)
	if !ok {
		l.Close()
		return nil, fmt.Errorf("use a control socket: it is a %s socket", l.Addr().Network())
	}
	inner.SetUnlinkOnClose(false)
	return &Listener{UnixListener: inner, deleted: make(chan struct{})}, nil
}

// watched wraps a listener whose file is the interface's socket.
func (d Directory) watched(inner *net.UnixListener, name string) (*Listener, error) {
	l := &Listener{
		UnixListener: inner,
		path:         d.socket(name),
		deleted:      make(chan struct{}),
		ended:        make(chan struct{}),
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	l.watch = os.NewFile(uintptr(fd), "inotify")
	// The directory and not the file: the name may get another file.
	const changes = unix.IN_DELETE | unix.IN_MOVE | unix.IN_CREATE | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF
	if _, err = unix.InotifyAddWatch(fd, string(d), changes|unix.IN_ONLYDIR|unix.IN_DONT_FOLLOW); err != nil {
		err = &os.PathError{Op: "watch", Path: string(d), Err: err}
	} else {
		l.id, err = identify(l.path) // after the watch is on, so that nothing is missed
	}
	if err != nil {
		l.watch.Close()
		return nil, err
	}
	go l.wait()
	return l, nil
}

// wait looks after each change in the directory whether the file is still ours.
func (l *Listener) wait() {
	defer close(l.ended)
	events := make([]byte, 4096) // not read: only that something happened counts
	for {
		if id, err := identify(l.path); err != nil || id != l.id {
			close(l.deleted)
			return
		}
		if _, err := l.watch.Read(events); err != nil {
			return // closed
		}
	}
}

// Deleted is closed when the socket's file is deleted or replaced: nobody can
// reach the interface any more, and whoever did it wants it to end. It never is for
// ListenerOf.
func (l *Listener) Deleted() <-chan struct{} { return l.deleted }

// Addr is the socket's path, empty for ListenerOf. The kernel knows it by another,
// which it had before it answered.
func (l *Listener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

// SetUnlinkOnClose says whether Close deletes the socket's file. It is so for
// what Listen made, and not for ListenerFromFile.
func (l *Listener) SetUnlinkOnClose(unlink bool) { l.unlink = unlink }

// Close ends the listener. The socket's file is deleted if it is still ours.
func (l *Listener) Close() error {
	err := net.ErrClosed
	l.close.Do(func() {
		if l.watch == nil {
			err = l.UnixListener.Close()
			return
		}
		l.watch.Close()
		<-l.ended
		if id, e := identify(l.path); l.unlink && e == nil && id == l.id {
			os.Remove(l.path)
		}
		err = l.UnixListener.Close()
	})
	return err
}
