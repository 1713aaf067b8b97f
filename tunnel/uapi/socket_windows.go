package uapi

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"golang.zx2c4.com/wireguard/ipc"
	"golang.zx2c4.com/wireguard/ipc/namedpipe"
)

// pipes is where named pipes are, and folder where those of interfaces are among
// them: only administrators can make any there.
const (
	pipes  = `\\.\pipe\`
	folder = `ProtectedPrefix\Administrators\WireGuard\`
)

// Listener is an interface's named pipe.
type Listener struct{ net.Listener }

// Deleted is never closed on this system, where a pipe has no file.
func (l *Listener) Deleted() <-chan struct{} { return nil }

// Listen makes the interface's named pipe. There is only one place for them.
func (d Directory) Listen(name string) (*Listener, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	l, err := ipc.UAPIListen(name)
	if err != nil {
		return nil, fmt.Errorf("make the control pipe of %s: %w", name, err)
	}
	return &Listener{l}, nil
}

// ListenerFromFile fails: a listening pipe can't be handed down on this system.
func (d Directory) ListenerFromFile(name string, _ *os.File) (*Listener, error) {
	return nil, fmt.Errorf("use the control pipe of %s: %w", name, errors.ErrUnsupported)
}

func (d Directory) connect(name string) (net.Conn, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	return namedpipe.DialTimeout(pipes+folder+name, time.Second)
}

// Interfaces returns the names, in order, of the interfaces that have a pipe.
func (d Directory) Interfaces() ([]string, error) {
	entries, err := os.ReadDir(pipes)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutPrefix(e.Name(), folder); ok && ValidName(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}
