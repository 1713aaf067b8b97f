//go:build !linux

package cli

// isolate does nothing where there are no namespaces.
func isolate() {}
