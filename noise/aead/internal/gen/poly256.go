package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Poly1305 twice: in general registers, with numbers of 64, 64 and a few bits, and with five limbs of 26 bits in vectors of four lanes.
var (
	words256      = [3]GPPhysical{R8, R9, R10}
	r256, rHigh   = R11, R12
	rHigh5        = R13 // 5/4 of rHigh, whose low two bits are zero: how what is beyond 2^130 comes back
	hash256       = [5]VecPhysical{Y0, Y1, Y2, Y3, Y4}
	sums256       = [5]VecPhysical{Y5, Y6, Y7, Y8, Y9}
	spare256      = [4]VecPhysical{Y10, Y11, Y12, Y13}
	mask26, pad26 = Y14, Y15
)

// limbs256 are the limbs of one number that wordsOf256 makes words of.
var limbs256 = [5]GPPhysical{RAX, RBX, RDX, RDI, R14}

var poly256 Mem

// constants256 puts the constants of Poly1305 into read-only memory: the mask of a limb, the bit 2^128 in the last limb, and what r is
// clamped with. RFC 8439, 2.5
func constants256() {
	poly256 = table("poly256", uint64(1)<<26-1, 1<<24, 0x0ffffffc0fffffff, 0x0ffffffc0ffffffc)
}

// vectorFrom is the length from which on vectors are worth their powers of r.
const vectorFrom = 256

// single256 has four blocks of one message in the lanes of vectors, hash = hash r^4 + m, and what is less than four blocks in general
// registers. It begins with the hash of what comes before the text.
func single256() {
	TEXT("single256", NOSPLIT, "func(key, powers, hash, text *byte, n int, last, tag *byte)")
	Load(Param("key"), RDI)
	text := Load(Param("text"), RSI)
	n := Load(Param("n"), RCX)
	// For the lanes the powers r^4 r^2 r^3 r, for which unpacking has the blocks; r^4 alone, and r^8. Each is five limbs, and five times
	// the last four of them.
	tables := func(base Register) (forLast, forOne, forTwo Mem) {
		return Mem{Base: base}, Mem{Base: base, Disp: 9 * 32}, Mem{Base: base, Disp: 2 * 9 * 32}
	}
	h := words256
	Load(Param("hash"), RAX)
	wordsOfR(RDI)
	for i, w := range h {
		MOVQ(Mem{Base: RAX, Disp: 8 * i}, w)
	}
	CMPQ(n, U32(vectorFrom))
	JB(LabelRef("singleBlock"))

	VPBROADCASTQ(poly256, mask26)
	VPBROADCASTQ(poly256.Offset(8), pad26)
	forLast, forOne, forTwo := tables(Load(Param("powers"), RSI)) // no other register is free
	before := Mem{Base: RSI, Disp: 3 * 9 * 32}
	storeLimbs(before, 8)
	powers256(forLast, forOne)
	MOVQ(RSI, R9)
	forLast, forOne, forTwo = tables(R9)
	Load(Param("text"), RSI)
	for i, h := range hash256 {
		VMOVDQU(forOne.Offset(32*i), h)
	}
	multiply256(forOne, true)
	carry256()
	for i, h := range hash256 {
		store256(h, i, forTwo)
	}
	load256(text, hash256)
	before.Base = R9
	for i, h := range hash256 {
		VMOVQ(before.Offset(8*i), X10)
		VPADDQ(Y10, h, h)
	}
	SUBQ(U32(128+64), n) // what is left behind the next two groups
	JB(LabelRef("singleOdd"))
	Label("singlePair")
	multiply256(forTwo, true)
	load256(text, hash256)
	multiply256(forOne, false)
	carry256()
	load256(text, sums256)
	add256()
	SUBQ(U32(128), n)
	JAE(LabelRef("singlePair"))
	Label("singleOdd")
	ADDQ(Imm(64), n)
	JS(LabelRef("singleSum"))
	multiply256(forOne, true)
	carry256()
	load256(text, sums256)
	add256()
	SUBQ(Imm(64), n)
	Label("singleSum")
	ADDQ(Imm(64), n)
	multiply256(forLast, true)
	carry256()
	VPXOR(Y10, Y10, Y10)
	for i := range 3*9 + 2 {
		VMOVDQU(Y10, forLast.Offset(32*i))
	}
	sum256()
	VZEROALL()

	Label("singleBlock")
	SUBQ(Imm(16), n)
	JB(LabelRef("singleRest"))
	do(addBlock(Mem{Base: text}, Mem{Base: text, Disp: 8}))
	ADDQ(Imm(16), text)
	do(multiplyWords())
	JMP(LabelRef("singleBlock"))

	// What is less than a block: the last 16 bytes without those that were there before, or if there are none, byte by byte.
	Label("singleRest")
	ADDQ(Imm(16), n)
	JZ(LabelRef("singleLast"))
	shift := RDI
	Load(Param("n"), RDX)
	CMPQ(RDX, Imm(16))
	JB(LabelRef("singleFew"))
	MOVQ(Mem{Base: text, Index: n, Scale: 1, Disp: -16}, RAX)
	MOVQ(Mem{Base: text, Index: n, Scale: 1, Disp: -8}, RBX)
	MOVL(U32(16), shift.As32())
	SUBQ(n, shift)
	SHLQ(Imm(3), shift) // 8 to 120 bits; shifts are modulo 64
	CMPQ(n, Imm(8))
	JBE(LabelRef("singleHalf"))
	SHRXQ(shift, RAX, RAX)
	SHRXQ(shift, RBX, RDX)
	NEGQ(shift)
	SHLXQ(shift, RBX, RBX)
	ORQ(RBX, RAX)
	MOVQ(RDX, RBX)
	JMP(LabelRef("singlePart"))
	Label("singleHalf")
	SHRXQ(shift, RBX, RAX)
	XORL(EBX, EBX)
	JMP(LabelRef("singlePart"))
	Label("singleFew")
	XORL(EAX, EAX)
	XORL(EBX, EBX)
	Label("singleByte")
	SHLQ(Imm(8), RAX, RBX)
	SHLQ(Imm(8), RAX)
	MOVBLZX(Mem{Base: text, Index: n, Scale: 1, Disp: -1}, EDX)
	ORQ(RDX, RAX)
	DECQ(n)
	JNZ(LabelRef("singleByte"))
	Label("singlePart")
	do(addBlock(RAX, RBX))
	do(multiplyWords())

	Label("singleLast")
	Load(Param("last"), RSI)
	do(addBlock(Mem{Base: RSI}, Mem{Base: RSI, Disp: 8}))
	do(multiplyWords())

	// h - (2^130-5), if that is not negative; and s. RFC 8439, 2.5.1
	MOVQ(h[0], RAX)
	MOVQ(h[1], RBX)
	ADDQ(Imm(5), RAX)
	ADCQ(Imm(0), RBX)
	ADCQ(Imm(0), h[2])
	SHRQ(Imm(2), h[2])
	CMOVQNE(RAX, h[0])
	CMOVQNE(RBX, h[1])
	Load(Param("key"), RDI)
	Load(Param("tag"), RSI)
	ADDQ(Mem{Base: RDI, Disp: 16}, h[0])
	ADCQ(Mem{Base: RDI, Disp: 24}, h[1])
	MOVQ(h[0], Mem{Base: RSI})
	MOVQ(h[1], Mem{Base: RSI, Disp: 8})
	for _, r := range []GPPhysical{RAX, RBX, RDX, RDI, R8, R9, R10, R11, R12, R13, R14, R15} {
		XORL(r.As32(), r.As32())
	}
	RET()
}

// powers256 stores the powers of r.
func powers256(forLast, forOne Mem) {
	MOVQ(r256, words256[0])
	MOVQ(rHigh, words256[1])
	XORL(words256[2].As32(), words256[2].As32())
	for power, lane := range []int{3, 1, 2, 0} {
		if power > 0 {
			do(multiplyWords())
		}
		storeLimbs(forLast.Offset(8*lane), 32)
	}
	for i := range 5 {
		VPBROADCASTQ(forLast.Offset(32*i), Y0)
		store256(Y0, i, forOne)
		VMOVDQU(forLast.Offset(32*i), Y0)
		store256(Y0, i, forLast)
	}
}

// storeLimbs stores the limbs of the number in words256 at some distance of each other.
func storeLimbs(to Mem, distance int) {
	low, high, top := words256[0], words256[1], words256[2]
	for i, limb := range []struct {
		of    GPPhysical
		shift []Op
	}{
		{low, nil}, {low, []Op{Imm(26)}}, {low, []Op{Imm(52), high}}, {high, []Op{Imm(14)}}, {high, []Op{Imm(40), top}},
	} {
		MOVQ(limb.of, RAX)
		if limb.shift != nil {
			SHRQ(append(limb.shift, RAX)...)
		}
		if i < 4 {
			ANDL(U32(1<<26-1), EAX)
		}
		MOVQ(RAX, to.Offset(distance*i))
	}
}

// store256 stores a limb of a power, and five times the limb.
func store256(limb VecPhysical, i int, to Mem) {
	VMOVDQU(limb, to.Offset(32*i))
	if i > 0 {
		VPSLLQ(Imm(2), limb, Y10)
		VPADDQ(limb, Y10, Y10)
		VMOVDQU(Y10, to.Offset(32*(4+i)))
	}
}

// load256 makes limbs of four blocks.
func load256(text Register, m [5]VecPhysical) {
	lo, hi, t := spare256[0], spare256[1], spare256[2]
	VMOVDQU(Mem{Base: text}, lo)
	VMOVDQU(Mem{Base: text, Disp: 32}, t)
	ADDQ(Imm(64), text)
	VPUNPCKHQDQ(t, lo, hi)
	VPUNPCKLQDQ(t, lo, lo)
	split256(m)
	VPOR(pad26, m[4], m[4])
}

// split256 makes limbs of the low words in spare256[0] and the high words in spare256[1].
func split256(m [5]VecPhysical) {
	lo, hi, t := spare256[0], spare256[1], spare256[2]
	VPAND(mask26, lo, m[0])
	VPSRLQ(Imm(26), lo, m[1])
	VPAND(mask26, m[1], m[1])
	VPSRLQ(Imm(52), lo, m[2])
	VPSLLQ(Imm(12), hi, t)
	VPOR(t, m[2], m[2])
	VPAND(mask26, m[2], m[2])
	VPSRLQ(Imm(14), hi, m[3])
	VPAND(mask26, m[3], m[3])
	VPSRLQ(Imm(40), hi, m[4])
}

func add256() {
	for i := range hash256 {
		VPADDQ(sums256[i], hash256[i], hash256[i])
	}
}

// multiply256 makes the sums of the hash times a power, or adds to them. Four such products may be added up.
func multiply256(power Mem, fresh bool) {
	h, d := hash256, sums256
	for i := range 5 { // of the hash
		for j := range 5 { // of the sums
			by := power.Offset(32 * (j - i))
			if j < i {
				by = power.Offset(32 * (4 + 5 + j - i))
			}
			if i == 0 && fresh {
				VPMULUDQ(by, h[i], d[j])
				continue
			}
			t := spare256[(5*i+j)%4]
			VPMULUDQ(by, h[i], t)
			VPADDQ(t, d[j], d[j])
		}
	}
}

// carry256 makes limbs of the sums, and the hash of them.
func carry256() {
	h, d := hash256, sums256
	step := func(from int, t VecPhysical) {
		VPSRLQ(Imm(26), d[from], t)
		VPAND(mask26, d[from], d[from])
		if from < 4 {
			VPADDQ(t, d[from+1], d[from+1])
			return
		}
		VPADDQ(t, d[0], d[0])
		VPSLLQ(Imm(2), t, t)
		VPADDQ(t, d[0], d[0])
	}
	for i, from := range []int{0, 3, 1, 4, 2, 0, 3} {
		step(from, spare256[i%2])
	}
	for i := range h {
		VMOVDQA(d[i], h[i])
	}
}

// sum256 adds up the lanes of the hash, and makes words of it.
func sum256() {
	for i, h := range hash256 {
		t := spare256[i%4]
		VEXTRACTI128(Imm(1), h, t.(Vec).AsX())
		VPADDQ(t, h, h)
		VPSHUFD(Imm(0x4e), h, t)
		VPADDQ(t, h, h)
		VMOVQ(h.(Vec).AsX(), limbs256[i])
	}
	wordsOf256()
}
