package aead

// What the assembly works on. Its generator knows these layouts (internal/gen/layout.go).

// A span is bytes that one message's key stream is XORed into, from the start of a block on.
type span struct {
	text  *byte
	len   int
	nonce uint64 // the last eight bytes of the nonce
	block uint32 // the number of the first block
	first uint32 // the first four bytes of the nonce
}

// A oneTimeKey is a message's block 0: r, s, and a half that is not used. RFC 8439, 2.6
type oneTimeKey [blockSize]byte

// A hash is Poly1305's state between two blocks, before it is reduced modulo 2^130-5: the third word is below 5.
type hash [3]uint64

// work512 is what chacha512 works with. Its first two fields are secret.
type work512 struct {
	_        [2][16][16]uint32 // words of the pass that waits, and its blocks
	states   [2][16]uint32     // the words that all lanes have in common, and as far as the first round is made of them alone
	counters [dealt512 + 16]uint32
	nonces   [dealt512 + 16]uint32 // their low words
	texts    [16 + dealt512 + 16]uintptr
	masks    [16 + dealt512 + 16]uint64 // of bytes
}

// dealt512 is how many lanes are dealt out at a time. Behind them is room for vectors of sixteen; before them stand those of the last pass.
const dealt512 = 128

// lanes is eight messages that are authenticated side by side, with a 64-bit lane each. A lane that is not wanted repeats another.
type lanes struct {
	text  [8]*byte
	len   [8]uint64
	skip  [8]uint64    // blocks that the message is shorter than 4*quads
	last  [2][8]uint64 // the blocks behind the texts: the low words, the high words
	tag   [2][8]uint64 // likewise
	quads uint64       // blocks of the longest message, by four, rounded up
	full  uint64       // the quad from which on no lane skips a block
}

// powers are of eight messages' r: of each of r, r^2, r^3 and r^4 nine vectors. Behind them is what else lanes512 keeps.
type powers [9*4 + 8*4 + 1][8]uint64
