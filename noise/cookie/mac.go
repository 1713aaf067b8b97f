// Package cookie is what stands before a handshake: mac1, which costs a forger the knowledge of a public key; cookies and
// mac2, which under load cost him an address of his own; and a limit for each address. Section 5.3 and sections 5.4.4 and
// 5.4.7 of the paper.
//
// A Checker guards one own identity, a Generator satisfies one peer's Checker. All of `now` is read from one clock that
// counts sleep.
package cookie

import (
	"hash"
	"sync"

	"golang.org/x/crypto/blake2s"

	"vpn/noise/key"
	"vpn/noise/wire"
)

const (
	labelMAC1   = "mac1----"
	labelCookie = "cookie--"

	macSize = blake2s.Size128
)

// derive returns the key for a label and a public key: Hash(label || public). It is no secret.
func derive(label string, p *key.Public) [blake2s.Size]byte {
	var text [len(labelMAC1) + key.Size]byte
	copy(text[copy(text[:], label):], p[:])
	return blake2s.Sum256(text[:])
}

// mac is Mac of section 5.4: BLAKE2s with a key and 16 bytes of output.
func mac(out *[macSize]byte, k, text []byte) {
	h, err := blake2s.New128(k)
	if err != nil {
		panic(err) // keys here are 16 or 32 bytes long
	}
	h.Write(text)
	h.Sum(out[:0])
}

// macs computes macs under one key without allocating: a keyed hash can be reset, and x/crypto has no keyed sum that works
// on the stack. It is safe for concurrent use.
type macs struct{ pool sync.Pool }

// pooled is a keyed hash, with room for a source and a result: what is passed through an interface escapes.
type pooled struct {
	hash.Hash
	source [sourceSize]byte
	sum    [macSize]byte
}

func newMACs(k [blake2s.Size]byte) *macs {
	return &macs{sync.Pool{New: func() any {
		h, err := blake2s.New128(k[:])
		if err != nil {
			panic(err) // the key's length is a constant
		}
		return &pooled{Hash: h}
	}}}
}

func (m *macs) get() *pooled {
	h := m.pool.Get().(*pooled)
	h.Reset()
	return h
}

func (m *macs) put(h *pooled) { m.pool.Put(h) }

// mac computes the mac of text, which lies in h.
func (h *pooled) mac(text []byte) *[macSize]byte {
	h.Write(text)
	h.Sum(h.sum[:0])
	return &h.sum
}

// matches reports, in constant time, whether want is the mac of text.
func (m *macs) matches(want *[macSize]byte, text []byte) bool {
	h := m.get()
	ok := equal(h.mac(text), want)
	m.put(h)
	return ok
}

// split returns what mac1 covers, what mac2 covers, and both macs: the last 32 bytes of an initiation or a response. It is
// false for a message of another size.
func split(msg []byte) (before1, before2 []byte, mac1, mac2 *[macSize]byte, ok bool) {
	if len(msg) != wire.SizeInitiation && len(msg) != wire.SizeResponse {
		return nil, nil, nil, nil, false
	}
	at1, at2 := len(msg)-2*macSize, len(msg)-macSize
	return msg[:at1], msg[:at2], (*[macSize]byte)(msg[at1:]), (*[macSize]byte)(msg[at2:]), true
}
