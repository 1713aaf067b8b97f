package aead

import (
	"bytes"
	"encoding/binary"
	"math/big"
	"math/bits"
	"slices"
	"testing"
)

// reference seals as RFC 8439 tells it, section by section and with big integers. No published vector has WireGuard's shape (no
// additional data, four zeroes before the counter): so this twin is held against the published ones, and Key against the twin.
func reference(key, nonce, additional, text []byte) []byte {
	out := chacha20(key, nonce, 1, text)
	mac := pad16(bytes.Clone(additional))
	mac = pad16(append(mac, out...))
	mac = binary.LittleEndian.AppendUint64(mac, uint64(len(additional)))
	mac = binary.LittleEndian.AppendUint64(mac, uint64(len(text)))
	return append(out, poly1305(chacha20(key, nonce, 0, make([]byte, 32)), mac)...) // 2.8, 2.6
}

func pad16(b []byte) []byte { return append(b, make([]byte, -len(b)&15)...) }

// chacha20 is section 2.4.
func chacha20(key, nonce []byte, counter uint32, text []byte) []byte {
	out := bytes.Clone(text)
	for i := range out {
		if i%64 == 0 {
			block := chachaBlock(key, nonce, counter+uint32(i/64))
			for j := i; j < min(i+64, len(out)); j++ {
				out[j] ^= block[j-i]
			}
		}
	}
	return out
}

// chachaBlock is section 2.3.
func chachaBlock(key, nonce []byte, counter uint32) []byte {
	initial := []uint32{0x61707865, 0x3320646e, 0x79622d32, 0x6b206574}
	for i := 0; i < 32; i += 4 {
		initial = append(initial, binary.LittleEndian.Uint32(key[i:]))
	}
	initial = append(initial, counter)
	for i := 0; i < 12; i += 4 {
		initial = append(initial, binary.LittleEndian.Uint32(nonce[i:]))
	}
	s := slices.Clone(initial)
	quarter := func(a, b, c, d int) {
		for _, r := range []struct{ to, from, turned, by int }{{a, b, d, 16}, {c, d, b, 12}, {a, b, d, 8}, {c, d, b, 7}} {
			s[r.to] += s[r.from]
			s[r.turned] = bits.RotateLeft32(s[r.turned]^s[r.to], r.by)
		}
	}
	for range 10 {
		for i := range 4 {
			quarter(i, 4+i, 8+i, 12+i)
		}
		for i := range 4 {
			quarter(i, 4+(i+1)%4, 8+(i+2)%4, 12+(i+3)%4)
		}
	}
	var out []byte
	for i := range s {
		out = binary.LittleEndian.AppendUint32(out, s[i]+initial[i])
	}
	return out
}

var polyModulus = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 130), big.NewInt(5))

func numberOf(littleEndian []byte) *big.Int {
	b := bytes.Clone(littleEndian)
	slices.Reverse(b)
	return new(big.Int).SetBytes(b)
}

// poly1305 is section 2.5.
func poly1305(key, message []byte) []byte {
	clamp, _ := new(big.Int).SetString("0ffffffc0ffffffc0ffffffc0fffffff", 16)
	r := new(big.Int).And(numberOf(key[:16]), clamp)
	a := new(big.Int)
	for part := range slices.Chunk(message, 16) {
		a.Add(a, numberOf(append(bytes.Clone(part), 1)))
		a.Mod(a.Mul(a, r), polyModulus)
	}
	a.Add(a, numberOf(key[16:]))
	tag := a.FillBytes(make([]byte, 32))
	slices.Reverse(tag)
	return tag[:16]
}

func TestKeyIsTheReference(t *testing.T) {
	forEach(t, func(t *testing.T, v *vector) {
		for _, counter := range []uint64{0, 0x0102030405060708, ^uint64(0)} {
			for size := range 530 {
				key := secret(byte(size))
				key[3] = byte(counter)
				text := make([]byte, size)
				for i := range text {
					text[i] = byte(i * size)
				}
				iv := binary.LittleEndian.AppendUint64(make([]byte, 4), counter)
				want := reference(key[:], iv, nil, text)
				got := append(bytes.Clone(text), make([]byte, Overhead)...)
				k := newKeyFor(t, v, key[:])
				if k.Seal(got, counter); !bytes.Equal(got, want) {
					t.Fatalf("counter %d, %d bytes:\n got %x\nwant %x", counter, size, got, want)
				}
				if !k.Open(got, counter) || !bytes.Equal(got[:size], text) {
					t.Fatalf("counter %d, %d bytes: does not open", counter, size)
				}
			}
		}
	})
}
