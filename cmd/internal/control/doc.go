// Package control is the control socket of an interface, /run/vpn/NAME/control.sock: HTTP that only root reaches. [Serve] answers there,
// for `vpn run` and `vpn device` alike, and [Dial] asks; package report says what about.
package control

import (
	"errors"

	"vpn/tun/host"
)

const file = "control.sock"

// Path is where the control socket of an interface lies.
func Path(name string) string { return host.RunPath(name, file) }

// ErrForRoot says that only root reaches the control sockets.
var ErrForRoot = errors.New("only root may ask")
