package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Poly1305 with 52-bit multiply-add: a number below 2^130 is three limbs of 44, 44 and 42 bits, each in a 64-bit lane. What a product
// has from 2^132 on comes back 20 times (2^132 = 4 * 2^130, which is 4 * 5), so a multiplier has five vectors: its limbs, and 20 times
// its second and third.
type (
	limbs      [3]VecPhysical
	multiplier [5]Op
)

var (
	mask44, mask42, pad = Z23, Z24, Z25
	hash                = limbs{Z20, Z21, Z22}
	low                 = limbs{Z0, Z1, Z2} // sums of products' low 52 bits, by limb
	high                = limbs{Z3, Z4, Z5} // and of their high 52 bits
)

var clampLow, clampHigh, five, masks512 Mem

// constants512 puts the constants of Poly1305 into read-only memory.
func constants512() {
	masks512 = table("poly512", 1<<44-1, 1<<42-1, uint64(1)<<40, 0x0ffffffc0fffffff, 0x0ffffffc0ffffffc, 5,
		^uint64(0xff))
	clampLow, clampHigh, five = masks512.Offset(24), masks512.Offset(32), masks512.Offset(40) // RFC 8439, 2.5
}

// loadConstants512 loads the masks, and the bit 2^128 as it stands in the third limb.
func loadConstants512() {
	for i, to := range []VecPhysical{mask44, mask42, pad} {
		VPBROADCASTQ(masks512.Offset(8*i), to)
	}
}

// split makes limbs of 128-bit numbers. m[2] may be hi; lo and hi are lost.
func split(lo, hi VecPhysical, m limbs) {
	VPANDQ(mask44, lo, m[0])
	VPSRLQ(Imm(44), lo, m[1])
	VPSLLQ(Imm(20), hi, lo)
	VPSRLQ(Imm(24), hi, m[2])
	VPTERNLOGQ(Imm(0xa8), mask44, lo, m[1]) // (m[1] | lo) & mask44
}

// times20 sets to = 20*from.
func times20(from, to, spare VecPhysical) {
	VPSLLQ(Imm(4), from, to)
	VPSLLQ(Imm(2), from, spare)
	VPADDQ(spare, to, to)
}

// multiplierOf completes limbs that stand in registers.
func multiplierOf(m limbs, s1, s2, spare VecPhysical) multiplier {
	times20(m[1], s1, spare)
	times20(m[2], s2, spare)
	return multiplier{m[0], m[1], m[2], s1, s2}
}

// clearSums uses the short encoding, which the processor knows for a zero without computing it.
func clearSums() {
	for i := range 3 {
		for _, x := range []Vec{low[i].(Vec), high[i].(Vec)} {
			VPXOR(x.AsX(), x.AsX(), x.AsX())
		}
	}
}

// multiplyAdd adds a*b to the sums. 2^12 such products may be added up.
func multiplyAdd(a limbs, b multiplier) { do(multiplications(a, b)) }

func multiplications(a limbs, b multiplier) (list []func()) {
	for i, row := range [3][3]int{{0, 1, 2}, {4, 0, 1}, {3, 4, 0}} {
		for j, n := range row {
			list = append(list, func() { VPMADD52LUQ(b[n], a[i], low[j]) })
		}
		for j, n := range row {
			list = append(list, func() { VPMADD52HUQ(b[n], a[i], high[j]) })
		}
	}
	return list
}

// carry makes limbs of the sums again: below 2^44, 2^44+2^16, 2^42+2^14.
func carry(to limbs) { do(carries(to)) }

// carries is carry, with what the third limb has in excess first: this has the longest way to go.
func carries(to limbs) []func() {
	excess, fives := low[2], high[2] // once they are no sums any more
	return []func(){
		func() { VPSLLQ(Imm(8), high[1], high[1]) }, // 2^52 = 2^44 * 2^8
		func() { VPADDQ(high[1], low[2], low[2]) },
		func() { VPSLLQ(Imm(10), high[2], high[2]) }, // 2^(88+52) = 2^130 * 2^10
		func() { VPANDQ(mask42, low[2], to[2]) },
		func() { VPSRLQ(Imm(42), low[2], excess) },
		func() { VPADDQ(high[2], excess, excess) },
		func() { VPANDQ(mask44, low[0], to[0]) },
		func() { VPSRLQ(Imm(44), low[0], low[0]) },
		func() { VPSLLQ(Imm(2), excess, fives) }, // 2^130 = 5
		func() { VPADDQ(excess, to[0], to[0]) },
		func() { VPSLLQ(Imm(8), high[0], high[0]) },
		func() { VPADDQ(fives, to[0], to[0]) },
		func() { VPADDQ(high[0], low[1], low[1]) },
		func() { VPANDQ(mask44, low[1], to[1]) },
		func() { VPSRLQ(Imm(44), low[1], low[1]) },
		func() { VPADDQ(low[0], to[1], to[1]) },
		func() { VPSRLQ(Imm(44), to[0], low[0]) },
		func() { VPADDQ(low[1], to[2], to[2]) },
		func() { VPANDQ(mask44, to[0], to[0]) },
		func() { VPADDQ(low[0], to[1], to[1]) },
	}
}

// finish512 makes the tag's two words of the hash, which is carried, and of s: (hash mod 2^130-5 + s) mod 2^128. RFC 8439, 2.5.1
func finish512(h limbs, sLow, sHigh, lo, hi VecPhysical) {
	t, u, g := Z6, Z7, limbs{Z0, Z1, Z2}
	for range 2 {
		VPSRLQ(Imm(44), h[1], t)
		VPANDQ(mask44, h[1], h[1])
		VPADDQ(t, h[2], h[2])
		VPSRLQ(Imm(42), h[2], t)
		VPANDQ(mask42, h[2], h[2])
		VPSLLQ(Imm(2), t, u)
		VPADDQ(t, h[0], h[0])
		VPADDQ(u, h[0], h[0])
		VPSRLQ(Imm(44), h[0], t)
		VPANDQ(mask44, h[0], h[0])
		VPADDQ(t, h[1], h[1])
	}
	// g = h - (2^130-5), if that is not negative.
	VPADDQ_BCST(five, h[0], g[0])
	VPSRLQ(Imm(44), g[0], t)
	VPADDQ(t, h[1], g[1])
	VPSRLQ(Imm(44), g[1], t)
	VPADDQ(t, h[2], g[2])
	VPSRLQ(Imm(42), g[2], t) // 1 if h >= 2^130-5, else 0
	VPXORQ(u, u, u)
	VPSUBQ(t, u, u) // all ones, or zero
	for i, mask := range [...]VecPhysical{mask44, mask44, mask42} {
		VPANDQ(mask, g[i], g[i])
		VPTERNLOGQ(Imm(0xe2), h[i], u, g[i]) // u ? g : h
	}
	VPSLLQ(Imm(44), g[1], lo)
	VPORQ(g[0], lo, lo)
	VPSRLQ(Imm(20), g[1], hi)
	VPSLLQ(Imm(24), g[2], t)
	VPORQ(t, hi, hi)
	VPADDQ(sLow, lo, lo)
	VPADDQ(sHigh, hi, hi)
	VPCMPUQ(Imm(1), sLow, lo, K1) // lo < sLow: there is a carry
	VPTERNLOGD(Imm(0xff), t, t, t)
	VPSUBQ(t, hi, K1, hi)
}
