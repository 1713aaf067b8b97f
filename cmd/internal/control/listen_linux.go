package control

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// Listen makes the control socket of an interface. Whoever calls it owns the interface, so what lies in its place is dead. The file is
// the caller's to delete, with Remove.
func Listen(name string) (*net.UnixListener, error) {
	path := Path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the control socket of %s: %w", name, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("make the control socket of %s: %w", name, err)
	}
	l.SetUnlinkOnClose(false) // a restart in place keeps it
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// Remove deletes the socket's file, and the interface's folder if nothing else is in it.
func Remove(name string) {
	path := Path(name)
	_ = os.Remove(path)
	_ = os.Remove(filepath.Dir(path))
}

// RemoveDead deletes the socket's file where nobody answers.
func RemoveDead(name string) {
	c, err := net.Dial("unix", Path(name))
	if err == nil {
		c.Close()
		return
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		_ = os.Remove(Path(name))
	}
}

// callerOf is the user at the other end, -1 if that isn't known.
func callerOf(conn net.Conn) int {
	u, ok := conn.(*net.UnixConn)
	if !ok {
		return -1
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return -1
	}
	uid := -1
	_ = raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			uid = int(cred.Uid)
		}
	})
	return uid
}
