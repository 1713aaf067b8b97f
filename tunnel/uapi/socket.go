package uapi

import (
	"fmt"
	"path/filepath"
)

// Directory is where the sockets of interfaces are: NAME.sock for each.
type Directory string

// Default is where `wg` looks for interfaces that the kernel doesn't have.
const Default Directory = "/var/run/wireguard"

const suffix = ".sock"

// socket is the path of an interface's socket.
func (d Directory) socket(name string) string {
	return filepath.Join(string(d), name+suffix)
}

// ValidName says whether an interface can have this name: the one of
// wg-quick's rule `[a-zA-Z0-9_=+.-]{1,15}`, but for the two that are no names
// on any system.
func ValidName(name string) bool {
	if len(name) == 0 || len(name) > 15 || name == "." || name == ".." {
		return false
	}
	for _, c := range []byte(name) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '_', c == '=', c == '+', c == '.', c == '-':
		default:
			return false
		}
	}
	return true
}

func checkName(name string) error {
	if !ValidName(name) {
		return fmt.Errorf("%q is not an interface name (1 to 15 of a-z, A-Z, 0-9, _=+.-)", name)
	}
	return nil
}

// Listen makes the socket of an interface in the default directory.
func Listen(name string) (*Listener, error) { return Default.Listen(name) }

// Interfaces returns the names, in order, of the interfaces in the default
// directory that answer.
func Interfaces() ([]string, error) { return Default.Interfaces() }
