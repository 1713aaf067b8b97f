//go:build linux

package residue

// The program is built by the tests and not part of them. With this import a
// result that was kept counts no more once the program has changed.
import _ "vpn/cmd/internal/cli"
