package key

import (
	"io"

	"vpn/noise/erasing"
)

// Private is a Curve25519 secret: a handle, see the package comment. The zero value is the all-zero key, which stands for
// "none". Its methods may be called concurrently with each other, but not with Erase or Clamp.
type Private struct{ secret }

// NewPrivate makes a new private key, clamped, from 32 bytes of rand.
func NewPrivate(rand io.Reader) (Private, error) {
	s, err := newSecret(rand)
	if err != nil {
		return Private{}, err
	}
	k := Private{s}
	k.Clamp()
	return k, nil
}

// PrivateFromBytes copies a private key from b, which must be 32 bytes long and stays the caller's to erase. The bytes
// are kept as they are: X25519 clamps whatever it is given, and a file that is parsed and written again must not change.
func PrivateFromBytes(b []byte) (Private, error) {
	s, err := secretFromBytes(b)
	return Private{s}, err
}

// DecodePrivate makes a key whose bytes decode writes, from whatever spelling its caller has, if decode reports true. It runs in
// erasing.Do, so that nothing is left of what it has on its stack.
func DecodePrivate(decode func(out *[Size]byte) bool) (Private, bool) {
	s, ok := decodeSecret(decode)
	return Private{s}, ok
}

// ParsePrivate parses a private key as wg prints it, in base64. The error never contains the text.
func ParsePrivate(text string) (Private, error) {
	s, err := parseSecret(text)
	return Private{s}, err
}

// Clamp sets the bits that RFC 7748 (section 5) has X25519 set anyway, in place. The kernel and wireguard-go do so when
// they are given a key, so that `wg show` prints a clamped one; a zero key stays zero.
func (k *Private) Clamp() {
	if k.IsZero() {
		return
	}
	b := k.own()
	b[0] &= 248
	b[31] = b[31]&127 | 64
}

// Clone returns a key with bytes of its own, to be erased on its own.
func (k *Private) Clone() Private { return Private{k.clone()} }

// Equal compares in constant time.
func (k *Private) Equal(o *Private) bool { return k.equal(&o.secret) }

// Public computes the public key: one scalar multiplication, some 30 microseconds.
func (k *Private) Public() Public {
	var p Public
	erasing.Do(func() { x25519Base((*[Size]byte)(&p), k.bytes()) })
	return p
}

// SharedSecret writes the X25519 of this key and p to out, and reports whether it is good. It is not when p has low order
// (RFC 7748, section 6.1: the result is all zeros, whatever the private key); out is zero then.
func (k *Private) SharedSecret(p Public, out *[Size]byte) bool {
	var ok bool
	erasing.Do(func() { ok = x25519(out, k.bytes(), (*[Size]byte)(&p)) })
	return ok
}
