// Package key holds the three kinds of WireGuard keys.
//
// Private and Preshared are secrets. Both are handles: the 32 bytes lie in one place on the heap, a copy of the value
// refers to the same bytes, and Erase through any copy ends them all; Clone makes a key of its own. So passing a secret
// around leaves no copies on stacks, and nothing can print one: every verb of fmt, encoding/json and log/slog show
// "(hidden)", and where fmt does not ask a type's methods (unexported fields, %p, %w) it finds an address. The ways to
// get a secret out have names that say so: Base64, Hex and Bytes.
//
// Public is a plain array, usable as a map key.
package key

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
)

// Size is the length of every key in bytes.
const Size = 32

// textSize is the length of a key in base64, with its padding.
const textSize = 44

var (
	// ErrSize is returned when a key is made from other than 32 bytes.
	ErrSize = errors.New("key is not 32 bytes long")
	// ErrText is returned for text that is not 32 bytes in strict base64. It never quotes the text: what was pasted into
	// the wrong place may be a secret.
	ErrText = errors.New("key is not 44 characters of base64")
)

var encoding = base64.StdEncoding.Strict()

// Public is a Curve25519 public key, with no promise that it is a good one: low-order points are Publics too, and fail
// in SharedSecret.
type Public [Size]byte

// PublicFromBytes returns the public key in b, which must be 32 bytes long.
func PublicFromBytes(b []byte) (Public, error) {
	if len(b) != Size {
		return Public{}, ErrSize
	}
	return Public(b), nil
}

// ParsePublic parses a public key as wg prints it, in base64. The error never contains the text.
func ParsePublic(s string) (Public, error) {
	var p Public
	if err := decode((*[Size]byte)(&p), s); err != nil {
		return Public{}, err
	}
	return p, nil
}

// String returns the key in base64, as wg prints it.
func (p Public) String() string { return encoding.EncodeToString(p[:]) }

// Hex returns the key in lower-case hex, as the configuration protocol writes it.
func (p Public) Hex() string { return hex.EncodeToString(p[:]) }

// IsZero reports whether the key is all zeros, which stands for "none".
func (p Public) IsZero() bool { return p == Public{} }

// MarshalText returns the key in base64.
func (p Public) MarshalText() ([]byte, error) { return encoding.AppendEncode(nil, p[:]), nil }

// UnmarshalText sets the key from base64.
func (p *Public) UnmarshalText(b []byte) error {
	parsed, err := ParsePublic(string(b))
	if err != nil {
		return err
	}
	*p = parsed
	return nil
}

// decode writes the key that s spells in base64. The base64 package skips line breaks, so both lengths are checked: no
// key has two spellings.
func decode(out *[Size]byte, s string) error {
	if len(s) != textSize {
		return ErrText
	}
	var text [textSize]byte
	var buf [textSize / 4 * 3]byte
	copy(text[:], s)
	n, err := encoding.Decode(buf[:], text[:])
	if ok := err == nil && n == Size; ok {
		copy(out[:], buf[:])
	} else {
		err = ErrText
	}
	clear(text[:])
	clear(buf[:])
	return err
}
