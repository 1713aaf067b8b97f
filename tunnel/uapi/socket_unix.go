//go:build !linux && !windows

package uapi

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"golang.zx2c4.com/wireguard/ipc"
)

// Listener is an interface's socket. Accept fails when its file is deleted.
type Listener struct{ net.Listener }

// Deleted is never closed on this system, where Accept fails instead.
func (l *Listener) Deleted() <-chan struct{} { return nil }

// Listen makes the interface's socket, which only its owner may use. Only the
// default directory can be listened in on this system.
func (d Directory) Listen(name string) (*Listener, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if d != Default {
		return nil, fmt.Errorf("sockets are made in %s and not in %s on this system", Default, d)
	}
	f, err := ipc.UAPIOpen(name)
	if err != nil {
		return nil, fmt.Errorf("make the control socket of %s: %w", name, err)
	}
	defer f.Close()
	return d.ListenerFromFile(name, f)
}

// ListenerFromFile returns the listener that f is: the socket of that interface
// in the default directory, which another process made and handed down.
func (d Directory) ListenerFromFile(name string, f *os.File) (*Listener, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	l, err := ipc.UAPIListen(name, f)
	if err != nil {
		return nil, fmt.Errorf("use the control socket of %s: %w", name, err)
	}
	return &Listener{l}, nil
}

func (d Directory) connect(name string) (net.Conn, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	return net.Dial("unix", d.socket(name))
}

// Interfaces returns the names, in order, of the interfaces that answer.
func (d Directory) Interfaces() ([]string, error) {
	entries, err := os.ReadDir(string(d))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), suffix)
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
