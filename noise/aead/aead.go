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

//go:generate go -C internal/gen run . -set avx512 -out ../../avx512_amd64.s -pkg aead
//go:generate go -C internal/gen run . -set avx2 -out ../../avx2_amd64.s -pkg aead

import (
	"crypto/cipher"
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
	slot   *[KeySize]byte // nil once erased
	arena  *Arena
	vector *vector     // nil where there is none for this machine
	cipher cipher.AEAD // then this works on slot
}

// Erase zeroes the key and gives its slot back to the arena. It is idempotent. Only when nobody uses the key any more may it
// be called; every later use but Erase panics.
func (k *Key) Erase() {
	if k.slot == nil {
		return
	}
	slot := k.slot
	k.cipher, k.slot = nil, nil
	k.arena.free(slot)
}

func (k *Key) mustLive() {
	if k.slot == nil {
		panic("aead: the key is erased")
	}
}

// Seal encrypts b[:len(b)-Overhead] in place and writes the tag to the last Overhead bytes of b. A counter must never be used
// twice with one key. It panics when b has no room for the tag. Nothing is allocated.
func (k *Key) Seal(b []byte, counter uint64) {
	if len(b) < Overhead {
		panic("aead: the message has no room for the tag")
	}
	k.SealBatch(b, len(b), 0, counter)
}

// Open authenticates b, a ciphertext with its tag in the last Overhead bytes, and decrypts it in place: the plaintext is
// b[:len(b)-Overhead]. When it reports false, b was not sealed with this key and counter; then the text is zeroed, and never
// held plaintext. Nothing is allocated.
func (k *Key) Open(b []byte, counter uint64) bool {
	k.mustLive()
	if len(b) < Overhead {
		return false
	}
	if k.vector == nil {
		return k.portableOpen(b, counter)
	}
	s := scratches.Get().(*scratch)
	s.messages[0].set(b, counter)
	authentic := k.vector.open(k.slot, s, 1)
	s.done(1)
	return authentic != 0
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
	k.mustLive()
	if k.vector == nil {
		k.portableSealBatch(b, stride, skip, counter)
		return
	}
	s := scratches.Get().(*scratch)
	messages := (len(b) + stride - 1) / stride
	for len(b) > 0 {
		n := 0
		for ; n < groupSize && len(b) > 0; n++ {
			end := min(stride, len(b))
			s.messages[n].set(b[skip:end:end], counter)
			b = b[end:]
			counter++
		}
		k.vector.seal(k.slot, s, n)
	}
	s.done(messages)
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
	k.mustLive()
	if k.vector == nil {
		k.portableOpenBatch(ms)
		return
	}
	s := scratches.Get().(*scratch)
	messages := len(ms)
	for len(ms) > 0 {
		var group [groupSize]*Sealed
		n := 0
		for ; n < groupSize && len(ms) > 0; ms = ms[1:] {
			m := &ms[0]
			if m.OK = false; len(m.Text) >= Overhead {
				s.messages[n].set(m.Text, m.Counter)
				group[n] = m
				n++
			}
		}
		if n == 0 {
			break
		}
		authentic := k.vector.open(k.slot, s, n)
		for i, m := range group[:n] {
			m.OK = authentic>>i&1 != 0
		}
	}
	s.done(messages)
}
