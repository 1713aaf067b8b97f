package aead

// stackSize is more than x/crypto's deepest call chain uses: its frames hold the ChaCha20 state, and in it the key. Our own code has
// nothing to erase there.
const stackSize = 4096

// eraseStack overwrites the dead stack below its caller's frame. It is called last, and also first: a stack that grew in between would
// leave its old copy behind.
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
