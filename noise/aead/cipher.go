package aead

import (
	"bytes"
	"crypto/cipher"
	"reflect"
	"unsafe"

	"golang.org/x/crypto/chacha20poly1305"
)

// Where there is no vector code of our own, x/crypto's is used. chacha20poly1305.New copies the key into an object on the
// garbage-collected heap, where nobody can erase it. But that object is nothing else than the key: a struct of one [32]byte. So a slot
// of the arena is such an object, and a pointer to the slot with the type's methods is a cipher that has no copy of the key at all.
//
// This holds for as long as x/crypto keeps that layout. inPlace is the type to point at slots with, looked at once; it is nil
// when the layout is another. Then ciphers are made by New, all works as before, and only the copy that x/crypto makes for
// itself outlives Erase, until the garbage collector reuses its memory. A test fails in that case.
var inPlace, unavailable = inspect()

// newCipher returns a cipher with the key that lies in slot. It is good for as long as the slot is not changed.
func newCipher(slot *[KeySize]byte) (cipher.AEAD, error) {
	if inPlace == nil {
		return chacha20poly1305.New(slot[:])
	}
	return pointAt(inPlace, slot), nil
}

func pointAt(t reflect.Type, slot *[KeySize]byte) cipher.AEAD {
	return reflect.NewAt(t, unsafe.Pointer(slot)).Interface().(cipher.AEAD)
}

// inspect returns the type behind x/crypto's ciphers if slots can be used as objects of it. The error is New's.
func inspect() (reflect.Type, error) {
	var key [KeySize]byte
	for i := range key {
		key[i] = byte(i)
	}
	made, err := chacha20poly1305.New(key[:])
	if err != nil {
		return nil, err
	}
	p := reflect.TypeOf(made)
	if p.Kind() != reflect.Pointer || !isLoneKey(p.Elem()) {
		return nil, nil
	}
	// The right shape might still hold something else than the key as it is.
	var n nonce
	pointed := pointAt(p.Elem(), &key)
	if !bytes.Equal(pointed.Seal(nil, n[:], key[:], nil), made.Seal(nil, n[:], key[:], nil)) {
		return nil, nil
	}
	return p.Elem(), nil
}

// isLoneKey reports whether t is a struct of one array of KeySize bytes, and so has neither pointers nor an alignment.
func isLoneKey(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t.NumField() == 1 && t.Field(0).Type == reflect.TypeFor[[KeySize]byte]()
}
