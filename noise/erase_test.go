package noise

import (
	"crypto/aes"
	"crypto/cipher"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"
)

func TestCipherIsErased(t *testing.T) {
	k := filled(1)
	made, err := chacha20poly1305.New(k[:])
	if err != nil {
		t.Fatal(err)
	}
	c := newCipher(&k)
	if got, want := c.Seal(nil, zeroNonce[:], nil, nil), made.Seal(nil, zeroNonce[:], nil, nil); string(got) != string(want) {
		t.Error("the cipher has another key")
	}
	held := c.key
	c.done()
	if *held != [32]byte{} {
		t.Error("a cipher that nobody uses has a key")
	}
}

// A cipher with anything but a key in it must not be written to.
func TestKeyOfOtherCipher(t *testing.T) {
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if recover() == nil {
			t.Error("a cipher of another kind is taken")
		}
	}()
	keyOf(gcm)
}
