package aead

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"
)

// Poly1305 where carries run far, by way of the kernels themselves: r, s and the block behind the text are what no message has.

// polyKeys are values of r, which the code clamps, and of s.
var polyKeys = map[string]string{
	"zero":          strings.Repeat("00", 32),
	"all ones":      strings.Repeat("ff", 32),
	"largest r":     "ffffff0ffcffff0ffcffff0ffcffff0f" + strings.Repeat("00", 16),
	"smallest r":    "01" + strings.Repeat("00", 31),
	"r = 2":         "02" + strings.Repeat("00", 31),
	"high word":     strings.Repeat("00", 8) + "04" + strings.Repeat("00", 7) + strings.Repeat("ff", 16),
	"top of r":      strings.Repeat("00", 15) + "0f" + strings.Repeat("00", 16),
	"s alone":       strings.Repeat("00", 16) + strings.Repeat("ff", 16),
	"limbs of 26":   "ffffff03000000ffffff030000000000" + strings.Repeat("ab", 16),
	"limbs of 44":   "ffffffffff0f00000000000000000000" + "01" + strings.Repeat("00", 15),
	"full r^2":      "f273750e6c6df40ccc4b7308507c8701" + strings.Repeat("00", 16), // its low 52 bits are ones
	"end of r^8":    "5c1eec04d4f7250850abd00c00a8700c" + strings.Repeat("00", 16), // its second word is all ones: the square has a carry to the last
	"carry of r^16": "98b44f0d7825b202b0c01d0fb002cb0d" + strings.Repeat("00", 16), // of its first word, when what is beyond 2^130 is added five times
	"s nearly full": "05" + strings.Repeat("00", 15) + "fb" + strings.Repeat("ff", 15),
}

// polyBlocks are blocks to make texts of. RFC 8439, A.3 has the idea of most: with r = 1 or 2 they make sums around 2^130-5 and 2^128.
var polyBlocks = []string{
	strings.Repeat("ff", 16),
	strings.Repeat("00", 16),
	"fb" + strings.Repeat("fe", 15),
	strings.Repeat("01", 16),
	"f0" + strings.Repeat("ff", 15),
	"11" + strings.Repeat("00", 15),
	"fdffffffffffffffffffffffffffffff",
	"faffffffffffffffffffffffffffffff",
	"fbffffffffffffffffffffffffffffff",
	"fcffffffffffffffffffffffffffffff",
	"e33594d7505e43b9", // and no more: a last block that is not whole
}

func TestPolyEdges(t *testing.T) {
	for _, v := range vectors() {
		t.Run(v.name, func(t *testing.T) {
			for name, key := range polyKeys {
				key := unhex(t, key)
				for text := range polyTexts(t) {
					text := []byte(text)
					for _, last := range [][2]uint64{{0, 0}, {0, uint64(len(text))}, {^uint64(0), ^uint64(0)}, {1, 0}, {^uint64(0) - 4, ^uint64(0)}} {
						whole := pad16(bytes.Clone(text))
						whole = binary.LittleEndian.AppendUint64(whole, last[0])
						whole = binary.LittleEndian.AppendUint64(whole, last[1])
						want := poly1305(key, whole)
						for _, beside := range []int{1, 2, 8, 16} {
							if got := macOf(v, key, text, last, beside); !bytes.Equal(got, want) {
								t.Fatalf("%s, %d side by side, last %x, text %x:\n got %x\nwant %x", name, beside, last, text, got, want)
							}
						}
					}
				}
			}
		})
	}
}

// TestPolyMixed has messages side by side of which each has another key, other blocks and, but for some groups, another length.
func TestPolyMixed(t *testing.T) {
	c := newChance(10)
	names := slices.Sorted(maps.Keys(polyKeys))
	for range 400 {
		cases := make([]polyCase, 1+c.IntN(groupSize))
		size := c.IntN(500)
		most := []int{1, 70, 500}[c.IntN(3)] // bytes that lengths differ by
		for i := range cases {
			x := &cases[i]
			x.key = unhex(t, polyKeys[names[c.IntN(len(names))]])
			for n := size + c.IntN(most); len(x.text) < n; x.text = x.text[:min(len(x.text), n)] {
				x.text = append(x.text, unhex(t, polyBlocks[c.IntN(len(polyBlocks)-1)])...)
			}
			x.last = [2]uint64{-c.Uint64N(7), ^uint64(0)}
		}
		for _, v := range vectors() {
			for i, got := range macsOf(v, cases) {
				x := &cases[i]
				whole := binary.LittleEndian.AppendUint64(pad16(bytes.Clone(x.text)), x.last[0])
				if want := poly1305(x.key, binary.LittleEndian.AppendUint64(whole, x.last[1])); !bytes.Equal(got, want) {
					t.Fatalf("%s: message %d of %d, of %d bytes, key %x:\n got %x\nwant %x", v.name, i, len(cases), len(x.text), x.key, got, want)
				}
			}
		}
	}
}

// polyTexts are texts of many lengths, of one block over and over, and of two in turn.
func polyTexts(t *testing.T) map[string]bool {
	texts := map[string]bool{"": true}
	for i, a := range polyBlocks {
		one, other := unhex(t, a), unhex(t, polyBlocks[(i+1)%len(polyBlocks)])
		for _, n := range []int{1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 40} {
			texts[string(bytes.Repeat(one, n))] = true
			texts[string(bytes.Repeat(append(bytes.Clone(other), one...), n))] = true
		}
	}
	return texts
}

// TestPolyFullLimbs has sums whose third limb of 26 bits is just above 2^26, times a power of r whose low 26 bits are ones, and so the third
// limb of 2^104 times that. High halves of products of third limbs are zero but there.
func TestPolyFullLimbs(t *testing.T) {
	c := newChance(9)
	for _, r := range []string{"261b5a061090ff0484f6400f64106a01", "54aa2903dcbae6039ced9f06fc0d8103", "79ee9a05b4d4a508ac4732027455d705"} {
		key := append(unhex(t, r), c.bytes(16)...)
		r := numberOf(key[:16])
		for range 40 {
			text := c.bytes(7 * 16)
			sum := new(big.Int)
			for block := range slices.Chunk(text[:3*16], 16) {
				sum.Mul(sum.Add(sum, numberOf(append(bytes.Clone(block), 1))), r)
			}
			want := numberOf(append(c.bytes(13), 4)) // 4 * 2^104, and more: the limbs make it so much more than 2^130-5
			fourth := want.Mod(want.Sub(want, sum), polyModulus).FillBytes(make([]byte, 17))
			if slices.Reverse(fourth); fourth[16] != 1 {
				continue // is no block
			}
			copy(text[3*16:], fourth)
			last := [2]uint64{c.Uint64(), c.Uint64()}
			tag := poly1305(key, binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(bytes.Clone(text), last[0]), last[1]))
			for _, v := range vectors() {
				if got := macOf(v, key, text, last, 8); !bytes.Equal(got, tag) {
					t.Fatalf("%s: r %x, text %x, last %x:\n got %x\nwant %x", v.name, key[:16], text, last, got, tag)
				}
			}
		}
	}
}

// TestPolyNearTheModulus has sums that are the last few numbers before 2^130-5, and the first after it: one block, r = 1, and a last
// block that makes up for it. (2^128 + a) + (2^128 + b) is below 2^130, so r = 2 doubles what a has.
func TestPolyNearTheModulus(t *testing.T) {
	seen := map[string]bool{}
	for _, v := range vectors() {
		for r := byte(1); r <= 4; r++ {
			key := append([]byte{r}, make([]byte, 31)...)
			for first := range uint64(12) {
				for second := range uint64(12) {
					for blocks := range 4 {
						text := bytes.Repeat(unhex(t, strings.Repeat("ff", 16)), blocks)
						text = binary.LittleEndian.AppendUint64(text, ^uint64(0)-first)
						text = binary.LittleEndian.AppendUint64(text, ^uint64(0))
						last := [2]uint64{^uint64(0) - second, ^uint64(0)}
						whole := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(bytes.Clone(text), last[0]), last[1])
						want := poly1305(key, whole)
						seen[hex.EncodeToString(want)] = true
						for _, beside := range []int{1, 8} {
							if got := macOf(v, key, text, last, beside); !bytes.Equal(got, want) {
								t.Fatalf("%s", fmt.Sprintf("%s: r %d, text %x, last %x, %d side by side:\n got %x\nwant %x", v.name, r, text, last, beside, got, want))
							}
						}
					}
				}
			}
		}
	}
	if len(vectors()) == 0 {
		return
	}
	for wrapped := range 4 { // sums just past the modulus
		tag := append([]byte{byte(wrapped)}, make([]byte, 15)...)
		if !seen[hex.EncodeToString(tag)] {
			t.Errorf("no sum is the modulus plus %d", wrapped)
		}
	}
	for before := range 4 {
		tag := append([]byte{byte(0xfa - before)}, bytes.Repeat([]byte{0xff}, 15)...)
		if !seen[hex.EncodeToString(tag)] {
			t.Errorf("no sum is the modulus less %d", before+1)
		}
	}
}
