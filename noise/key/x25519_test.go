package key

import (
	"bytes"
	"crypto/ecdh"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"slices"
	"testing"

	"github.com/c2sp/wycheproof"
)

type vector struct {
	ID                      int `json:"tcId"`
	Comment                 string
	Flags                   []string
	Public, Private, Shared string
	Result                  string
}

func vectors(t *testing.T) (all []vector) {
	t.Helper()
	b, err := fs.ReadFile(wycheproof.TestVectors, "x25519_test.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		NumberOfTests int
		TestGroups    []struct{ Tests []vector }
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.TestGroups {
		all = append(all, g.Tests...)
	}
	if len(all) == 0 || len(all) != file.NumberOfTests {
		t.Fatalf("%d vectors of %d", len(all), file.NumberOfTests)
	}
	return all
}

func TestWycheproof(t *testing.T) {
	lowOrder := 0
	for _, v := range vectors(t) {
		k := must(PrivateFromBytes(unhex(t, v.Private)))
		p, err := PublicFromBytes(unhex(t, v.Public))
		if err != nil {
			t.Fatal(err)
		}
		out := [Size]byte{1, 2, 3}
		ok := k.SharedSecret(p, &out)
		if hex.EncodeToString(out[:]) != v.Shared {
			t.Errorf("vector %d (%s): shared secret %x, want %s", v.ID, v.Comment, out, v.Shared)
		}
		if good := out != [Size]byte{}; ok != good {
			t.Errorf("vector %d (%s): SharedSecret says %t of %x", v.ID, v.Comment, ok, out)
		}
		if slices.Contains(v.Flags, "ZeroSharedSecret") {
			lowOrder++
			if ok {
				t.Errorf("vector %d (%s): a point of low order is good", v.ID, v.Comment)
			}
		}
		if k.Hex() != v.Private {
			t.Errorf("vector %d: SharedSecret has changed the key", v.ID)
		}
	}
	if lowOrder < 10 {
		t.Errorf("only %d vectors of low order", lowOrder)
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// FuzzX25519 compares with crypto/ecdh.
func FuzzX25519(f *testing.F) {
	f.Add(bytes.Repeat([]byte{9}, Size), bytes.Repeat([]byte{7}, Size))
	f.Add(make([]byte, Size), make([]byte, Size))
	f.Add(bytes.Repeat([]byte{0xff}, Size), append([]byte{0xec}, bytes.Repeat([]byte{0xff}, Size-1)...))
	f.Fuzz(func(t *testing.T, private, public []byte) {
		k, err := PrivateFromBytes(private)
		if err != nil {
			return
		}
		p, err := PublicFromBytes(public)
		if err != nil {
			return
		}
		stdKey, err := ecdh.X25519().NewPrivateKey(private)
		if err != nil {
			t.Fatal(err)
		}
		if own := k.Public(); !bytes.Equal(own[:], stdKey.PublicKey().Bytes()) {
			t.Fatalf("public key of %x is %v, want %x", private, own, stdKey.PublicKey().Bytes())
		}
		stdPublic, err := ecdh.X25519().NewPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		want, err := stdKey.ECDH(stdPublic)
		var got [Size]byte
		if ok := k.SharedSecret(p, &got); ok != (err == nil) || ok && !bytes.Equal(got[:], want) {
			t.Fatalf("%x times %x is %x, %t; want %x, %v", private, public, got, ok, want, err)
		}
	})
}

func TestX25519Allocates(t *testing.T) {
	k := must(ParsePrivate(text))
	p := k.Public()
	var out [Size]byte
	if n := testing.AllocsPerRun(10, func() { k.SharedSecret(p, &out) }); n != 0 {
		t.Errorf("SharedSecret allocates %v times", n)
	}
}

func BenchmarkSharedSecret(b *testing.B) {
	k := must(ParsePrivate(text))
	p := k.Public()
	b.Run("ours", func(b *testing.B) {
		var out [Size]byte
		b.ReportAllocs()
		for b.Loop() {
			k.SharedSecret(p, &out)
		}
	})
	b.Run("ecdh", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			std, err := ecdh.X25519().NewPrivateKey(k.bytes()[:])
			if err != nil {
				b.Fatal(err)
			}
			public, err := ecdh.X25519().NewPublicKey(p[:])
			if err != nil {
				b.Fatal(err)
			}
			if _, err := std.ECDH(public); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("ecdh, private key prepared", func(b *testing.B) {
		std, err := ecdh.X25519().NewPrivateKey(k.bytes()[:])
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			public, err := ecdh.X25519().NewPublicKey(p[:])
			if err != nil {
				b.Fatal(err)
			}
			if _, err := std.ECDH(public); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkPublic(b *testing.B) {
	k := must(ParsePrivate(text))
	b.ReportAllocs()
	for b.Loop() {
		k.Public()
	}
}
