package aead

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"slices"
	"testing"

	"github.com/c2sp/wycheproof"
)

// newKey returns a key in an arena of its own.
func newKey(t testing.TB, secret []byte) *Key {
	t.Helper()
	return newKeyFor(t, chosen, secret)
}

// newKeyFor does so for the code that v is, x/crypto's if it is nil.
func newKeyFor(t testing.TB, v *vector, secret []byte) *Key {
	t.Helper()
	a := NewArena(nil)
	a.vector = v
	k, err := a.NewKey((*[KeySize]byte)(secret))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// forEach runs a test for each code that this machine can run.
func forEach(t *testing.T, test func(t *testing.T, v *vector)) {
	for _, v := range append(vectors(), nil) {
		t.Run(nameOf(v), func(t *testing.T) { test(t, v) })
	}
}

func nameOf(v *vector) string {
	if v == nil {
		return generic
	}
	return v.name
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// knownAnswer is a published case. Those with additional data or a nonce that no counter makes are for what is below Key.
type knownAnswer struct {
	key, nonce, additional, plaintext, ciphertext, tag []byte
	valid                                              bool
}

func (v *knownAnswer) forKey() bool {
	return len(v.nonce) == 12 && bytes.Equal(v.nonce[:4], make([]byte, 4)) && len(v.additional) == 0
}

func (v *knownAnswer) check(t *testing.T, code *vector) {
	k := newKeyFor(t, code, v.key)
	sealed := append(bytes.Clone(v.ciphertext), v.tag...)
	var gotSealed, gotText []byte
	var ok bool
	if v.forKey() {
		counter := binary.LittleEndian.Uint64(v.nonce[4:])
		gotSealed = append(bytes.Clone(v.plaintext), make([]byte, Overhead)...)
		k.Seal(gotSealed, counter)
		opened := bytes.Clone(sealed)
		ok = k.Open(opened, counter)
		gotText = opened[:len(opened)-Overhead]
		if !ok && !bytes.Equal(gotText, make([]byte, len(gotText))) {
			t.Errorf("a failed Open left %x", gotText)
		}
	} else {
		gotSealed = sealAny(k, v.nonce, v.plaintext, v.additional)
		gotText, ok = openAny(k, v.nonce, sealed, v.additional)
	}
	if ok != v.valid {
		t.Errorf("open: got %v, want %v", ok, v.valid)
	}
	if v.valid && !bytes.Equal(gotText, v.plaintext) {
		t.Errorf("open:\n got %x\nwant %x", gotText, v.plaintext)
	}
	if twin := reference(v.key, v.nonce, v.additional, v.plaintext); !bytes.Equal(gotSealed, twin) {
		t.Errorf("seal:\n got %x\ntwin %x", gotSealed, twin)
	}
	if bytes.Equal(gotSealed, sealed) != v.valid {
		t.Errorf("seal:\n got %x\nfile %x, valid: %v", gotSealed, sealed, v.valid)
	}
}

// sealAny is RFC 8439's whole AEAD, which Key is less than: any nonce, and additional data. Of a vector it uses the kernels as Key does:
// Poly1305 has the additional data before the text.
func sealAny(k *Key, nonce, text, additional []byte) []byte {
	if k.vector == nil {
		return k.cipher.Seal(nil, nonce, text, additional)
	}
	out := append(xorAny(k, nonce, text), make([]byte, Overhead)...)
	copy(out[len(text):], tagOfAny(k, nonce, out[:len(text)], additional))
	return out
}

func openAny(k *Key, nonce, sealed, additional []byte) ([]byte, bool) {
	if k.vector == nil {
		text, err := k.cipher.Open(nil, nonce, sealed, additional)
		return text, err == nil
	}
	text, tag := sealed[:len(sealed)-Overhead], sealed[len(sealed)-Overhead:]
	if !bytes.Equal(tagOfAny(k, nonce, text, additional), tag) {
		return nil, false
	}
	return xorAny(k, nonce, text), true
}

// parts are what a vector's seal and open are made of.
type parts struct {
	xor          func(key *[KeySize]byte, s *scratch, ms []message, keys bool) // XORs texts with key stream, and makes one-time keys
	authenticate func(s *scratch, n int)                                       // makes tags of messages[:n]
}

var partsOf = map[string]parts{}

// anyMessage makes the first message of a scratch of b, with an arbitrary nonce.
func anyMessage(s *scratch, nonce, b []byte) *message {
	m := &s.messages[0]
	m.set(append(bytes.Clone(b), make([]byte, Overhead)...), binary.LittleEndian.Uint64(nonce[4:]))
	m.first = binary.LittleEndian.Uint32(nonce)
	return m
}

func xorAny(k *Key, nonce, text []byte) []byte {
	s := scratches.New().(*scratch)
	m := anyMessage(s, nonce, text)
	partsOf[k.vector.name].xor(k.slot, s, s.messages[:1], false)
	return m.plain()
}

func tagOfAny(k *Key, nonce, text, additional []byte) []byte {
	s := scratches.New().(*scratch)
	padded := pad16(bytes.Clone(additional))
	m := anyMessage(s, nonce, append(padded, text...))
	s.keyed[0].nonce, s.keyed[0].first = m.nonce, m.first
	partsOf[k.vector.name].xor(k.slot, s, s.keyed[:1], true)
	return macOf(k.vector, s.keys[0][:32], m.plain(), [2]uint64{uint64(len(additional)), uint64(len(text))}, 1)
}

// macOf has a code's Poly1305 make the tag of a text and a last block n times side by side, and returns it if all are the same.
func macOf(v *vector, key, text []byte, last [2]uint64, n int) []byte {
	tags := macsOf(v, slices.Repeat([]polyCase{{key, text, last}}, n))
	for _, tag := range tags {
		if !bytes.Equal(tag, tags[0]) {
			return nil
		}
	}
	return tags[0]
}

// A polyCase is a one-time key, a text, and the block behind it.
type polyCase struct {
	key, text []byte
	last      [2]uint64
}

// macsOf has tags of up to a group made together.
func macsOf(v *vector, cases []polyCase) (tags [][]byte) {
	s := scratches.Get().(*scratch)
	for i, c := range cases {
		m := &s.messages[i]
		m.set(append(bytes.Clone(c.text), make([]byte, Overhead)...), 0)
		m.last = c.last
		copy(s.keys[i][:], c.key)
	}
	partsOf[v.name].authenticate(s, len(cases))
	for i := range cases {
		s.messages[i].last = [2]uint64{}
		tag := binary.LittleEndian.AppendUint64(nil, s.tags[i][0])
		tags = append(tags, binary.LittleEndian.AppendUint64(tag, s.tags[i][1]))
	}
	s.wipe(s.keys[:len(cases)])
	clear(s.stream[:])
	s.done(len(cases))
	return tags
}

func TestRFC8439(t *testing.T) {
	for _, test := range []struct {
		name string
		knownAnswer
	}{
		{"section 2.8.2", knownAnswer{
			key:        unhex(t, "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"),
			nonce:      unhex(t, "070000004041424344454647"),
			additional: unhex(t, "50515253c0c1c2c3c4c5c6c7"),
			plaintext: []byte("Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, " +
				"sunscreen would be it."),
			ciphertext: unhex(t, "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b"+
				"1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d2"+
				"6586cec64b6116"),
			tag:   unhex(t, "1ae10b594f09e26a7e902ecbd0600691"),
			valid: true,
		}},
		{"appendix A.5", knownAnswer{
			key:        unhex(t, "1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0"),
			nonce:      unhex(t, "000000000102030405060708"),
			additional: unhex(t, "f33388860000000000004e91"),
			plaintext: unhex(t, "496e7465726e65742d4472616674732061726520647261667420646f63756d656e74732076616c696420666f722061206d"+
				"6178696d756d206f6620736978206d6f6e74687320616e64206d617920626520757064617465642c207265706c616365642c206f72206f62736f6c"+
				"65746564206279206f7468657220646f63756d656e747320617420616e792074696d652e20497420697320696e617070726f70726961746520746f"+
				"2075736520496e7465726e65742d447261667473206173207265666572656e6365206d6174657269616c206f7220746f2063697465207468656d20"+
				"6f74686572207468616e206173202fe2809c776f726b20696e2070726f67726573732e2fe2809d"),
			ciphertext: unhex(t, "64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb24c6cfc18755d43eea09ee94e382d26b0"+
				"bdb7b73c321b0100d4f03b7f355894cf332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff37c8559797a06ef4f0ef61c18632"+
				"4e2b3506383606907b6a7c02b0f9f6157b53c867e4b9166c767b804d46a59b5216cde7a4e99040c5a40433225ee282a1b0a06c523eaf4534d7f83f"+
				"a1155b0047718cbc546a0d072b04b3564eea1b422273f548271a0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a1049"+
				"e617d91d361094fa68f0ff77987130305beaba2eda04df997b714d6c6f2c29a6ad5cb4022b02709b"),
			tag:   unhex(t, "eead9d67890cbb22392336fea1851f38"),
			valid: true,
		}},
	} {
		t.Run(test.name, func(t *testing.T) { forEach(t, test.check) })
	}
}

func TestWycheproof(t *testing.T) {
	text, err := fs.ReadFile(wycheproof.TestVectors, "chacha20_poly1305_test.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		NumberOfTests int
		TestGroups    []struct {
			Tests []struct {
				TcID                       int
				Key, IV, AAD, Msg, CT, Tag string
				Result                     string
			}
		}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	all, forKey, wrongNonce := 0, 0, 0
	for _, g := range file.TestGroups {
		for _, c := range g.Tests {
			all++
			v := knownAnswer{
				key: unhex(t, c.Key), nonce: unhex(t, c.IV), additional: unhex(t, c.AAD),
				plaintext: unhex(t, c.Msg), ciphertext: unhex(t, c.CT), tag: unhex(t, c.Tag),
				valid: c.Result == "valid",
			}
			if len(v.nonce) != len(nonce{}) {
				wrongNonce++ // none that the cipher has, and none that a counter makes
				if v.valid {
					t.Errorf("case %d: valid with a nonce of %d bytes", c.TcID, len(v.nonce))
				}
				continue
			}
			if v.forKey() {
				forKey++
			}
			for _, code := range append(vectors(), nil) {
				if v.check(t, code); t.Failed() {
					t.Fatalf("case %d, %s", c.TcID, nameOf(code))
				}
			}
		}
	}
	t.Logf("%d cases: %d through Key, %d with a nonce of another size", all, forKey, wrongNonce)
	if all != file.NumberOfTests || wrongNonce > all/10 {
		t.Errorf("%d cases of %d, %d of them with a nonce of another size", all, file.NumberOfTests, wrongNonce)
	}
}
