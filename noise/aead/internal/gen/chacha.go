package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// sigma is "expand 32-byte k", the first row of the state. RFC 8439, 2.3
var sigma = [4]uint32{0x61707865, 0x3320646e, 0x79622d32, 0x6b206574}

// quarters are the four quarter rounds of an even and of an odd round, by the words of the state. RFC 8439, 2.3
var quarters = [2][4][4]int{
	{{0, 4, 8, 12}, {1, 5, 9, 13}, {2, 6, 10, 14}, {3, 7, 11, 15}},
	{{0, 5, 10, 15}, {1, 6, 11, 12}, {2, 7, 8, 13}, {3, 4, 9, 14}},
}

// steps are the four steps of a quarter round: to += from; turned = (turned ^ to) <<< by. RFC 8439, 2.1
var steps = [4]struct{ to, from, turned, by int }{{0, 1, 3, 16}, {2, 3, 1, 12}, {0, 1, 3, 8}, {2, 3, 1, 7}}

func zmm(n int) VecPhysical { return vectors512[n] }
func ymm(n int) VecPhysical { return vectors256[n] }

var (
	vectors512 = []VecPhysical{
		Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z8, Z9, Z10, Z11, Z12, Z13, Z14, Z15,
		Z16, Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z24, Z25, Z26, Z27, Z28, Z29, Z30, Z31,
	}
	vectors256 = []VecPhysical{
		Y0, Y1, Y2, Y3, Y4, Y5, Y6, Y7, Y8, Y9, Y10, Y11, Y12, Y13, Y14, Y15,
		Y16, Y17, Y18, Y19, Y20, Y21, Y22, Y23, Y24, Y25, Y26, Y27, Y28, Y29, Y30, Y31,
	}
)

// table puts words into read-only memory.
func table[T uint32 | uint64](name string, words ...T) Mem {
	m := GLOBL(name, RODATA|NOPTR)
	at := 0
	for _, w := range words {
		switch w := any(w).(type) {
		case uint32:
			DATA(at, U32(w))
			at += 4
		case uint64:
			DATA(at, U64(w))
			at += 8
		}
	}
	return m
}

func iota32(n int) (words []uint32) {
	for i := range n {
		words = append(words, uint32(i))
	}
	return words
}

func multiples(n, of int) (words []uint64) {
	for i := range n {
		words = append(words, uint64(i*of))
	}
	return words
}

// clear512 leaves nothing in any vector, in a mask, or in a general register that words of ChaCha20 have been in and that isn't an
// address by now. It does without VZEROALL, which takes longer.
func clear512() {
	for _, word := range []GPPhysical{EAX, EBX, EDX, ESI} {
		XORL(word, word)
	}
	for n := range 32 {
		if low := zmm(n).(Vec).AsX(); n < 16 {
			VPXOR(low, low, low) // and above
		} else {
			VPXORD(zmm(n), zmm(n), zmm(n))
		}
	}
	for _, k := range []OpmaskPhysical{K1, K2, K3, K4, K5, K6, K7} {
		KXORQ(k, k, k)
	}
	VZEROUPPER()
}
