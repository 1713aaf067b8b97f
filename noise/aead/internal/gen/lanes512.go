package main

import (
	"slices"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// lanes512 has one message in each 64-bit lane, and takes four blocks of each at a time:
//
//	hash = (hash + m0) r^4 + m1 r^3 + m2 r^2 + m3 r
//
// so that there is one carry for four blocks. Messages end together: a shorter one begins later, with blocks before it that are zero
// and leave a hash of zero as it is.
//
// A hash takes long to come: it has to be multiplied and carried, step by step. So while one quad's hash is on its way, the next quad
// is loaded and turned, and the products of its other three blocks are added up. The first quad has a hash of zero before it.
func lanes512() {
	keyOffsets := table("keys512", multiples(8, keySize)...)

	TEXT("lanes512", NOSPLIT, "func(keys, l, powers *byte)")
	keys := Load(Param("keys"), RDI)
	l := Load(Param("l"), RSI)
	kept := Load(Param("powers"), RCX)
	loadConstants512()
	field := func(offset int) Mem { return Mem{Base: l, Disp: offset} }
	masks := Mem{Base: kept, Disp: 64 * 20} // behind the powers

	// r and its powers.
	key := func(word int, to VecPhysical) {
		VMOVDQU64(keyOffsets, Z6)
		KXNORQ(K1, K1, K1)
		VPGATHERQQ(Mem{Base: keys, Index: Z6, Scale: 1, Disp: 8 * word}, K1, to)
	}
	r := limbs{Z10, Z11, Z12}
	key(0, Z8)
	key(1, Z9)
	VPANDQ_BCST(clampLow, Z8, Z8)
	VPANDQ_BCST(clampHigh, Z9, Z9)
	split(Z8, Z9, r)
	power := func(n int) (m multiplier) {
		for i := range m {
			m[i] = Mem{Base: kept, Disp: 64 * (5*(n-1) + i)}
		}
		return m
	}
	store := func(n int, m limbs) multiplier {
		full := multiplierOf(m, Z8, Z9, Z6)
		for i, to := range power(n) {
			VMOVDQU64(full[i], to)
		}
		return full
	}
	first := store(1, r)
	clearSums()
	multiplyAdd(r, first)
	square := limbs{Z13, Z14, Z15}
	carry(square)
	second := store(2, square)
	clearSums()
	multiplyAdd(r, second)
	carry(r)
	clearSums()
	multiplyAdd(square, second)
	carry(square)
	store(3, r)
	store(4, square)
	for _, h := range hash {
		VPXORQ(h, h, h)
	}
	clearSums()
	VPBROADCASTQ(masks512.Offset(48), clear8)

	// The texts, each at the place of its first quad's first block.
	texts := []GPPhysical{R8, R9, R10, R11, R12, R13, R14, R15}
	for i, text := range texts {
		MOVQ(field(lanesSkip+8*i), RAX)
		SHLQ(Imm(4), RAX)
		MOVQ(field(lanesText+8*i), text)
		SUBQ(RAX, text)
	}
	at, last, full := RAX, RBX, RDX
	MOVQ(field(lanesQuads), last)
	DECQ(last)
	SHLQ(Imm(6), last)
	MOVQ(field(lanesFull), full)
	SHLQ(Imm(6), full)
	XORL(at.As32(), at.As32())

	Label("lanesQuad")
	CMPQ(at, last)
	JE(LabelRef("lanesEdge"))
	CMPQ(at, full)
	JB(LabelRef("lanesEdge"))
	JNE(LabelRef("lanesLoad"))
	for _, k := range []OpmaskPhysical{K4, K5, K6, K7} {
		KXNORQ(k, k, k)
	}
	Label("lanesLoad")
	for i, text := range texts {
		VMOVDQU64(Mem{Base: text, Index: at, Scale: 1}, rows[i])
	}
	Label("lanesLoaded")
	turn, words, unused := turn64()
	strew(multiplications(hash, inRegisters(power(4))), turn)
	CMPQ(at, last)
	JNE(LabelRef("lanesHash"))
	VPORQ(field(lanesLast), words[6], words[6])
	VPORQ(field(lanesLast+64), words[7], words[7])
	Label("lanesHash")
	var m [4]limbs
	var parts [4][]func()
	for b, has := range []OpmaskPhysical{K4, K5, K6, K7} {
		m[b], parts[b] = splitUnmasked(words[2*b], words[2*b+1], unused[b], has)
	}
	m[0], parts[0] = splitToAdd(words[0], words[1], unused[0], K4)
	strew(carries(hash), slices.Concat(parts[1:]...))
	clearSums()
	do(multiplications(m[1], inRegisters(power(3))))
	strew(multiplications(m[2], inRegisters(power(2))), parts[0])
	do(multiplications(m[3], inRegisters(power(1))))
	addLimbs(m[0], hash)
	ADDQ(Imm(64), at)
	CMPQ(at, last)
	JBE(LabelRef("lanesQuad"))
	do(multiplications(hash, inRegisters(power(4))))
	carry(hash)

	Load(Param("keys"), RDI)
	key(2, Z8)
	key(3, Z9)
	finish512(hash, Z8, Z9, Z10, Z11)
	VMOVDQU64(Z10, field(lanesTag))
	VMOVDQU64(Z11, field(lanesTag+64))
	VPXORQ(Z0, Z0, Z0)
	for n := 1; n <= 4; n++ {
		for _, to := range power(n) {
			VMOVDQU64(Z0, to)
		}
	}
	clear512()
	RET()

	// A quad in which not all lanes have four whole blocks.
	Label("lanesEdge")
	lanesEdge(field, masks, at)
	for i, text := range texts {
		k := []OpmaskPhysical{K1, K2, K3}[i%3]
		KMOVQ(masks.Offset(8*i), k)
		VMOVDQU8_Z(Mem{Base: text, Index: at, Scale: 1}, k, rows[i])
	}
	JMP(LabelRef("lanesLoaded"))
}

// inRegisters loads a multiplier.
func inRegisters(m multiplier) (in multiplier) {
	for i := range m {
		in[i] = zmm(26 + i)
		VMOVDQU64(m[i], in[i])
	}
	return in
}

// lanesEdge stores the masks of the bytes that lanes have in the quad at an offset, and sets K4 - K7 to the lanes that have the quad's
// first block, second, and so on.
func lanesEdge(field func(int) Mem, masks Mem, at GPPhysical) {
	begin, end, spare, ones := Z8, Z9, Z10, Z11
	VPBROADCASTQ(at, spare)
	VPSLLQ(Imm(4), field(lanesSkip), begin)
	VPSUBQ(spare, begin, begin)
	VPADDQ(field(lanesLen), begin, end)
	VPXORQ(spare, spare, spare)
	VPMAXSQ(spare, begin, begin)
	VPMAXSQ(spare, end, end)
	VPTERNLOGD(Imm(0xff), ones, ones, ones)
	VPSLLVQ(begin, ones, begin) // zero when shifted by 64 or more
	VPSLLVQ(end, ones, end)
	VPANDNQ(begin, end, begin)
	VMOVDQU64(begin, masks)

	MOVQ(at, RDI)
	SHRQ(Imm(4), RDI)
	VMOVDQU64(field(lanesSkip), end)
	for _, k := range []OpmaskPhysical{K4, K5, K6, K7} {
		VPBROADCASTQ(RDI, spare)
		VPCMPUQ(Imm(2), spare, end, k) // skip <= block
		INCQ(RDI)
	}
}

// splitUnmasked makes limbs of 128-bit numbers, which are multiplied as they are: multiply-add looks at 52 bits of a limb only. So the
// first limb is simply the low word, and the others do without the eight bits that it has in excess of 44. Lanes that has doesn't name
// have no block, and get no bit 2^128. hi is lost.
func splitUnmasked(lo, hi, middle VecPhysical, has OpmaskPhysical) (m limbs, parts []func()) {
	return limbs{lo, middle, hi}, []func(){
		func() { VPSLLQ(Imm(20), hi, Z6) },
		func() { VPSRLQ(Imm(44), lo, middle) },
		func() { VPSRLQ(Imm(24), hi, hi) },
		func() { VPTERNLOGQ(Imm(0xa8), clear8, Z6, middle) },   // (middle | Z6) & clear8
		func() { VPTERNLOGQ(Imm(0xea), pad, clear8, has, hi) }, // hi & clear8 | pad
	}
}

// splitToAdd makes limbs that can be added to others before they are multiplied.
func splitToAdd(lo, hi, middle VecPhysical, has OpmaskPhysical) (m limbs, parts []func()) {
	return limbs{lo, middle, hi}, []func(){
		func() { VPSLLQ(Imm(20), hi, Z6) },
		func() { VPSRLQ(Imm(44), lo, middle) },
		func() { VPSRLQ(Imm(24), hi, hi) },
		func() { VPANDQ(mask44, lo, lo) },
		func() { VPTERNLOGQ(Imm(0xa8), mask44, Z6, middle) },
		func() { VPORQ(pad, hi, has, hi) },
	}
}

var (
	rows   = []VecPhysical{Z8, Z9, Z10, Z11, Z12, Z13, Z14, Z15}
	clear8 = Z31 // all bits but the lowest eight
)

// turn64 transposes the rows: words[j] has word j of each. It uses no more than one vector besides; with this one four are unused after.
func turn64() (turn []func(), words, unused []VecPhysical) {
	words, unused = slices.Clone(rows), []VecPhysical{Z16, Z17, Z18, Z19}
	exchange := func(distance int, low, high func(b, a, to VecPhysical)) {
		for i := range 8 {
			if i&distance != 0 {
				continue
			}
			a, b, spare := words[i], words[i+distance], unused[0]
			turn = append(turn, func() { high(b, a, spare) }, func() { low(b, a, a) })
			words[i+distance], unused[0] = spare, b
		}
	}
	even := func(b, a, to VecPhysical) { VSHUFI64X2(Imm(0x88), b, a, to) }
	odd := func(b, a, to VecPhysical) { VSHUFI64X2(Imm(0xdd), b, a, to) }
	exchange(1, func(b, a, to VecPhysical) { VPUNPCKLQDQ(b, a, to) }, func(b, a, to VecPhysical) { VPUNPCKHQDQ(b, a, to) })
	exchange(2, even, odd)
	exchange(4, even, odd)
	return turn, words, unused
}
