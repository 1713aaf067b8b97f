package key

import "io"

// Preshared is the symmetric secret that two peers may mix into their handshakes: a handle, see the package comment. The
// zero value is the all-zero key, which is what the protocol mixes in where there is none. Its methods may be called
// concurrently with each other, but not with Erase.
type Preshared struct{ secret }

// NewPreshared makes a new preshared key from 32 bytes of rand.
func NewPreshared(rand io.Reader) (Preshared, error) {
	s, err := newSecret(rand)
	return Preshared{s}, err
}

// PresharedFromBytes copies a preshared key from b, which must be 32 bytes long and stays the caller's to erase.
func PresharedFromBytes(b []byte) (Preshared, error) {
	s, err := secretFromBytes(b)
	return Preshared{s}, err
}

// DecodePreshared makes a key whose bytes decode writes, from whatever spelling its caller has, if decode reports true. It runs in
// erasing.Do, so that nothing is left of what it has on its stack.
func DecodePreshared(decode func(out *[Size]byte) bool) (Preshared, bool) {
	s, ok := decodeSecret(decode)
	return Preshared{s}, ok
}

// ParsePreshared parses a preshared key as wg prints it, in base64. The error never contains the text.
func ParsePreshared(text string) (Preshared, error) {
	s, err := parseSecret(text)
	return Preshared{s}, err
}

// Bytes returns the key's own bytes, to be read and not kept; for the zero value an array of zeros.
func (k *Preshared) Bytes() *[Size]byte { return k.bytes() }

// Clone returns a key with bytes of its own, to be erased on its own.
func (k *Preshared) Clone() Preshared { return Preshared{k.clone()} }

// Equal compares in constant time.
func (k *Preshared) Equal(o *Preshared) bool { return k.equal(&o.secret) }
