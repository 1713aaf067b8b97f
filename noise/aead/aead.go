// Package aead seals and opens transport data messages: ChaCha20-Poly1305 (RFC 8439) with WireGuard's nonce and without
// additional data, for one message or for a batch, in place.
//
//	arena := aead.NewArena(nil)
//	key, err := arena.NewKey(&secret) // and the caller erases secret
//	key.Seal(b, counter)              // b ends with Overhead bytes of room for the tag
//	ok := key.Open(b, counter)
//	key.Erase()
//
// A key exists once, in a slot of its arena: the cipher works on the slot itself and keeps no copy (see cipher.go). Erase
// zeroes the slot, and an erased key panics when it is used, so that nothing is ever sealed with zeroes or with the key that
// has the slot next.
//
// Where x/crypto has no assembly for the whole AEAD (it has on amd64 with AVX2) its portable code puts each message's one-time
// Poly1305 key on the heap, which tells nothing about the session key; "nothing is allocated" below is about this package.
package aead

import (
	"crypto/cipher"
	"encoding/binary"
	"sync"
)

const (
	// KeySize is the length of a key in bytes.
	KeySize = 32

	// Overhead is how many bytes longer a sealed text is than its plaintext: the Poly1305 tag.
	Overhead = 16
)

// A Key is one direction's session key. Any number of goroutines may seal and open with it at once. It has to be erased by
// whoever owns it: one that is merely dropped stays in its arena.
type Key struct {
	slot   *[KeySize]byte
	cipher cipher.AEAD // works on slot; nil once erased
	arena  *Arena
}

// Erase zeroes the key and gives its slot back to the arena. It is idempotent. Only when nobody uses the key any more may it
// be called; every later use but Erase panics.
func (k *Key) Erase() {
	if k.cipher == nil {
		return
	}
	slot := k.slot
	k.cipher, k.slot = nil, nil
	k.arena.free(slot)
}

// Seal encrypts b[:len(b)-Overhead] in place and writes the tag to the last Overhead bytes of b. A counter must never be used
// twice with one key. It panics when b has no room for the tag. Nothing is allocated.
func (k *Key) Seal(b []byte, counter uint64) {
	eraseStack()
	n := nonces.Get().(*nonce)
	k.seal(n, b, counter)
	nonces.Put(n)
	eraseStack()
}

// Open authenticates b, a ciphertext with its tag in the last Overhead bytes, and decrypts it in place: the plaintext is
// b[:len(b)-Overhead]. When it reports false, b was not sealed with this key and counter; then the text is zeroed, and never
// holds plaintext. Nothing is allocated.
func (k *Key) Open(b []byte, counter uint64) bool {
	eraseStack()
	n := nonces.Get().(*nonce)
	ok := k.open(n, b, counter)
	nonces.Put(n)
	eraseStack()
	return ok
}

// SealBatch seals consecutive messages that begin stride bytes apart in b. Each begins with skip bytes that are left as they
// are (its header), then comes the plaintext, then Overhead bytes of room for the tag. All are stride bytes long but the last,
// which may be shorter: with n messages len(b) is (n-1)*stride plus the length of the last. Their counters are counter,
// counter+1, and so on. It panics, with nothing sealed, when a message has no room for header and tag. Nothing is allocated.
func (k *Key) SealBatch(b []byte, stride, skip int, counter uint64) {
	if skip < 0 || stride < skip+Overhead {
		panic("aead: the stride has no room for header and tag")
	}
	if last := len(b) % stride; last != 0 && last < skip+Overhead {
		panic("aead: the last message has no room for header and tag")
	}
	eraseStack()
	n := nonces.Get().(*nonce)
	for ; len(b) > 0; counter++ {
		message := b[:min(stride, len(b))]
		k.seal(n, message[skip:], counter)
		b = b[len(message):]
	}
	nonces.Put(n)
	eraseStack()
}

// Sealed is one message of OpenBatch.
type Sealed struct {
	Text    []byte // ciphertext and tag; after OpenBatch plaintext and tag, or zeroes and tag
	Counter uint64
	OK      bool // the verdict
}

// OpenBatch opens each message in place as Open does and stores the verdicts in OK, whatever was there before. Nothing is
// allocated.
func (k *Key) OpenBatch(ms []Sealed) {
	eraseStack()
	n := nonces.Get().(*nonce)
	for i := range ms {
		m := &ms[i]
		m.OK = k.open(n, m.Text, m.Counter)
	}
	nonces.Put(n)
	eraseStack()
}

func (k *Key) seal(n *nonce, b []byte, counter uint64) {
	n.set(counter)
	k.cipher.Seal(b[:0], n[:], b[:len(b)-Overhead], nil)
}

func (k *Key) open(n *nonce, b []byte, counter uint64) bool {
	if len(b) < Overhead {
		return false
	}
	n.set(counter)
	if _, err := k.cipher.Open(b[:0], n[:], b, nil); err != nil {
		// cipher.AEAD says only that the text may be overwritten.
		clear(b[:len(b)-Overhead])
		return false
	}
	return true
}

// "The nonce [...] is composed of 32 bits of zeros followed by the 64-bit little-endian value of counter." WireGuard, 5.4
type nonce [12]byte

func (n *nonce) set(counter uint64) { binary.LittleEndian.PutUint64(n[4:], counter) }

// nonces are reused, because one on the stack would escape through the cipher's interface with every message.
var nonces = sync.Pool{New: func() any { return new(nonce) }}
