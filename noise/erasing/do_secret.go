//go:build goexperiment.runtimesecret && linux && (amd64 || arm64)

package erasing

import "runtime/secret"

// Registers tells whether Do erases registers and what libraries allocate, too.
const Registers = true

// Do calls f and erases what it leaves on the stack and elsewhere; see the package comment. It may be called within itself.
// While f runs, its goroutine gives its processor up only where it calls functions, so f is to be short. It costs a tenth
// of a microsecond, and with a stack that has grown large a few microseconds: once for a batch, not once for a packet.
func Do(f func()) { secret.Do(f) }
