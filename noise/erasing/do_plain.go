//go:build !goexperiment.runtimesecret || !linux || (!amd64 && !arm64)

package erasing

// Registers tells whether Do erases registers and what libraries allocate, too.
const Registers = false

// stackSize is more than the deepest call chain below Do uses: Diffie-Hellman in the midst of a handshake stays under 4 KiB.
const stackSize = 8192

// Do calls f and erases what it leaves on the stack; see the package comment. It may be called within itself.
//
//go:noinline
func Do(f func()) {
	eraseStack() // a stack that grew while f runs would leave its old copy behind
	f()
	eraseStack()
}

// eraseStack overwrites the dead stack below its caller's frame, where functions that have returned have left their locals.
//
//go:noinline
func eraseStack() {
	var dead [stackSize]byte
	touch(&dead)
}

// touch keeps the compiler from dropping an array that nobody reads.
//
//go:noinline
func touch(b *[stackSize]byte) { clear(b[:]) }
