package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"vpn/cmd/internal/logs"
	"vpn/tun"
	"vpn/tunnel/uapi"
)

// canDetach says whether a daemon can leave the terminal on this system.
const canDetach = true

// detach starts this program anew, in a session of its own and with the
// descriptors that are open, and returns when the new process answers. If it
// doesn't, or ctx ends before, nothing is left of link and socket.
func (d *daemon) detach(ctx context.Context) error {
	defer d.device.Close()
	defer d.listener.Close()
	child, status, err := d.startChild()
	if err != nil {
		return fmt.Errorf("start the daemon: %w", err)
	}
	defer status.Close()
	stopChild := context.AfterFunc(ctx, func() {
		_ = child.Process.Signal(syscall.SIGTERM) // fails if it has ended already, which its status tells
	})
	text, err := io.ReadAll(status)
	stopChild()
	switch {
	case err != nil:
		return fmt.Errorf("wait for the daemon: %w", err)
	case string(text) == statusReady:
	case len(text) > 0:
		os.Stderr.Write(text)
		return errTold
	default:
		return fmt.Errorf("the daemon ended before it was ready: %w", child.Wait())
	}

	// The socket is the daemon's from now on, and only the daemon can answer.
	d.listener.SetUnlinkOnClose(false)
	d.listener.Close()
	i, err := get(d.name)
	if err != nil {
		return fmt.Errorf("the daemon doesn't answer: %w", err)
	}
	i.Erase()
	return nil
}

// startChild starts the daemon. Its status comes from the pipe, which it closes
// when it has told it.
func (d *daemon) startChild() (child *exec.Cmd, status *os.File, err error) {
	native, ok := d.device.(tun.Native)
	if !ok {
		return nil, nil, errors.New("the link's descriptors can't be handed on")
	}
	files := native.Files()
	socket, err := d.listener.File()
	if err != nil {
		return nil, nil, err
	}
	defer socket.Close()
	status, told, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer told.Close()
	self, err := os.Executable()
	if err != nil {
		status.Close()
		return nil, nil, err
	}
	child = &exec.Cmd{
		Path:        self,
		Args:        os.Args,
		Dir:         "/", // no mount stays busy
		ExtraFiles:  append(slices.Clone(files), socket, told),
		Env:         childEnv(os.Environ(), len(files)),
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	if level := os.Getenv(envLogLevel); level != "" && logs.Level(level) != logs.Silent {
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
	}
	if err := child.Start(); err != nil {
		status.Close()
		return nil, nil, err
	}
	return child, status, nil
}

// childEnv tells the daemon which of its descriptors is what. So many are the link's.
func childEnv(env []string, link int) []string {
	next := 3 // of exec.Cmd's ExtraFiles
	var numbers []string
	for range link {
		numbers = append(numbers, strconv.Itoa(next))
		next++
	}
	ours := []string{
		fmt.Sprintf("%s=%s", envTunFD, strings.Join(numbers, ",")),
		fmt.Sprintf("%s=%d", envUAPIFD, next),
		fmt.Sprintf("%s=%d", envStatusFD, next+1),
		envForeground + "=1",
	}
	for _, e := range env {
		switch name, _, _ := strings.Cut(e, "="); name {
		case envTunFD, envUAPIFD, envStatusFD, envForeground:
		default:
			ours = append(ours, e)
		}
	}
	return ours
}

// takeListener makes a listener of a control socket that another process made.
// Listening once more makes this process the one that the kernel tells others
// of; its file is ours to delete.
func takeListener(name string, f *os.File) (*uapi.Listener, error) {
	defer f.Close()
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	if e := raw.Control(func(fd uintptr) { err = unix.Listen(int(fd), unix.SOMAXCONN) }); e != nil || err != nil {
		return nil, fmt.Errorf("%s is no socket that listens: %w", envUAPIFD, errors.Join(e, err))
	}
	l, err := uapi.Default.ListenerFromFile(name, f)
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(true)
	return l, nil
}
