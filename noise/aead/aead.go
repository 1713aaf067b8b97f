// Package aead seals and opens transport data messages: ChaCha20-Poly1305 (RFC 8439) with WireGuard's nonce and without
// additional data, for one message or for a batch, in place.
//
//	arena := aead.NewArena(nil)
//	key, err := arena.NewKey(&secret) // and the caller erases secret
//	key.Seal(b, counter)              // b ends with Overhead bytes of room for the tag
//	ok := key.Open(b, counter)
//	key.Erase()
//
// A key exists once, in a slot of its arena: what seals and opens works on the slot itself and keeps no copy. Erase zeroes the
// slot, and an erased key panics when it is used, so that nothing is ever sealed with zeroes or with the key that has the slot next.
//
// # Code
//
// Which code does it is chosen once, at start, by what the processor has:
//
//   - avx512 (F, VL, BW, IFMA, VBMI2): ChaCha20 with sixteen blocks in the lanes of its vectors, Poly1305 with 52-bit multiply-add;
//   - avx2: eight blocks, and Poly1305 in general registers among them, which takes ports that the vectors leave idle; on its own it is
//     in vectors, with 26-bit limbs;
//   - generic: golang.org/x/crypto, message by message. This is what every machine but amd64 has. cipher.go tells how it comes to
//     work on the slot; were it to stop doing so, its copy of the key would be cleared by nobody but the garbage collector.
//
// The first two take a batch sixteen messages at a time. The lanes of ChaCha20 are dealt out to the blocks of all of them, one-time
// keys included, so that none is idle where a message ends; avx512 has sixteen messages of as many blocks abreast, with a lane each.
// Poly1305 of avx512 has eight messages side by side, or several blocks of one; that of avx2 takes what has been encrypted, or is yet to be
// opened, message by message. Their assembly is written by internal/gen.
//
// They authenticate before they decrypt, though key stream may be there before the verdict is; they compare tags without a branch, and
// let neither a branch nor an address depend on a secret. One-time keys, sums and key stream are zeroed in memory and registers before a
// call returns. A goroutine is not preempted in assembly, so its stack never gets those registers. What is out of reach is a signal in
// mid-call, the scheduler's included: the kernel saves all registers to the thread's signal stack, where only the next signal's overwrite
// them.
//
// For tests VPN_AEAD names the code: avx512, avx2 or generic. A program doesn't start with a name that its machine can't run.
//
// Where x/crypto has no assembly for the whole AEAD (it has on amd64 with AVX2) its portable code puts each message's one-time
// Poly1305 key on the heap, which tells nothing about the session key; "nothing is allocated" below is about this package.
//
// # Speed
//
// Nanoseconds a message on one processor of 3 GHz (Sapphire Rapids), best of many alternating runs, and the ratio to x/crypto. OpenSSL 3.0,
// with its own AVX-512 code, takes 730 to 780 for 1,420 bytes on the same machine.
//
//	                                x/crypto    avx2          avx512
//	Seal,              64 bytes          398    228  0.57     232  0.58
//	Seal,           1,420 bytes        1,136    878  0.77     513  0.45
//	Open,           1,420 bytes        1,105    865  0.78     533  0.48
//	SealBatch, 46 of   64 bytes          194     89  0.46      56  0.29
//	OpenBatch, 46 of   64 bytes          200    101  0.50      63  0.31
//	SealBatch, 32 of 1,420 bytes         952    766  0.80     345  0.36
//	SealBatch, 46 of 1,420 bytes         950    773  0.81     352  0.37
//	OpenBatch, 32 of 1,420 bytes         900    794  0.88     352  0.39
//	OpenBatch, 46 of 1,420 bytes         897    794  0.89     363  0.40
//	SealBatch, 46 of 8,192 bytes       4,428  3,987  0.90   1,795  0.40
//
// The floor: of a message of 1,420 bytes the rounds alone, of 24 blocks in vectors of 512 bits, take the two ports that there are for
// them 680 cycles, and Poly1305 takes the same ports for another 145. At the 2.6 GHz or so that the processor runs such code at, both are
// 315 of those nanoseconds.
package aead

//go:generate go -C internal/gen run . -set avx512 -out ../../avx512_amd64.s -pkg aead
//go:generate go -C internal/gen run . -set avx2 -out ../../avx2_amd64.s -pkg aead

import "crypto/cipher"

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
	k.mustLive()
	if k.vector == nil {
		k.portableSealBatch(b, len(b), 0, counter)
		return
	}
	s := scratches.Get().(*scratch)
	s.messages[0].set(b, counter)
	k.vector.seal(k.slot, s, 1)
	s.done(1)
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
	one := &s.one[0]
	one.Text, one.Counter = b, counter
	k.vector.open(k.slot, s, s.one[:])
	ok := one.OK
	s.done(1)
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
	k.vector.open(k.slot, s, ms)
	s.done(len(ms))
}
