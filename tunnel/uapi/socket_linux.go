package uapi

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// open opens the directory, and makes sure that nobody else could have put a
// socket into it: it is no link, belongs to root (or to the user that we are,
// if that is another), and only its owner can write to it.
func (d Directory) open() (*os.File, error) {
	path := string(d)
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	if err := checkDirectory(f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func checkDirectory(f *os.File) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return &os.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	if st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to user %d and not to root", f.Name(), st.Uid)
	}
	if st.Mode&0o022 != 0 {
		return fmt.Errorf("%s may be written to by others than its owner (mode %04o)", f.Name(), st.Mode&0o7777)
	}
	return nil
}

// create opens the directory, and makes it first where there is none.
func (d Directory) create() (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(string(d)), 0o755); err != nil {
		return nil, err
	}
	err := os.Mkdir(string(d), 0o755)
	if err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	made := err == nil
	f, err := d.open()
	if err == nil && made {
		if err = f.Chmod(0o755); err != nil { // whatever the umask
			f.Close()
		}
	}
	return f, err
}

// Listen makes the interface's socket, which only its owner may use. It appears
// under its name when it answers and not before, because `wg` deletes a socket
// that refuses it. One that a dead process has left is replaced; if one answers,
// the error says who has it.
func (d Directory) Listen(name string) (*Listener, error) {
	l, err := d.listen(name)
	if err != nil {
		return nil, fmt.Errorf("make the control socket of %s: %w", name, err)
	}
	return l, nil
}

func (d Directory) listen(name string) (*Listener, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	dir, err := d.create()
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	// One at a time: of two that find the same stale socket, the second would
	// replace the first one's new one.
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
		return nil, &os.PathError{Op: "lock", Path: dir.Name(), Err: err}
	}
	hidden := "." + name + "." + strconv.Itoa(os.Getpid())
	if err := unix.Unlinkat(int(dir.Fd()), hidden, 0); err != nil && err != unix.ENOENT {
		return nil, &os.PathError{Op: "remove", Path: d.join(hidden), Err: err}
	}
	inner, err := listenUnix(d.join(hidden))
	if err != nil {
		return nil, err
	}
	err = d.link(dir, hidden, name)
	if e := unix.Unlinkat(int(dir.Fd()), hidden, 0); err == nil && e != nil {
		err = &os.PathError{Op: "remove", Path: d.join(hidden), Err: e}
	}
	var l *Listener
	if err == nil {
		l, err = d.watched(inner, name)
	}
	if err != nil {
		inner.Close()
		return nil, err
	}
	l.unlink = true
	return l, nil
}

func (d Directory) join(file string) string { return filepath.Join(string(d), file) }

// listenUnix binds a socket that has mode 0600 from its first moment: the mode
// of the unbound socket is the one that its file gets.
func listenUnix(path string) (*net.UnixListener, error) {
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		if e := raw.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), 0o600) }); e != nil {
			return e
		}
		return err
	}}
	l, err := config.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, err
	}
	inner := l.(*net.UnixListener)
	inner.SetUnlinkOnClose(false) // it will have another name
	return inner, nil
}

// link gives the listening socket its name, which must be free or stale.
func (d Directory) link(dir *os.File, hidden, name string) error {
	fd, file := int(dir.Fd()), name+suffix
	for {
		err := unix.Linkat(fd, hidden, fd, file, 0)
		if err == nil {
			return nil
		}
		if err != unix.EEXIST {
			return &os.LinkError{Op: "link", Old: d.join(hidden), New: d.join(file), Err: err}
		}
		if err := d.checkStale(fd, name); err != nil {
			return err
		}
		if err := unix.Unlinkat(fd, file, 0); err != nil && err != unix.ENOENT {
			return &os.PathError{Op: "remove", Path: d.join(file), Err: err}
		}
	}
}

// checkStale is nil if nobody answers at the interface's socket.
func (d Directory) checkStale(dir int, name string) error {
	var st unix.Stat_t
	err := unix.Fstatat(dir, name+suffix, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err == unix.ENOENT {
		return nil
	}
	if err != nil {
		return &os.PathError{Op: "stat", Path: d.socket(name), Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return fmt.Errorf("%s is not a socket", d.socket(name))
	}
	c, err := net.Dial("unix", d.socket(name))
	if errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil { // EAGAIN, when its backlog is full, is an answer too
		return fmt.Errorf("%s is in use: %w", d.socket(name), err)
	}
	defer c.Close()
	return fmt.Errorf("%s is in use by %s", d.socket(name), owner(c.(*net.UnixConn)))
}

// owner names the process that made the listener at the other end.
func owner(c *net.UnixConn) string {
	const unknown = "another process"
	raw, err := c.SyscallConn()
	if err != nil {
		return unknown
	}
	var cred *unix.Ucred
	if e := raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); e != nil || err != nil || cred.Pid == 0 {
		return unknown // no number in our namespace
	}
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", cred.Pid))
	if err != nil {
		return fmt.Sprintf("process %d", cred.Pid)
	}
	return fmt.Sprintf("%s (process %d)", strings.TrimSpace(string(comm)), cred.Pid)
}

// connect connects to an interface's socket, which must be where only root
// could have put it.
func (d Directory) connect(name string) (net.Conn, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	dir, err := d.open()
	if err != nil {
		return nil, err
	}
	dir.Close()
	return net.Dial("unix", d.socket(name))
}

// Interfaces returns the names, in order, of the interfaces that answer. There
// are none where there is no directory.
func (d Directory) Interfaces() ([]string, error) {
	dir, err := d.open()
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	files, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, file := range files {
		name, ok := strings.CutSuffix(file, suffix)
		if !ok || !ValidName(name) {
			continue
		}
		if c, err := net.Dial("unix", d.socket(name)); err == nil {
			c.Close()
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}
