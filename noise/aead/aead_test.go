package aead

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"sync"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"
)

func secret(n byte) *[KeySize]byte {
	s := [KeySize]byte(bytes.Repeat([]byte{n}, KeySize))
	return &s
}

// TestCipherHasNoCopy fails when golang.org/x/crypto changes the layout that cipher.go relies on: then keys are copied to the
// heap, where Erase does not reach them.
func TestCipherHasNoCopy(t *testing.T) {
	if inPlace == nil {
		t.Fatal("x/crypto's cipher is no longer a struct of the key alone")
	}
	k := newKeyFor(t, nil, secret(1)[:])
	if got := reflect.ValueOf(k.cipher).UnsafePointer(); got != reflect.ValueOf(k.slot).UnsafePointer() {
		t.Error("the cipher is not the slot")
	}
}

// TestCipherOfItsOwn is the fall-back of cipher.go: another layout must be refused, and the cipher that New makes must do.
func TestCipherOfItsOwn(t *testing.T) {
	for _, other := range []any{
		struct {
			k [32]byte
			n int
		}{}, struct{ k [31]byte }{}, struct{ k *[32]byte }{}, [32]byte{}, struct{}{},
	} {
		if isLoneKey(reflect.TypeOf(other)) {
			t.Errorf("%T passes for a key alone", other)
		}
	}
	slot := secret(7)
	made, err := chacha20poly1305.New(slot[:])
	if err != nil {
		t.Fatal(err)
	}
	a := NewArena(nil)
	k := &Key{slot: slot, cipher: made, arena: a}
	got, want := make([]byte, 100), make([]byte, 100)
	k.Seal(got, 3)
	newKey(t, slot[:]).Seal(want, 3)
	if !bytes.Equal(got, want) {
		t.Error("the two ciphers differ")
	}
	if k.Erase(); *slot != [KeySize]byte{} {
		t.Error("the slot is not zero")
	}
}

func TestEraseZeroesAndReuses(t *testing.T) {
	var chunks [][]byte
	a := NewArena(func(size int) ([]byte, error) {
		chunks = append(chunks, make([]byte, size))
		return chunks[len(chunks)-1], nil
	})
	keys := make([]*Key, chunkSize/KeySize+1) // the last begins a second chunk
	for i := range keys {
		var err error
		if keys[i], err = a.NewKey(secret(byte(i)%255 + 1)); err != nil {
			t.Fatal(err)
		}
	}
	if len(chunks) != 2 || a.Live() != len(keys) {
		t.Fatalf("%d chunks, %d live", len(chunks), a.Live())
	}
	if bytes.IndexByte(chunks[0], 0) >= 0 {
		t.Error("the first chunk is not full of keys")
	}
	slot := keys[5].slot
	keys[5].Erase()
	keys[5].Erase()
	if *slot != [KeySize]byte{} {
		t.Error("the slot is not zero")
	}
	again, err := a.NewKey(secret(77))
	if err != nil {
		t.Fatal(err)
	}
	if again.slot != slot || *slot != *secret(77) {
		t.Error("the slot is not reused")
	}
	keys[5].Erase() // the slot is another's now
	if *slot != *secret(77) {
		t.Error("a second Erase hit the slot's next key")
	}
	again.Erase()
	for _, k := range keys {
		k.Erase()
	}
	for _, c := range chunks {
		if !bytes.Equal(c, make([]byte, chunkSize)) {
			t.Error("a chunk is not zero after all keys are erased")
		}
	}
	if a.Live() != 0 {
		t.Errorf("%d live", a.Live())
	}
}

func TestErasedKeyPanics(t *testing.T) {
	forEach(t, func(t *testing.T, v *vector) {
		for name, use := range map[string]func(*Key){
			"Seal":      func(k *Key) { k.Seal(make([]byte, 32), 0) },
			"Open":      func(k *Key) { k.Open(make([]byte, 32), 0) },
			"SealBatch": func(k *Key) { k.SealBatch(make([]byte, 32), 32, 0, 0) },
			"OpenBatch": func(k *Key) { k.OpenBatch([]Sealed{{Text: make([]byte, 32)}}) },
		} {
			t.Run(name, func(t *testing.T) {
				k := newKeyFor(t, v, secret(1)[:])
				k.Erase()
				wantPanic(t, func() { use(k) })
			})
		}
	})
}

func wantPanic(t *testing.T, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	f()
}

func TestAllocFails(t *testing.T) {
	broken := errors.New("no memory")
	fail := true
	a := NewArena(func(size int) ([]byte, error) {
		if fail {
			return nil, broken
		}
		return make([]byte, size), nil
	})
	if k, err := a.NewKey(secret(1)); k != nil || !errors.Is(err, broken) {
		t.Errorf("got %v, %v", k, err)
	}
	if a.Live() != 0 {
		t.Errorf("%d live", a.Live())
	}
	fail = false
	k, err := a.NewKey(secret(1))
	if err != nil {
		t.Fatalf("after alloc works again: %v", err)
	}
	fail = true
	k.Erase()
	if _, err := a.NewKey(secret(2)); err != nil {
		t.Errorf("with a free slot: %v", err)
	}

	short := NewArena(func(size int) ([]byte, error) { return make([]byte, size-1), nil })
	if _, err := short.NewKey(secret(1)); err == nil {
		t.Error("a short chunk was taken")
	}
}

func TestOpenShort(t *testing.T) {
	forEach(t, func(t *testing.T, v *vector) {
		k := newKeyFor(t, v, secret(1)[:])
		for n := range Overhead {
			if k.Open(make([]byte, n), 0) {
				t.Errorf("%d bytes open", n)
			}
		}
		wantPanic(t, func() { k.Seal(make([]byte, Overhead-1), 0) })
	})
}

// TestFailedOpenLeavesNothing flips each byte of messages around the cipher's block sizes.
func TestFailedOpenLeavesNothing(t *testing.T) {
	forEach(t, func(t *testing.T, v *vector) {
		k := newKeyFor(t, v, secret(1)[:])
		for _, size := range []int{1, 15, 16, 63, 64, 65, 128, 129, 191, 320, 513} {
			text := bytes.Repeat([]byte("plaintext"), 60)[:size]
			sealed := append(bytes.Clone(text), make([]byte, Overhead)...)
			k.Seal(sealed, 9)
			for i := range sealed {
				b := bytes.Clone(sealed)
				b[i] ^= 0x40
				if k.Open(b, 9) {
					t.Fatalf("size %d, byte %d flipped: opens", size, i)
				}
				if !bytes.Equal(b[:size], make([]byte, size)) {
					t.Fatalf("size %d, byte %d flipped: text left behind", size, i)
				}
			}
			for _, counter := range []uint64{8, 10, 9 << 32, 9 | 1<<63} {
				if b := bytes.Clone(sealed); k.Open(b, counter) {
					t.Errorf("opens with counter %d", counter)
				}
			}
		}
	})
}

func TestSealBatchRefusesNoRoom(t *testing.T) {
	forEach(t, func(t *testing.T, v *vector) {
		k := newKeyFor(t, v, secret(1)[:])
		for _, c := range []struct{ size, stride, skip int }{
			{64, 0, 0}, {64, -1, 0}, {64, 31, 16}, {64, 32, -1}, {64 + 31, 64, 16}, {1, 64, 16},
		} {
			b := bytes.Repeat([]byte{0xaa}, c.size)
			wantPanic(t, func() { k.SealBatch(b, c.stride, c.skip, 0) })
			if bytes.Count(b, []byte{0xaa}) != c.size {
				t.Errorf("%+v: something was sealed", c)
			}
		}
		k.SealBatch(nil, 32, 16, 0)
	})
}

// FuzzBatch holds batches against single messages of x/crypto.
func FuzzBatch(f *testing.F) {
	f.Add([]byte("seed"), uint64(0), uint16(80), uint8(16), uint8(5), uint16(40), uint8(0))
	f.Add([]byte{}, ^uint64(0)-3, uint16(1452), uint8(16), uint8(3), uint16(0), uint8(1))
	f.Add([]byte{0}, uint64(1)<<32-1, uint16(16), uint8(0), uint8(64), uint16(0), uint8(63))
	f.Fuzz(func(t *testing.T, fill []byte, counter uint64, stride uint16, skip, count uint8, last uint16, spoil uint8) {
		step, head := int(stride)%2048, int(skip)
		step = max(step, head+Overhead)
		plain := make([]byte, int(count)%65*step)
		if last := int(last) % step; last >= head+Overhead {
			plain = append(plain, make([]byte, last)...)
		}
		for i := range plain {
			plain[i] = byte(i)
			if len(fill) > 0 {
				plain[i] ^= fill[i%len(fill)]
			}
		}
		w := &twin{t: t, key: *secret(byte(counter))}
		single := bytes.Clone(plain)
		for i, at := 0, 0; at < len(plain); i, at = i+1, at+step {
			message := single[at+head : min(at+step, len(plain))]
			copy(message, w.seal(message[:len(message)-Overhead], counter+uint64(i)))
		}
		for _, v := range append(vectors(), nil) {
			fuzzBatch(t, newKeyFor(t, v, w.key[:]), plain, single, counter, step, head, int(spoil))
		}
	})
}

func fuzzBatch(t *testing.T, k *Key, plain, single []byte, counter uint64, step, head, spoil int) {
	b := bytes.Clone(plain)
	if k.SealBatch(b, step, head, counter); !bytes.Equal(b, single) {
		t.Fatalf("%s: the batch is sealed otherwise than its messages", nameOf(k.vector))
	}
	var ms []Sealed
	for i, at := 0, 0; at < len(b); i, at = i+1, at+step {
		ms = append(ms, Sealed{Text: b[at+head : min(at+step, len(b))], Counter: counter + uint64(i), OK: i%2 == 0})
	}
	bad := spoil % (len(ms) + 1)
	if bad < len(ms) {
		ms[bad].Text[len(ms[bad].Text)-1] ^= 1
	}
	k.OpenBatch(ms)
	for i, m := range ms {
		text := m.Text[:len(m.Text)-Overhead]
		want := plain[i*step+head:][:len(text)]
		if i == bad {
			want = make([]byte, len(text))
		}
		if m.OK != (i != bad) || !bytes.Equal(text, want) {
			t.Fatalf("%s: message %d of %d: %v", nameOf(k.vector), i, len(ms), m.OK)
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add([]byte{}, uint64(0))
	f.Add(make([]byte, Overhead), uint64(1))
	f.Add(make([]byte, 1500), ^uint64(0))
	f.Fuzz(func(t *testing.T, sealed []byte, counter uint64) {
		w := &twin{t: t, key: *secret(1)}
		for _, v := range append(vectors(), nil) {
			k, b := newKeyFor(t, v, w.key[:]), bytes.Clone(sealed)
			if k.Open(b, counter) {
				// Only what this very key seals may open.
				if !bytes.Equal(w.seal(b[:len(b)-Overhead], counter), sealed) {
					t.Fatalf("%s: a forgery opens", nameOf(v))
				}
			} else if len(b) >= Overhead && !bytes.Equal(b[:len(b)-Overhead], make([]byte, len(b)-Overhead)) {
				t.Fatalf("%s: text left behind", nameOf(v))
			}
		}
	})
}

// TestConcurrent is for the race detector: one key in many hands, keys made and erased beside it.
func TestConcurrent(t *testing.T) {
	forEach(t, testConcurrent)
}

func testConcurrent(t *testing.T, v *vector) {
	a := NewArena(nil)
	a.vector = v
	shared, err := a.NewKey(secret(1))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				own, err := a.NewKey(secret(byte(g + 2)))
				if err != nil {
					t.Error(err)
					return
				}
				for _, k := range []*Key{shared, own} {
					b := binary.LittleEndian.AppendUint64(nil, uint64(g*1000+i))
					sealed := append(bytes.Clone(b), make([]byte, Overhead)...)
					k.Seal(sealed, uint64(i))
					if !k.Open(sealed, uint64(i)) || !bytes.Equal(sealed[:len(b)], b) {
						t.Error("does not open")
					}
				}
				own.Erase()
			}
		})
	}
	wg.Wait()
	if shared.Erase(); a.Live() != 0 {
		t.Errorf("%d live", a.Live())
	}
}

func TestNothingAllocated(t *testing.T) {
	forEach(t, func(t *testing.T, v *vector) {
		k := newKeyFor(t, v, secret(1)[:])
		b := make([]byte, 46*1452)
		ms := make([]Sealed, 46)
		for i := range ms {
			ms[i] = Sealed{Text: b[i*1452+16 : (i+1)*1452], Counter: uint64(i)}
		}
		own := 0.0
		if v == nil {
			// Zero where x/crypto has assembly for the whole AEAD; elsewhere it allocates for itself.
			var n nonce
			own = testing.AllocsPerRun(100, func() { k.cipher.Seal(b[:0], n[:], b[:1452-Overhead], nil) })
			t.Logf("x/crypto allocates %v times a message", own)
		}
		for name, c := range map[string]struct {
			messages float64
			f        func()
		}{
			"Seal":      {1, func() { k.Seal(b[:1452], 1) }},
			"Open":      {1, func() { k.Open(b[:1452], 1) }},
			"SealBatch": {46, func() { k.SealBatch(b, 1452, 16, 0) }},
			"OpenBatch": {46, func() { k.OpenBatch(ms) }},
		} {
			if n := testing.AllocsPerRun(100, c.f); n != own*c.messages {
				t.Errorf("%s: %v allocations", name, n)
			}
		}
	})
}
