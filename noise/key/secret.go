package key

import (
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"unsafe"

	"vpn/noise/erasing"
)

// hidden is all that a secret shows of itself.
const hidden = "(hidden)"

// secret is what Private and Preshared have in common. The bytes are behind a pointer because fmt walks into unexported
// fields, and prints %p and %w, without asking methods: an array would be printed there. And the pointer has no type
// because fmt follows one that has, once, where the verb is wrong for it: %Z of a struct around it would do.
type secret struct {
	_ [0]func()      // not comparable: == would compare handles, and not in constant time
	p unsafe.Pointer // a *[Size]byte; nil is the all-zero key
}

// make32 returns a secret to be filled, and its bytes.
func make32() (secret, *[Size]byte) {
	b := new([Size]byte)
	return secret{p: unsafe.Pointer(b)}, b
}

// own returns the secret's own bytes, nil for the zero value.
func (s *secret) own() *[Size]byte { return (*[Size]byte)(s.p) }

func newSecret(rand io.Reader) (secret, error) {
	s, b := make32()
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		clear(b[:])
		return secret{}, fmt.Errorf("make a key: %w", err)
	}
	return s, nil
}

func secretFromBytes(from []byte) (secret, error) {
	if len(from) != Size {
		return secret{}, ErrSize
	}
	s, b := make32()
	erasing.Do(func() { copy(b[:], from) })
	return s, nil
}

// decodeSecret makes a secret whose bytes decode writes.
func decodeSecret(decode func(out *[Size]byte) bool) (s secret, ok bool) {
	s, b := make32()
	erasing.Do(func() { ok = decode(b) })
	if !ok {
		clear(b[:])
		return secret{}, false
	}
	return s, true
}

func parseSecret(text string) (secret, error) {
	s, ok := decodeSecret(func(out *[Size]byte) bool { return decode(out, text) == nil })
	if !ok {
		return secret{}, ErrText
	}
	return s, nil
}

// bytes returns the secret's own bytes, or a new array of zeros for the zero key.
func (s *secret) bytes() *[Size]byte {
	if b := s.own(); b != nil {
		return b
	}
	return new([Size]byte)
}

func (s *secret) clone() secret {
	if s.p == nil {
		return secret{}
	}
	c, b := make32()
	erasing.Do(func() { copy(b[:], s.own()[:]) })
	return c
}

func (s *secret) equal(o *secret) (same bool) {
	a, b := s.bytes(), o.bytes()
	erasing.Do(func() { same = subtle.ConstantTimeCompare(a[:], b[:]) == 1 })
	return same
}

// IsZero reports, in constant time, whether the key is all zeros, which stands for "none".
func (s *secret) IsZero() bool {
	if s.p == nil {
		return true
	}
	var acc byte
	for _, b := range s.own() {
		acc |= b
	}
	return subtle.ConstantTimeByteEq(acc, 0) == 1
}

// Erase zeroes the key, and with it every copy of this value but those made with Clone. It may be called again.
func (s *secret) Erase() {
	if b := s.own(); b != nil {
		clear(b[:])
	}
}

// Base64 returns the secret itself, as wg prints it. A string cannot be erased: AppendBase64 writes into a buffer that can.
func (s *secret) Base64() string { return encoding.EncodeToString(s.bytes()[:]) }

// Hex returns the secret itself in lower-case hex. A string cannot be erased: AppendHex writes into a buffer that can.
func (s *secret) Hex() string { return hex.EncodeToString(s.bytes()[:]) }

// AppendBase64 appends the secret itself to dst in base64. With 44 bytes of room in dst nothing else keeps a copy.
func (s *secret) AppendBase64(dst []byte) []byte {
	return s.append(dst, encoding.EncodedLen(Size), encoding.AppendEncode)
}

// AppendHex appends the secret itself to dst in lower-case hex. With 64 bytes of room in dst nothing else keeps a copy.
func (s *secret) AppendHex(dst []byte) []byte {
	return s.append(dst, hex.EncodedLen(Size), hex.AppendEncode)
}

// append makes room for n bytes, and appends what encode makes of the secret.
func (s *secret) append(dst []byte, n int, encode func(dst, src []byte) []byte) []byte {
	dst, b := slices.Grow(dst, n), s.bytes()
	if s.p == nil {
		return encode(dst, b[:])
	}
	erasing.Do(func() { dst = encode(dst, b[:]) })
	return dst
}

// String returns "(hidden)".
func (secret) String() string { return hidden }

// GoString returns "(hidden)".
func (secret) GoString() string { return hidden }

// Format writes "(hidden)" for every verb and flag.
func (secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// MarshalText returns "(hidden)", which is what encoding/json and log/slog then show. There is no UnmarshalText.
func (secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
