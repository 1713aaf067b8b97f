package noise

import (
	"crypto/aes"
	"crypto/cipher"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"
)

func TestEraseCipher(t *testing.T) {
	k := filled(1)
	erased, err1 := chacha20poly1305.New(k[:])
	zero, err2 := chacha20poly1305.New(make([]byte, 32))
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	eraseCipher(erased)
	if got, want := erased.Seal(nil, zeroNonce[:], nil, nil), zero.Seal(nil, zeroNonce[:], nil, nil); string(got) != string(want) {
		t.Error("an erased cipher has a key")
	}
}

// A cipher with anything but a key in it must not be zeroed blindly.
func TestEraseOtherCipher(t *testing.T) {
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
	eraseCipher(gcm)
}
