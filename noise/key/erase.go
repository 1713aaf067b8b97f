package key

// stackSize is more than X25519 uses, which stays under 2 KiB.
const stackSize = 4096

// eraseStack overwrites the dead stack below its caller's frame, where returned functions have left their locals and their
// results. Call it last, from the function that called whatever handled the secret; what that one keeps in its own frame
// it zeroes itself. And call it first: a stack that grew in between would leave its old copy behind.
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
