package aead

// What the assembly works on. Its generator knows these layouts (internal/gen/layout.go).

// A message is what the kernels have to know about one. Its tag stands behind its text.
type message struct {
	text  *byte
	len   int
	nonce uint64      // the last eight bytes of the nonce
	key   *oneTimeKey // where its own goes
	block uint32      // the number of the text's first block: 1, if that isn't done already
	first uint32      // the first four bytes of the nonce: zero but in tests
	// What Poly1305 has behind the text: "The length of the additional data in octets [...]. The length of the ciphertext in octets".
	// RFC 8439, 2.8. There is no additional data but in tests.
	last [2]uint64
	_    uint64
}

// A span is whole blocks that one message's key stream is XORed into.
type span struct {
	text  *byte
	len   int
	nonce uint64
	block uint32
	first uint32
}

// A section is what chacha256 hashes of a message while it makes key stream: whole blocks of ChaCha20, each of which is a quad of four of
// Poly1305. It ends at least 16 bytes before the message does.
type section struct {
	text  *byte // what is to be hashed yet
	quads int
	from  int // the lane that encrypts the first quad; each further one has the next. What is encrypted already has lanes below zero
	key   *oneTimeKey
	hash  *hash // of what comes before text
}

// A oneTimeKey is a message's block 0: r, s, and a half that is not used. RFC 8439, 2.6
type oneTimeKey [blockSize]byte

// A hash is Poly1305's state between two blocks, before it is reduced modulo 2^130-5: the third word is below 5.
type hash [3]uint64

// work512 is what chacha512, abreast512 and keys512 work with. What comes before counters is secret.
type work512 struct {
	_        [2][16][16]uint32 // words of the pass that waits, and its blocks
	states   [2][16]uint32     // the words that all lanes have in common, and as far as the first round is made of them alone
	column   [4][16]uint32     // not of chacha512: what the first round makes of the nonces
	shared   [16]uint32        // nor this: the words of a pass that all lanes have in common
	counters [dealt512 + 16]uint32
	nonces   [dealt512 + 16]uint32 // their low words
	texts    [16 + dealt512 + 16]uintptr
	masks    [16 + dealt512 + 16]uint64 // of bytes
}

// dealt512 is how many lanes are dealt out at a time. Behind them is room for vectors of sixteen; before them stand those of the last pass.
const dealt512 = 128

// powers are of eight messages' r: of each of r, r^2, r^3 and r^4 nine vectors. Behind them is what else lanes512 keeps.
type powers [9*4 + 8*4 + 6][8]uint64
