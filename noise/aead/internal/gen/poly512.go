package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Poly1305 with 52-bit multiply-add: a number below 2^130 is three limbs of 52, 52 and 26 bits, each in a 64-bit lane. Multiply-add looks
// at the low 52 bits of a factor, so what the first two limbs have above doesn't matter to it; and a product's high half belongs to
// the next limb as it is.
//
// A multiplier is three numbers, so that nothing of a product has to be brought back but the last limb's high half: what the first limb
// of the other factor is multiplied with, the second, and the third, which are 2^52 and 2^104 times the first modulo 2^130-5.
type (
	limbs      [3]VecPhysical
	multiplier [3][3]Op
)

var (
	mask52, maskLast, pad = Z23, Z24, Z25 // of a limb, of the third; and what comes behind a block
	hash                  = limbs{Z20, Z21, Z22}
	low                   = limbs{Z0, Z1, Z2} // sums of products' low 52 bits, by limb
	high                  = limbs{Z3, Z4, Z5} // and of their high 52 bits
)

var clampLow, clampHigh, five, masks512, sigma512 Mem

// constants512 puts constants into read-only memory.
func constants512() {
	sigma512 = table("sigma512", sigma[:]...)
	masks512 = table("poly512", 1<<52-1, 1<<26-1, uint64(1), 0x0ffffffc0fffffff, 0x0ffffffc0ffffffc, 5, 31)
	clampLow, clampHigh, five = masks512.Offset(24), masks512.Offset(32), masks512.Offset(40) // RFC 8439, 2.5
}

// loadConstants512 loads the masks, and what is shifted in behind a block: the bit 2^128.
func loadConstants512() {
	for i, to := range []VecPhysical{mask52, maskLast, pad} {
		VPBROADCASTQ(masks512.Offset(8*i), to)
	}
}

// split makes limbs to multiply of 128-bit numbers: lo is the first as it is. m[2] may be hi. Lanes that has doesn't name have no
// block, and get no bit 2^128.
func split(lo, hi VecPhysical, m limbs, has OpmaskPhysical) []func() {
	return []func(){
		func() { VPSHRDQ(Imm(52), hi, lo, m[1]) },
		func() { VPSHRDQ_Z(Imm(40), pad, hi, has, m[2]) },
	}
}

// seed makes limbs of 128-bit numbers that products can be added to. m[0] may be lo, and m[2] may be hi.
func seed(lo, hi VecPhysical, m limbs, has OpmaskPhysical) {
	do(split(lo, hi, m, has))
	clean(limbs{lo, m[1], m[2]}, m)
}

// clean takes from the first two limbs what they have in excess.
func clean(from, to limbs) {
	VPANDQ(mask52, from[0], to[0])
	VPANDQ(mask52, from[1], to[1])
}

// loadR makes limbs of r, of which the words are given. RFC 8439, 2.5
func loadR(lo, hi VecPhysical, r limbs) {
	VPANDQ_BCST(clampLow, lo, lo)
	VPANDQ_BCST(clampHigh, hi, hi)
	VPSHRDQ(Imm(52), hi, lo, r[1])
	VPSRLQ(Imm(40), hi, r[2])
	clean(limbs{lo, r[1], r[2]}, r)
}

// multiplierOf makes one of clean limbs p, in the registers of m and with three to spare. m[0] may be p.
//
//	2^52 p  = p0 2^52  + p1 2^104 + p2 2^156
//	2^104 p = p0 2^104 + p1 2^156 + p2 2^208
//
// and what is beyond 2^130 is added to the first limb five times.
func multiplierOf(p limbs, m [3]limbs, spare [3]VecPhysical) multiplier {
	y, z, t := spare[0], spare[1], spare[2]
	one, two := m[1], m[2]
	VPSLLQ(Imm(26), p[2], y) // y = (p1 >> 26) + (p2 << 26)
	VPSRLQ(Imm(26), p[1], t)
	VPADDQ(t, y, y)
	VPSLLQ(Imm(2), y, t)
	VPADDQ(t, y, y)
	VPANDQ(maskLast, p[1], one[2])
	VPSLLQ(Imm(26), one[2], z) // z = (p0 >> 26) + (p1 << 26) mod 2^52
	VPSRLQ(Imm(26), p[0], t)
	VPADDQ(t, z, z)
	VPSLLQ(Imm(2), z, t)
	VPADDQ(t, z, two[0])
	VPSRLQ(Imm(52), two[0], t)
	VPADDQ(t, y, two[1])
	VPSRLQ(Imm(52), y, t)
	VPADDQ(t, p[0], one[1])
	VMOVDQA64(y, one[0])
	VPSRLQ(Imm(52), one[1], t)
	VPADDQ(t, one[2], one[2])
	VPANDQ(maskLast, p[0], two[2])
	VPSRLQ(Imm(52), two[1], t)
	VPADDQ(t, two[2], two[2])
	full := [3]limbs{p, one, two}
	var by multiplier
	for i, l := range full {
		for j, v := range l {
			by[i][j] = v
		}
	}
	return by
}

// clearSums uses the short encoding, which the processor knows for a zero without computing it.
func clearSums(sums ...limbs) {
	for _, l := range sums {
		for _, x := range l {
			half := x.(Vec).AsX()
			VPXOR(half, half, half)
		}
	}
}

// multiply sets the sums to a*b.
func multiply(a limbs, b multiplier) {
	clearSums(low, high)
	do(multiplications(a, b))
}

// multiplications add a*b to the sums. 2^6 such products may be added up.
func multiplications(a limbs, b multiplier) (list []func()) {
	for i, row := range b {
		for j, by := range row {
			list = append(list, func() { VPMADD52LUQ(by, a[i], low[j]) }, func() { VPMADD52HUQ(by, a[i], high[j]) })
		}
	}
	return list
}

// carry makes limbs of the sums again: the first two are not clean, the third is below 2^26 + 2^7.
func carry(to limbs) { do(carries(to)) }

func carries(to limbs) []func() {
	excess, t := high[2], high[1]
	return []func(){
		func() { VPADDQ(high[1], low[2], low[2]) },
		func() { VPSLLQ(Imm(26), high[2], excess) }, // 2^156 = 2^130 * 2^26
		func() { VPSRLQ(Imm(26), low[2], t) },
		func() { VPADDQ(excess, t, t) },
		func() { VPADDQ(t, low[0], low[0]) },
		func() { VPSLLQ(Imm(2), t, t) }, // 2^130 = 5
		func() { VPADDQ(t, low[0], to[0]) },
		func() { VPADDQ(high[0], low[1], low[1]) },
		func() { VPANDQ(maskLast, low[2], low[2]) },
		func() { VPSRLQ(Imm(52), to[0], t) },
		func() { VPADDQ(t, low[1], to[1]) },
		func() { VPSRLQ(Imm(52), to[1], t) },
		func() { VPADDQ(t, low[2], to[2]) },
	}
}

// reduce512 makes a clean hash below 2^130 + 2^108 of a sum of eight that are clean.
func reduce512(h limbs) {
	t, u := Z6, Z7
	VPSRLQ(Imm(26), h[2], t)
	VPANDQ(maskLast, h[2], h[2])
	VPSLLQ(Imm(2), t, u)
	VPADDQ(t, h[0], h[0])
	VPADDQ(u, h[0], h[0])
	VPSRLQ(Imm(52), h[0], t)
	VPANDQ(mask52, h[0], h[0])
	VPADDQ(t, h[1], h[1])
	VPSRLQ(Imm(52), h[1], t)
	VPANDQ(mask52, h[1], h[1])
	VPADDQ(t, h[2], h[2])
}

// finish512 makes the tag's two words of a clean hash, as carry leaves it or reduce512, and of s: (hash mod 2^130-5 + s) mod 2^128. The
// hash is below 2^131-10, so that at most once the modulus is to be taken from it. RFC 8439, 2.5.1
func finish512(h limbs, sLow, sHigh, lo, hi VecPhysical) {
	t, u, g := Z6, Z7, limbs{Z0, Z1, Z2}
	// g = h - (2^130-5), if that is not negative.
	VPADDQ_BCST(five, h[0], g[0])
	VPSRLQ(Imm(52), g[0], t)
	VPADDQ(t, h[1], g[1])
	VPSRLQ(Imm(52), g[1], t)
	VPADDQ(t, h[2], g[2])
	VPSRLQ(Imm(26), g[2], t) // 1 if h >= 2^130-5, else 0
	VPXORQ(u, u, u)
	VPSUBQ(t, u, u) // all ones, or zero
	for i := range g {
		VPTERNLOGQ(Imm(0xe2), h[i], u, g[i]) // u ? g : h
	}
	clean(g, g)
	VPSLLQ(Imm(52), g[1], lo)
	VPORQ(g[0], lo, lo)
	VPSRLQ(Imm(12), g[1], hi)
	VPSLLQ(Imm(40), g[2], t)
	VPORQ(t, hi, hi)
	VPADDQ(sLow, lo, lo)
	VPADDQ(sHigh, hi, hi)
	VPCMPUQ(Imm(1), sLow, lo, K1) // lo < sLow: there is a carry
	VPTERNLOGD(Imm(0xff), t, t, t)
	VPSUBQ(t, hi, K1, hi)
}
