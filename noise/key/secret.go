package key

import (
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
)

// hidden is all that a secret shows of itself.
const hidden = "(hidden)"

// secret is what Private and Preshared have in common. The bytes are behind a pointer because fmt walks into unexported
// fields, and prints %p and %w, without asking methods: an array would be printed there, a pointer in a struct is not
// followed. A nil pointer is the all-zero key.
type secret struct {
	_ [0]func() // not comparable: == would compare handles, and not in constant time
	b *[Size]byte
}

func newSecret(rand io.Reader) (secret, error) {
	b := new([Size]byte)
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		clear(b[:])
		return secret{}, fmt.Errorf("make a key: %w", err)
	}
	return secret{b: b}, nil
}

func secretFromBytes(b []byte) (secret, error) {
	if len(b) != Size {
		return secret{}, ErrSize
	}
	s := secret{b: new([Size]byte)}
	copy(s.b[:], b)
	return s, nil
}

func parseSecret(text string) (secret, error) {
	s := secret{b: new([Size]byte)}
	if err := decode(s.b, text); err != nil {
		return secret{}, err
	}
	return s, nil
}

// bytes returns the secret's own bytes, or a new array of zeros for the zero key.
func (s *secret) bytes() *[Size]byte {
	if s.b == nil {
		return new([Size]byte)
	}
	return s.b
}

func (s *secret) clone() secret {
	if s.b == nil {
		return secret{}
	}
	b := *s.b
	c := secret{b: &b}
	return c
}

func (s *secret) equal(o *secret) bool {
	return subtle.ConstantTimeCompare(s.bytes()[:], o.bytes()[:]) == 1
}

// IsZero reports, in constant time, whether the key is all zeros, which stands for "none".
func (s *secret) IsZero() bool {
	if s.b == nil {
		return true
	}
	var acc byte
	for _, b := range s.b {
		acc |= b
	}
	return subtle.ConstantTimeByteEq(acc, 0) == 1
}

// Erase zeroes the key, and with it every copy of this value but those made with Clone. It may be called again.
func (s *secret) Erase() {
	if s.b != nil {
		clear(s.b[:])
	}
}

// Base64 returns the secret itself, as wg prints it. A string cannot be erased: AppendBase64 writes into a buffer that can.
func (s *secret) Base64() string { return encoding.EncodeToString(s.bytes()[:]) }

// Hex returns the secret itself in lower-case hex. A string cannot be erased: AppendHex writes into a buffer that can.
func (s *secret) Hex() string { return hex.EncodeToString(s.bytes()[:]) }

// AppendBase64 appends the secret itself to dst in base64. With 44 bytes of room in dst nothing else keeps a copy.
func (s *secret) AppendBase64(dst []byte) []byte { return encoding.AppendEncode(dst, s.bytes()[:]) }

// AppendHex appends the secret itself to dst in lower-case hex. With 64 bytes of room in dst nothing else keeps a copy.
func (s *secret) AppendHex(dst []byte) []byte { return hex.AppendEncode(dst, s.bytes()[:]) }

// String returns "(hidden)".
func (secret) String() string { return hidden }

// GoString returns "(hidden)".
func (secret) GoString() string { return hidden }

// Format writes "(hidden)" for every verb and flag.
func (secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// MarshalText returns "(hidden)", which is what encoding/json and log/slog then show. There is no UnmarshalText.
func (secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
