package main

import (
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
	VMOVDQU64(keyOffsets, Z31)
	key := func(word int, to VecPhysical) {
		KXNORQ(K1, K1, K1)
		VPGATHERQQ(Mem{Base: keys, Index: Z31, Scale: 1, Disp: 8 * word}, K1, to)
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
	carry(square, Z6, Z7)
	second := store(2, square)
	clearSums()
	multiplyAdd(r, second)
	carry(r, Z6, Z7)
	clearSums()
	multiplyAdd(square, second)
	carry(square, Z6, Z7)
	store(3, r)
	store(4, square)
	for _, h := range hash {
		VPXORQ(h, h, h)
	}

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
		VMOVDQU64(Mem{Base: text, Index: at, Scale: 1}, zmm(i))
	}
	Label("lanesLoaded")
	turn64()
	CMPQ(at, last)
	JNE(LabelRef("lanesHash"))
	VPORQ(field(lanesLast), Z14, Z14)
	VPORQ(field(lanesLast+64), Z15, Z15)
	Label("lanesHash")
	clearSums()
	block := func(b int) (m limbs, parts []func()) {
		lo, hi, middle := zmm(8+2*b), zmm(9+2*b), zmm(16+b)
		return limbs{lo, middle, hi}, []func(){
			func() { VPSLLQ(Imm(20), hi, Z6) },
			func() { VPSRLQ(Imm(44), lo, middle) },
			func() { VPSRLQ(Imm(24), hi, hi) },
			func() { VPANDQ(mask44, lo, lo) },
			func() { VPTERNLOGQ(Imm(0xa8), mask44, Z6, middle) },
			func() { VPORQ(pad, hi, []OpmaskPhysical{K4, K5, K6, K7}[b], hi) },
		}
	}
	m, parts := block(1)
	do(parts)
	for _, b := range []int{2, 3, 0} { // what waits for the last quad's hash comes last
		next, parts := block(b)
		by := 4 - (b+3)%4
		strew(multiplications(m, inRegisters(power(by))), parts)
		m = next
	}
	addLimbs(m, hash)
	do(multiplications(hash, inRegisters(power(4))))
	carry(hash, Z6, Z7)
	ADDQ(Imm(64), at)
	CMPQ(at, last)
	JBE(LabelRef("lanesQuad"))

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
		VMOVDQU8_Z(Mem{Base: text, Index: at, Scale: 1}, k, zmm(i))
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
	begin, end, spare, ones := Z0, Z1, Z2, Z3
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

// turn64 makes register 8+j word j of the rows in registers 0 to 7.
func turn64() {
	for i := 0; i < 8; i += 2 {
		VPUNPCKLQDQ(zmm(i+1), zmm(i), zmm(8+i))
		VPUNPCKHQDQ(zmm(i+1), zmm(i), zmm(9+i))
	}
	for odd := range 2 {
		a, b, c, d, to := zmm(8+odd), zmm(10+odd), zmm(12+odd), zmm(14+odd), 4*odd
		VSHUFI64X2(Imm(0x88), b, a, zmm(to))
		VSHUFI64X2(Imm(0x88), d, c, zmm(to+1))
		VSHUFI64X2(Imm(0xdd), b, a, zmm(to+2))
		VSHUFI64X2(Imm(0xdd), d, c, zmm(to+3))
	}
	for odd := range 2 {
		from := 4 * odd
		VSHUFI64X2(Imm(0x88), zmm(from+1), zmm(from), zmm(8+odd))
		VSHUFI64X2(Imm(0xdd), zmm(from+1), zmm(from), zmm(12+odd))
		VSHUFI64X2(Imm(0x88), zmm(from+3), zmm(from+2), zmm(10+odd))
		VSHUFI64X2(Imm(0xdd), zmm(from+3), zmm(from+2), zmm(14+odd))
	}
}
