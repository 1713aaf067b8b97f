package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"

	"vpn/cmd/internal/show"
	"vpn/tunnel/uapi"
)

// socketDir is where interfaces are found, for people.
const socketDir = string(uapi.Default)

// dial connects to an interface's control socket.
func dial(name string) (*uapi.Client, error) {
	if !uapi.ValidName(name) {
		return nil, invalidName(name)
	}
	c, err := uapi.Dial(name)
	switch {
	case err == nil:
		return c, nil
	case errors.Is(err, fs.ErrPermission):
		return nil, hint(fmt.Errorf("no permission to talk to %s", name), "run it as root")
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, unreachable(name)
	}
	return nil, err
}

func invalidName(name string) error {
	return hint(fmt.Errorf("%q can't be the name of an interface", name), "it has at most 15 letters, digits, and _ = + . -")
}

// unreachable says why no program listens for an interface.
func unreachable(name string) error {
	socket := fmt.Sprintf("%s/%s.sock", socketDir, name)
	switch linkKind(name) {
	case kernelLink:
		return hint(fmt.Errorf("%s belongs to the kernel's WireGuard, which vpn can't configure: it has no socket %s", name, socket),
			"use \"wg\"; or delete the link, and make it anew with \"vpn device %s\"", name)
	case otherLink:
		return hint(fmt.Errorf("no WireGuard program runs %s: nothing listens on %s", name, socket),
			"\"vpn up %s\" takes over a link that it has made; another must go before \"vpn device NAME\" can make its own", name)
	}
	return hint(fmt.Errorf("there is no interface %s: nothing listens on %s", name, socket),
		"\"vpn up %s\" makes it as its file says, \"vpn device %s\" without one; \"vpn show interfaces\" lists those that are up", name, name)
}

type link uint8

const (
	noLink     link = iota
	kernelLink      // of the kernel's own WireGuard
	otherLink
)

// linkKind says what the host has under an interface's name.
func linkKind(name string) link {
	uevent, err := os.ReadFile("/sys/class/net/" + name + "/uevent")
	if err == nil && strings.Contains("\n"+string(uevent), "\nDEVTYPE=wireguard\n") {
		return kernelLink
	}
	if _, err := net.InterfaceByName(name); err == nil {
		return otherLink
	}
	return noLink
}

// get asks an interface for its state.
func get(name string) (show.Interface, error) {
	c, err := dial(name)
	if err != nil {
		return show.Interface{}, err
	}
	defer c.Close()
	d, err := c.Get()
	if err != nil {
		return show.Interface{}, err
	}
	return show.Interface{Name: name, Device: d}, nil
}

// completeInterfaces lists the interfaces that answer, for a shell. What can't
// be listed is not offered.
func completeInterfaces() []string {
	names, err := uapi.Interfaces()
	if err != nil {
		return nil
	}
	return names
}
