package noise

import (
	"crypto/cipher"
	"reflect"
	"unsafe"
)

// stackSize is more than the deepest call chain below a step uses: HMAC over BLAKE2s and the AEAD stay under 2 KiB.
const stackSize = 4096

// eraseStack overwrites the dead stack below its caller's frame, where returned functions have left their locals and their
// results. Call it last, from the function that called whatever handled the secret; what that one keeps in its own frame
// it zeroes itself. And call it first: a stack that grew in between would leave its old copy behind.
//
//go:noinline
func eraseStack() {
	var dead [stackSize]byte
	touch(&dead)
}

// touch keeps the compiler from dropping an array that nobody reads.
//
//go:noinline
func touch(b *[stackSize]byte) { clear(b[:]) }

// eraseCipher zeroes the key that an AEAD of golang.org/x/crypto/chacha20poly1305 has copied for itself. The AEAD is useless
// after that. It panics when handed any other kind of cipher.
func eraseCipher(a cipher.AEAD) {
	v := reflect.ValueOf(a)
	if v.Kind() != reflect.Pointer || !isLoneKey(v.Type().Elem()) {
		panic("noise: the cipher is not a lone key: " + v.Type().String())
	}
	e := v.Elem()
	clear(unsafe.Slice((*byte)(unsafe.Pointer(e.UnsafeAddr())), e.Type().Size()))
}

// isLoneKey reports whether a type is a struct of one field, an array of 32 bytes: plain memory, safe to zero.
func isLoneKey(t reflect.Type) bool {
	if t.Kind() != reflect.Struct || t.NumField() != 1 {
		return false
	}
	f := t.Field(0).Type
	return f.Kind() == reflect.Array && f.Len() == 32 && f.Elem().Kind() == reflect.Uint8
}
