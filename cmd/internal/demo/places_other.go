//go:build !linux

package demo

import "errors"

// newNamespaces has nothing to make on this system.
func newNamespaces() (*places, error) {
	return nil, errors.New("network namespaces are Linux's: run it without --netns")
}
