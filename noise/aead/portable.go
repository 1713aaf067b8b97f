package aead

import (
	"encoding/binary"
	"sync"

	"vpn/noise/erasing"
)

// What x/crypto puts on the stack is erased: the ChaCha20 state, and in it the key. Our own code leaves nothing there.

func (k *Key) portableOpen(b []byte, counter uint64) (ok bool) {
	n := nonces.Get().(*nonce)
	erasing.Do(func() { ok = k.open(n, b, counter) })
	nonces.Put(n)
	return ok
}

func (k *Key) portableSealBatch(b []byte, stride, skip int, counter uint64) {
	n := nonces.Get().(*nonce)
	erasing.Do(func() {
		for ; len(b) > 0; counter++ {
			message := b[:min(stride, len(b))]
			k.seal(n, message[skip:], counter)
			b = b[len(message):]
		}
	})
	nonces.Put(n)
}

func (k *Key) portableOpenBatch(ms []Sealed) {
	n := nonces.Get().(*nonce)
	erasing.Do(func() {
		for i := range ms {
			m := &ms[i]
			m.OK = k.open(n, m.Text, m.Counter)
		}
	})
	nonces.Put(n)
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
