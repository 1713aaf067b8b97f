package noise

import (
	"golang.org/x/crypto/blake2s"
	"golang.org/x/crypto/chacha20poly1305"
)

const (
	// protocolName is the construction, prologue the identifier of section 5.4.
	protocolName = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"
	prologue     = "WireGuard v1 zx2c4 Jason@zx2c4.com"

	// tagSize is what sealing adds.
	tagSize = chacha20poly1305.Overhead
)

// symmetric is the SymmetricState of the Noise specification (section 5.2), with the key of its CipherState. In this
// pattern each key seals one text, so that the nonce is always zero.
type symmetric struct {
	chainingKey, hash, key [blake2s.Size]byte
}

// initialize is InitializeSymmetric and MixHash(prologue).
func (s *symmetric) initialize(prologue string) {
	// "If protocol_name is less than or equal to HASHLEN bytes in length, sets h equal to protocol_name with zero bytes
	// appended [...]. Otherwise sets h = HASH(protocol_name)."
	const _ = uint(len(protocolName) - blake2s.Size - 1)
	s.hash = blake2s.Sum256([]byte(protocolName))
	s.chainingKey = s.hash
	s.mixHash([]byte(prologue))
}

// mixHash is MixHash.
func (s *symmetric) mixHash(data []byte) {
	var room [2 * blake2s.BlockSize]byte
	text := append(append(room[:0], s.hash[:]...), data...)
	s.hash = blake2s.Sum256(text)
	clear(text)
}

// mixKey is MixKey.
func (s *symmetric) mixKey(input *[32]byte) {
	hkdf(&s.chainingKey, input[:], &s.chainingKey, &s.key)
}

// mixKeyAndHash is MixKeyAndHash.
func (s *symmetric) mixKeyAndHash(input *[32]byte) {
	var tau [blake2s.Size]byte
	hkdf(&s.chainingKey, input[:], &s.chainingKey, &tau, &s.key)
	s.mixHash(tau[:])
	clear(tau[:])
}

// encryptAndHash is EncryptAndHash: it seals plaintext into out, which is tagSize longer.
func (s *symmetric) encryptAndHash(out, plaintext []byte) {
	c := newCipher(&s.key)
	c.Seal(out[:0:len(plaintext)+tagSize], zeroNonce[:], plaintext, s.hash[:])
	c.done()
	s.mixHash(out)
}

// decryptAndHash is DecryptAndHash: it opens ciphertext into out, which is tagSize shorter, and reports whether it is
// authentic. out is zero if not.
func (s *symmetric) decryptAndHash(out, ciphertext []byte) bool {
	c := newCipher(&s.key)
	_, err := c.Open(out[:0:len(ciphertext)-tagSize], zeroNonce[:], ciphertext, s.hash[:])
	c.done()
	if err != nil {
		clear(out)
		return false
	}
	s.mixHash(ciphertext)
	return true
}

var zeroNonce [chacha20poly1305.NonceSize]byte

// split is Split: it writes the initiator's sending key and the responder's.
func (s *symmetric) split(initiator, responder *[32]byte) {
	hkdf(&s.chainingKey, nil, initiator, responder)
}

func (s *symmetric) erase() { *s = symmetric{} }

// hkdf is HKDF with two or three outputs. An output may be chainingKey itself.
func hkdf(chainingKey *[blake2s.Size]byte, input []byte, outputs ...*[blake2s.Size]byte) {
	var extracted [blake2s.Size]byte
	var text [blake2s.Size + 1]byte
	hmac(&extracted, chainingKey, input)
	previous := text[:0]
	for i, out := range outputs {
		text[len(previous)] = byte(i + 1)
		hmac(out, &extracted, text[:len(previous)+1])
		previous = text[:copy(text[:], out[:])]
	}
	clear(extracted[:])
	clear(text[:])
}

// hmac is HMAC-BLAKE2s of at most 33 bytes, which is all that hkdf needs. crypto/hmac would leave the key on the heap.
func hmac(out, key *[blake2s.Size]byte, data []byte) {
	var inner [blake2s.BlockSize + blake2s.Size + 1]byte
	var outer [blake2s.BlockSize + blake2s.Size]byte
	for i := range blake2s.BlockSize {
		var k byte
		if i < len(key) {
			k = key[i]
		}
		inner[i], outer[i] = k^0x36, k^0x5c
	}
	n := copy(inner[blake2s.BlockSize:], data)
	sum := blake2s.Sum256(inner[:blake2s.BlockSize+n])
	copy(outer[blake2s.BlockSize:], sum[:])
	*out = blake2s.Sum256(outer[:])
	clear(inner[:])
	clear(outer[:])
	clear(sum[:])
}
