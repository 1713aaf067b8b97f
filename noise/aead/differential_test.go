package aead

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"
)

// Every code is held against x/crypto's, which knows nothing of batches.

// A twin seals and opens with x/crypto.
type twin struct {
	t   testing.TB
	key [KeySize]byte
}

func (w *twin) seal(text []byte, counter uint64) []byte {
	c, err := chacha20poly1305.New(w.key[:])
	if err != nil {
		w.t.Fatal(err)
	}
	return c.Seal(nil, binary.LittleEndian.AppendUint64(make([]byte, 4), counter), text, nil)
}

// A chance is a reproducible source of texts and sizes.
type chance struct {
	*rand.Rand
	fill *rand.ChaCha8
}

func newChance(n byte) chance {
	return chance{rand.New(rand.NewPCG(uint64(n), 0)), rand.NewChaCha8([32]byte{n})}
}

func (c chance) bytes(n int) []byte {
	b := make([]byte, n)
	c.fill.Read(b)
	return b
}

func (c chance) key(t testing.TB, v *vector) (*Key, *twin) {
	w := &twin{t: t, key: [KeySize]byte(c.bytes(KeySize))}
	return newKeyFor(t, v, w.key[:]), w
}

// checkOne seals and opens one message that lies at an offset in a larger buffer, of which nothing else may change.
func checkOne(t *testing.T, v *vector, c chance, size, offset int) {
	t.Helper()
	k, w := c.key(t, v)
	const behind = 80
	buf := c.bytes(offset + size + Overhead + behind)
	before, b := bytes.Clone(buf), buf[offset:offset+size+Overhead]
	text, counter := bytes.Clone(b[:size]), c.Uint64()
	k.Seal(b, counter)
	if want := w.seal(text, counter); !bytes.Equal(b, want) {
		t.Fatalf("%d bytes at %d: sealed otherwise than by x/crypto", size, offset)
	}
	if !k.Open(b, counter) || !bytes.Equal(b[:size], text) {
		t.Fatalf("%d bytes at %d: does not open", size, offset)
	}
	copy(b[size:], before[offset+size:])
	if !bytes.Equal(buf, before) {
		t.Fatalf("%d bytes at %d: something beside the message changed", size, offset)
	}
}

func TestEveryLength(t *testing.T) {
	forEach(t, func(t *testing.T, v *vector) {
		c := newChance(1)
		for size := range 2049 {
			checkOne(t, v, c, size, c.IntN(64))
		}
		for range 100 {
			checkOne(t, v, c, c.IntN(65536), c.IntN(64))
		}
		checkOne(t, v, c, 65535, 1)
	})
}

func TestEveryAlignment(t *testing.T) {
	forEach(t, func(t *testing.T, v *vector) {
		c := newChance(2)
		for offset := range 64 {
			for _, size := range []int{0, 1, 15, 16, 17, 63, 64, 65, 127, 128, 191, 192, 193, 511, 960, 961, 1024, 1420, 4000} {
				checkOne(t, v, c, size, offset)
			}
		}
	})
}

// TestEverySealBatch has batches of each count, of messages of one length but the last.
func TestEverySealBatch(t *testing.T) {
	forEach(t, func(t *testing.T, v *vector) {
		c := newChance(3)
		for count := 1; count <= 64; count++ {
			for _, most := range []int{1, 70, 300, 1500} {
				const skip = 16
				size := c.IntN(most)
				stride, last := skip+size+Overhead, c.IntN(size+1)
				buf := c.bytes((count-1)*stride + skip + last + Overhead + 64)
				batch, want := buf[:len(buf)-64], bytes.Clone(buf)
				k, w := c.key(t, v)
				counter := c.Uint64()
				for i := range count {
					n := size
					if i == count-1 {
						n = last
					}
					at := want[i*stride+skip:]
					copy(at, w.seal(at[:n], counter+uint64(i)))
				}
				if k.SealBatch(batch, stride, skip, counter); !bytes.Equal(buf, want) {
					t.Fatalf("%d messages of %d bytes, the last %d: sealed otherwise than one by one", count, size, last)
				}
			}
		}
	})
}

// TestCounterCarries has a batch in which the counter's low word begins anew, at each message of a group.
func TestCounterCarries(t *testing.T) {
	forEach(t, func(t *testing.T, v *vector) {
		c := newChance(8)
		k, w := c.key(t, v)
		const count, size, stride = 20, 100, 100 + Overhead
		for before := range uint64(count + 1) {
			counter := 5<<32 - before
			text := c.bytes(size)
			b := bytes.Repeat(append(bytes.Clone(text), make([]byte, Overhead)...), count)
			k.SealBatch(b, stride, 0, counter)
			for i := range count {
				if !bytes.Equal(b[i*stride:(i+1)*stride], w.seal(text, counter+uint64(i))) {
					t.Fatalf("%d messages before the carry: message %d is sealed otherwise than by x/crypto", before, i)
				}
			}
		}
	})
}

// TestEveryOpenBatch has batches of each count, of messages of all lengths with gaps between their counters, some of them spoiled in
// their text, their tag or their counter, or too short.
func TestEveryOpenBatch(t *testing.T) {
	forEach(t, func(t *testing.T, v *vector) {
		c := newChance(4)
		for count := 1; count <= 64; count++ {
			for round := range 6 {
				k, w := c.key(t, v)
				ms, want := make([]Sealed, count), make([][]byte, count)
				counter := c.Uint64()
				for i := range ms {
					counter += 1 + c.Uint64N(5)
					size := 1420
					if round%2 == 0 || c.IntN(8) == 0 {
						size = c.IntN(1500)
					}
					if c.IntN(50) == 0 {
						size = c.IntN(30000) // more than there is key stream made ahead for
					}
					want[i] = c.bytes(size)
					ms[i] = Sealed{Text: w.seal(want[i], counter), Counter: counter, OK: c.IntN(2) == 0}
					if round > 1 && c.IntN(3) == 0 {
						want[i] = spoil(c, &ms[i])
					}
				}
				k.OpenBatch(ms)
				for i, m := range ms {
					if m.OK != (want[i] != nil) {
						t.Fatalf("message %d of %d: %v", i, count, m.OK)
					}
					if text := m.Text[:max(0, len(m.Text)-Overhead)]; m.OK && !bytes.Equal(text, want[i]) {
						t.Fatalf("message %d of %d: another text", i, count)
					} else if !m.OK && !bytes.Equal(text, make([]byte, len(text))) {
						t.Fatalf("message %d of %d: a failure left its text", i, count)
					}
				}
			}
		}
	})
}

// spoil makes a message one that must not open, and returns nil.
func spoil(c chance, m *Sealed) []byte {
	switch c.IntN(4) {
	case 0:
		m.Text[c.IntN(len(m.Text))] ^= 1 << c.IntN(8)
	case 1:
		m.Text[len(m.Text)-1-c.IntN(Overhead)] ^= 1 << c.IntN(8)
	case 2:
		m.Counter ^= 1 << c.IntN(64)
	case 3:
		m.Text = m.Text[:c.IntN(len(m.Text))]
	}
	return nil
}

// TestEveryTagBit flips each bit of the tag: of a message alone, and of one among others.
func TestEveryTagBit(t *testing.T) {
	forEach(t, func(t *testing.T, v *vector) {
		c := newChance(5)
		for _, size := range []int{0, 1, 64, 100, 1420} {
			k, w := c.key(t, v)
			text := c.bytes(size)
			for bit := range 8 * Overhead {
				b := w.seal(text, 7)
				b[size+bit/8] ^= 1 << (bit % 8)
				ms := make([]Sealed, 1+c.IntN(20))
				for i := range ms {
					ms[i] = Sealed{Text: w.seal(text, uint64(i)), Counter: uint64(i)}
				}
				bad := c.IntN(len(ms))
				ms[bad].Text[size+bit/8] ^= 1 << (bit % 8)
				k.OpenBatch(ms)
				if k.Open(b, 7) || !bytes.Equal(b[:size], make([]byte, size)) {
					t.Fatalf("%d bytes, bit %d of the tag flipped: opens, or leaves its text", size, bit)
				}
				for i, m := range ms {
					if m.OK == (i == bad) {
						t.Fatalf("%d bytes, bit %d of message %d's tag flipped: message %d: %v", size, bit, bad, i, m.OK)
					}
				}
			}
		}
	})
}
