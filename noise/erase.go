package noise

import (
	"crypto/cipher"
	"reflect"
	"sync"
	"unsafe"

	"golang.org/x/crypto/chacha20poly1305"
)

// An erasable is a cipher that is used for one text and erased. golang.org/x/crypto/chacha20poly1305 copies a key into an
// object on the heap; but that object is nothing else than the key. So it is made once, and keys are put into it and taken
// out again.
type erasable struct {
	cipher.AEAD
	key *[32]byte // AEAD's own
}

// idle are the ciphers that nobody uses: their keys are zero.
var idle = sync.Pool{New: func() any {
	c, err := chacha20poly1305.New(make([]byte, chacha20poly1305.KeySize))
	if err != nil {
		panic(err) // the key's length is a constant
	}
	return &erasable{c, keyOf(c)}
}}

// newCipher returns a cipher with a copy of the key, until done.
func newCipher(key *[32]byte) *erasable {
	c := idle.Get().(*erasable)
	*c.key = *key
	return c
}

func (c *erasable) done() {
	clear(c.key[:])
	idle.Put(c)
}

// keyOf returns the key that an AEAD of golang.org/x/crypto/chacha20poly1305 has copied for itself. It panics when handed any
// other kind of cipher.
func keyOf(a cipher.AEAD) *[32]byte {
	v := reflect.ValueOf(a)
	if v.Kind() != reflect.Pointer || !isLoneKey(v.Type().Elem()) {
		panic("noise: the cipher is not a lone key: " + v.Type().String())
	}
	return (*[32]byte)(unsafe.Pointer(v.Elem().UnsafeAddr()))
}

// isLoneKey reports whether a type is a struct of one field, an array of 32 bytes: plain memory, safe to write to.
func isLoneKey(t reflect.Type) bool {
	if t.Kind() != reflect.Struct || t.NumField() != 1 {
		return false
	}
	f := t.Field(0).Type
	return f.Kind() == reflect.Array && f.Len() == 32 && f.Elem().Kind() == reflect.Uint8
}
