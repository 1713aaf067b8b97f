package aead

import (
	"bytes"
	"runtime"
	"slices"
	"testing"
)

// TestSecretsAreWiped looks into what seal and open have worked with, and at what of it leads to somebody's memory.
func TestSecretsAreWiped(t *testing.T) {
	c := newChance(8)
	key := [KeySize]byte(c.bytes(KeySize))
	for _, v := range vectors() {
		for _, sizes := range [][]int{{0}, {12}, {500}, {1420}, {9000}, {64, 64, 64}, {1420, 1420, 0, 700, 1, 9000, 1420, 30, 1420},
			slices.Repeat([]int{1420}, 3*groupSize+2)} {
			for _, forged := range []bool{false, true} {
				s := scratches.New().(*scratch)
				texts := make([][]byte, len(sizes))
				for i, size := range sizes {
					texts[i] = c.bytes(size + Overhead)
					s.messages[i%groupSize].set(texts[i], uint64(i))
					if n := i%groupSize + 1; n == groupSize || i == len(sizes)-1 {
						v.seal(&key, s, n)
						checkWiped(t, s)
					}
				}
				ms := make([]Sealed, len(texts))
				for i, text := range texts {
					ms[i] = Sealed{Text: text, Counter: uint64(i)}
				}
				if forged {
					texts[0][sizes[0]] ^= 1
				}
				v.open(&key, s, ms)
				for i, m := range ms {
					if m.OK == (forged && i == 0) {
						t.Errorf("%s, message %d of %d bytes: %v", v.name, i, sizes, m.OK)
					}
				}
				checkWiped(t, s)
				s.done(len(texts))
				for i := range groupSize {
					if s.messages[i].text != nil || s.sections[i].text != nil {
						t.Errorf("%s, %d bytes: message %d is still known", v.name, sizes, i)
					}
				}
				for _, x := range s.spans {
					if x.text != nil {
						t.Errorf("%s, %d bytes: a span is still known", v.name, sizes)
					}
				}
			}
		}
	}
}

func checkWiped(t *testing.T, s *scratch) {
	t.Helper()
	x := s.secrets
	if x.keys != [groupSize]oneTimeKey{} || x.early != [4 * groupSize]oneTimeKey{} || x.tails != [groupSize][blockSize]byte{} || x.hashes != [groupSize]hash{} ||
		x.tags != [groupSize][2]uint64{} || !bytes.Equal(x.stream[:], make([]byte, len(x.stream))) {
		t.Error("secrets are left")
	}
}

// TestScratchHoldsNothing looks for callers' memory in what calls have worked with.
func TestScratchHoldsNothing(t *testing.T) {
	s, ordinary := scratches.New().(*scratch), scratches.New
	runtime.GC()
	runtime.GC() // of two, the first leaves the pool what it has
	scratches.New = func() any { return s }
	defer func() { scratches.New = ordinary }()
	for _, v := range vectors() {
		k := newKeyFor(t, v, secret(1)[:])
		for name, use := range map[string]func(b []byte){
			"Seal":      func(b []byte) { k.Seal(b, 1) },
			"Open":      func(b []byte) { k.Open(b, 1) },
			"SealBatch": func(b []byte) { k.SealBatch(b, 100, 16, 1) },
			"OpenBatch": func(b []byte) { k.OpenBatch([]Sealed{{Text: b[:1000]}, {Text: b[1000:]}, {Text: b[:9]}}) },
		} {
			use(make([]byte, 2000))
			for i := range groupSize {
				if s.messages[i].text != nil || s.sections[i].text != nil || s.one[0].Text != nil {
					t.Fatalf("%s, %s: message %d is still known", v.name, name, i)
				}
			}
		}
	}
}
