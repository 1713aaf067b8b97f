package aead

import (
	"bytes"
	"testing"
)

// TestSecretsAreWiped looks into what seal and open have worked with, and at what of it leads to somebody's memory.
func TestSecretsAreWiped(t *testing.T) {
	c := newChance(8)
	key := [KeySize]byte(c.bytes(KeySize))
	for _, v := range vectors() {
		for _, sizes := range [][]int{{0}, {12}, {500}, {1420}, {9000}, {64, 64, 64}, {1420, 1420, 0, 700, 1, 9000, 1420, 30, 1420}} {
			for _, forged := range []bool{false, true} {
				s := scratches.New().(*scratch)
				texts := make([][]byte, len(sizes))
				for i, size := range sizes {
					texts[i] = c.bytes(size + Overhead)
					s.messages[i].set(texts[i], uint64(i))
				}
				v.seal(&key, s, len(texts))
				checkWiped(t, s)
				for i, text := range texts {
					s.messages[i].set(text, uint64(i))
				}
				want := uint32(1)<<len(texts) - 1
				if forged {
					texts[0][sizes[0]] ^= 1
					want--
				}
				if got := v.open(&key, s, len(texts)); got != want {
					t.Errorf("%s, %d bytes: authentic are %b, want %b", v.name, sizes, got, want)
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
	if x.keys != [groupSize]oneTimeKey{} || x.tails != [groupSize][blockSize]byte{} || x.hashes != [groupSize]hash{} ||
		x.tags != [groupSize][2]uint64{} || !bytes.Equal(x.stream[:], make([]byte, len(x.stream))) {
		t.Error("secrets are left")
	}
}
