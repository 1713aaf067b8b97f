package key

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

const (
	text    = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	textHex = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
)

func counted() (b [Size]byte) {
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

func TestForms(t *testing.T) {
	b := counted()
	private, err1 := ParsePrivate(text)
	preshared, err2 := ParsePreshared(text)
	public, err3 := ParsePublic(text)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]string{
		"Private.Base64": private.Base64(), "Preshared.Base64": preshared.Base64(), "Public.String": public.String(),
		"Private.AppendBase64": string(private.AppendBase64(nil)), "Preshared.AppendBase64": string(preshared.AppendBase64(nil)),
	} {
		if got != text {
			t.Errorf("%s is %s, want %s", name, got, text)
		}
	}
	for name, got := range map[string]string{
		"Private.Hex": private.Hex(), "Preshared.Hex": preshared.Hex(), "Public.Hex": public.Hex(),
		"Private.AppendHex": string(private.AppendHex(nil)), "Preshared.AppendHex": string(preshared.AppendHex(nil)),
		"Preshared.Bytes": hex.EncodeToString(preshared.Bytes()[:]),
	} {
		if got != textHex {
			t.Errorf("%s is %s, want %s", name, got, textHex)
		}
	}
	private2, err1 := PrivateFromBytes(b[:])
	preshared2, err2 := PresharedFromBytes(b[:])
	public2, err3 := PublicFromBytes(b[:])
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	if !private.Equal(&private2) || !preshared.Equal(&preshared2) || public != public2 {
		t.Error("the same key from bytes and from text differ")
	}
	var decoded Public
	if j, err := json.Marshal(public); err != nil || string(j) != `"`+text+`"` {
		t.Errorf("public key in JSON is %s, %v", j, err)
	} else if err := json.Unmarshal(j, &decoded); err != nil || decoded != public {
		t.Errorf("public key from JSON is %v, %v", decoded, err)
	}
}

func TestBadText(t *testing.T) {
	for _, s := range []string{
		"", text[:43], text + "=", text + "\n", " " + text, text[:43] + "\n", text[:42] + "==",
		text[:42] + "9=", // bits beyond the 32 bytes
		"\n\n\n\n" + text[:40], text[:20] + "\r\n" + text[22:], strings.Repeat("A", 44), strings.Replace(text, "A", "_", 1), strings.Repeat("\x00", 44),
	} {
		_, err1 := ParsePrivate(s)
		_, err2 := ParsePreshared(s)
		_, err3 := ParsePublic(s)
		err4 := new(Public).UnmarshalText([]byte(s))
		for _, err := range []error{err1, err2, err3, err4} {
			if !errors.Is(err, ErrText) {
				t.Errorf("parsing %q: %v, want %v", s, err, ErrText)
			} else if len(s) > 4 && strings.Contains(err.Error(), s[:4]) {
				t.Errorf("error %q contains the text", err)
			}
		}
	}
	for _, n := range []int{0, 31, 33} {
		_, err1 := PrivateFromBytes(make([]byte, n))
		_, err2 := PresharedFromBytes(make([]byte, n))
		_, err3 := PublicFromBytes(make([]byte, n))
		for _, err := range []error{err1, err2, err3} {
			if !errors.Is(err, ErrSize) {
				t.Errorf("%d bytes: %v, want %v", n, err, ErrSize)
			}
		}
	}
}

func TestNewKeys(t *testing.T) {
	ff := bytes.Repeat([]byte{0xff}, 2*Size)
	r := bytes.NewReader(ff)
	private, err1 := NewPrivate(r)
	preshared, err2 := NewPreshared(r)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if want := "f8" + strings.Repeat("ff", 30) + "7f"; private.Hex() != want {
		t.Errorf("new private key is %s, want it clamped: %s", private.Hex(), want)
	}
	if preshared.Hex() != strings.Repeat("ff", Size) {
		t.Errorf("new preshared key is %s", preshared.Hex())
	}
	bad := errors.New("no entropy")
	for _, r := range []io.Reader{iotest.ErrReader(bad), io.MultiReader(bytes.NewReader(ff[:20]), iotest.ErrReader(bad))} {
		if k, err := NewPrivate(r); !errors.Is(err, bad) || !k.IsZero() {
			t.Errorf("NewPrivate: %v, want %v", err, bad)
		}
		if k, err := NewPreshared(r); !errors.Is(err, bad) || !k.IsZero() {
			t.Errorf("NewPreshared: %v, want %v", err, bad)
		}
	}
}

func TestClamp(t *testing.T) {
	k, err := ParsePrivate(text)
	if err != nil {
		t.Fatal(err)
	}
	raw := k.Clone()
	before := k.Public()
	k.Clamp()
	if want := textHex[:62] + "5f"; k.Hex() != want {
		t.Errorf("clamped key is %s, want %s", k.Hex(), want)
	}
	if raw.Equal(&k) || k.Public() != before {
		t.Error("clamping changed a clone, or the public key")
	}
	for _, zero := range []Private{{}, must(PrivateFromBytes(make([]byte, Size)))} {
		if zero.Clamp(); !zero.IsZero() {
			t.Error("a clamped zero key is not zero")
		}
	}
}

func must(k Private, err error) Private {
	if err != nil {
		panic(err)
	}
	return k
}

func TestErase(t *testing.T) {
	k := must(ParsePrivate(text))
	handle, clone := k, k.Clone()
	k.Erase()
	k.Erase()
	if !k.IsZero() || !handle.IsZero() || handle.Hex() != strings.Repeat("00", Size) {
		t.Error("an erased key is still there")
	}
	if clone.Hex() != textHex {
		t.Error("the clone of an erased key is gone")
	}
	p, err := ParsePreshared(text)
	if err != nil {
		t.Fatal(err)
	}
	same, other := p, p.Clone()
	p.Erase()
	if !p.IsZero() || !same.IsZero() || *same.Bytes() != [Size]byte{} || *other.Bytes() != counted() {
		t.Error("a preshared key is not erased, or its clone is")
	}
}

func TestZeroValues(t *testing.T) {
	var a, b Private
	var p, q Preshared
	a.Erase()
	p.Erase()
	zeros := must(PrivateFromBytes(make([]byte, Size)))
	if !a.IsZero() || !a.Equal(&b) || !a.Equal(&zeros) || !p.IsZero() || !p.Equal(&q) || !(Public{}).IsZero() {
		t.Error("zero values are not zero keys")
	}
	if c := a.Clone(); !c.IsZero() {
		t.Error("the clone of a zero key is not zero")
	}
	p.Bytes()[0] = 1
	if !p.IsZero() || !q.IsZero() {
		t.Error("the zero key can be changed")
	}
	if a.Public() != zeros.Public() {
		t.Error("two zero keys have two public keys")
	}
	for i := range Size {
		var b [Size]byte
		b[i] = 1
		if k := must(PrivateFromBytes(b[:])); k.IsZero() || k.Equal(&a) {
			t.Errorf("a key with byte %d set is zero", i)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(text)
	f.Add(strings.Repeat("=", 44))
	f.Add(text[:42] + "9=")
	f.Add(text[:40] + "\n\n\n\n")
	f.Fuzz(func(t *testing.T, s string) {
		private, err1 := ParsePrivate(s)
		preshared, err2 := ParsePreshared(s)
		public, err3 := ParsePublic(s)
		want, err := base64.StdEncoding.DecodeString(s)
		good := err == nil && len(want) == Size && base64.StdEncoding.EncodeToString(want) == s
		if (err1 == nil) != good || (err2 == nil) != good || (err3 == nil) != good {
			t.Fatalf("%q: %v, %v, %v, but good is %t", s, err1, err2, err3, good)
		}
		if good && (private.Base64() != s || preshared.Base64() != s || public.String() != s) {
			t.Fatalf("%q is not written as it was read", s)
		}
	})
}
