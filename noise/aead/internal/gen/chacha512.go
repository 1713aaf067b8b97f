package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// chacha512 has one block in each 32-bit lane: register i is word i of sixteen states. Which blocks these are doesn't matter to it,
// so the lanes are dealt out to one span after the other.
//
// A last pass that has eight lanes or fewer is made with half vectors, which take two thirds of the time: they have three ports.
func chacha512() {
	counts := table("counts512", iota32(16)...)
	strides := table("strides512", multiples(16, 64)...)
	constants := table("sigma512", sigma[:]...)

	TEXT("chacha512", NOSPLIT, "func(key, spans *byte, n int)")
	key := Load(Param("key"), RSI)
	span := Load(Param("spans"), RDI)
	left := Load(Param("n"), RCX)
	texts := AllocLocal(16 * 8)
	masks := AllocLocal(16 * 8)

	// The span at hand.
	text, length, nonce, block, first := R8, R9, R10, R11, R12
	lane := RBX
	counters, nonceLow, nonceHigh, nonceFirst := 16, 17, 18, 19 // vectors
	textsLow, textsHigh, ones := Z20, Z21, Z22
	VPTERNLOGD(Imm(0xff), ones, ones, ones)
	MOVQ(Mem{Base: span, Disp: spanText}, text)
	VPBROADCASTQ(text, textsLow) // idle lanes need an address, too
	VPBROADCASTQ(text, textsHigh)
	XORL(length.As32(), length.As32())

	Label("pass")
	XORL(lane.As32(), lane.As32())
	VPXORD(Z23, Z23, Z23)
	VMOVDQU64(Z23, masks)
	VMOVDQU64(Z23, masks.Offset(64))

	Label("deal")
	TESTQ(length, length)
	JNZ(LabelRef("take"))
	TESTQ(left, left)
	JZ(LabelRef("dealt"))
	MOVQ(Mem{Base: span, Disp: spanText}, text)
	MOVQ(Mem{Base: span, Disp: spanLen}, length)
	MOVQ(Mem{Base: span, Disp: spanNonce}, nonce)
	MOVL(Mem{Base: span, Disp: spanBlock}, block.As32())
	MOVL(Mem{Base: span, Disp: spanFirst}, first.As32())
	ADDQ(Imm(spanSize), span)
	DECQ(left)

	Label("take")
	blocks, mask := RAX, RDX
	LEAQ(Mem{Base: length, Disp: 63}, blocks)
	SHRQ(Imm(6), blocks)
	MOVL(U32(16), R13.As32())
	SUBQ(lane, R13)
	CMPQ(blocks, R13)
	CMOVQHI(R13, blocks)
	MOVQ(I32(-1), mask)
	BZHIQ(blocks, mask, mask)
	SHLXQ(lane, mask, mask)
	KMOVQ(mask, K1)
	SHRQ(Imm(8), mask)
	KMOVQ(mask, K2)
	VPBROADCASTD(nonce.As32(), K1, zmm(nonceLow))
	MOVQ(nonce, mask)
	SHRQ(Imm(32), mask)
	VPBROADCASTD(mask.As32(), K1, zmm(nonceHigh))
	VPBROADCASTD(first.As32(), K1, zmm(nonceFirst))
	MOVL(block.As32(), mask.As32())
	SUBL(lane.As32(), mask.As32())
	VPBROADCASTD(mask.As32(), Z23)
	VPADDD(counts, Z23, K1, zmm(counters))
	MOVQ(lane, mask)
	SHLQ(Imm(6), mask)
	NEGQ(mask)
	ADDQ(text, mask)
	VPBROADCASTQ(mask, Z23)
	VPADDQ(strides, Z23, K1, textsLow)
	VPADDQ(strides.Offset(64), Z23, K2, textsHigh)
	VMOVDQU64(ones, K1, masks)
	VMOVDQU64(ones, K2, masks.Offset(64))

	ADDQ(blocks, lane)
	ADDL(blocks.As32(), block.As32())
	SHLQ(Imm(6), blocks)
	ADDQ(blocks, text)
	SUBQ(blocks, length)
	JA(LabelRef("more")) // of this span
	// The last block was length+64 bytes.
	MOVQ(I32(-1), mask)
	ADDQ(Imm(64), length)
	BZHIQ(length, mask, mask)
	MOVQ(mask, masks.Offset(-8).Idx(lane, 8))
	XORL(length.As32(), length.As32())
	Label("more")
	CMPQ(lane, Imm(16))
	JB(LabelRef("deal"))

	Label("dealt")
	TESTQ(lane, lane)
	JZ(LabelRef("done"))
	VMOVDQU64(textsLow, texts)
	VMOVDQU64(textsHigh, texts.Offset(64))
	CMPQ(lane, Imm(8))
	JBE(LabelRef("half"))
	pass512("full", zmm, 16, key, constants, [4]int{counters, nonceFirst, nonceLow, nonceHigh}, texts, masks)
	JMP(LabelRef("pass"))
	Label("half")
	pass512("half", ymm, 8, key, constants, [4]int{counters, nonceFirst, nonceLow, nonceHigh}, texts, masks)
	JMP(LabelRef("pass"))

	Label("done")
	clear512()
	RET()
}

// pass512 makes the blocks of all lanes and XORs them in. The counters and nonces are in the vectors last.
func pass512(name string, v func(int) VecPhysical, lanes int, key Register, constants Mem, last [4]int, texts, masks Mem) {
	initial := func(i int) Mem {
		if i < 4 {
			return constants.Offset(4 * i)
		}
		return Mem{Base: key, Disp: 4 * (i - 4)}
	}
	for i := range 12 {
		VPBROADCASTD(initial(i), v(i))
	}
	for i, n := range last {
		VMOVDQA32(v(n), v(12+i))
	}
	MOVL(U32(10), EAX)
	Label(name + "Rounds")
	for _, round := range quarters {
		for _, s := range steps {
			// Two by two, so that rotations, which have one port, and the others mix.
			for _, pair := range [][][4]int{round[:2], round[2:]} {
				for _, q := range pair {
					VPADDD(v(q[s.from]), v(q[s.to]), v(q[s.to]))
				}
				for _, q := range pair {
					VPXORD(v(q[s.to]), v(q[s.turned]), v(q[s.turned]))
				}
				for _, q := range pair {
					VPROLD(Imm(uint64(s.by)), v(q[s.turned]), v(q[s.turned]))
				}
			}
		}
	}
	DECL(EAX)
	JNZ(LabelRef(name + "Rounds"))
	for i := range 12 {
		VPADDD_BCST(initial(i), v(i), v(i))
	}
	for i, n := range last {
		VPADDD(v(n), v(12+i), v(12+i))
	}
	if lanes == 16 {
		turn16()
	} else {
		turn8()
	}
	for i := range lanes {
		xorBlock(i, texts, masks)
	}
}

// turn16 makes blocks of words: after it register i is block i.
func turn16() {
	s := func(i int) VecPhysical { return zmm(i) }
	t := func(i int) VecPhysical { return zmm(24 + i) }
	// 32-bit words of two rows, in each 128-bit part; then 64-bit words. After this register 4g+k has, in part p, words 4g..4g+3 of
	// block 4p+k.
	for g := 0; g < 16; g += 4 {
		VPUNPCKLDQ(s(g+1), s(g), t(0))
		VPUNPCKHDQ(s(g+1), s(g), t(1))
		VPUNPCKLDQ(s(g+3), s(g+2), t(2))
		VPUNPCKHDQ(s(g+3), s(g+2), t(3))
		VPUNPCKLQDQ(t(2), t(0), s(g))
		VPUNPCKHQDQ(t(2), t(0), s(g+1))
		VPUNPCKLQDQ(t(3), t(1), s(g+2))
		VPUNPCKHQDQ(t(3), t(1), s(g+3))
	}
	// A transposition of the 128-bit parts, for each k.
	for k := range 4 {
		a, b, c, d := s(k), s(4+k), s(8+k), s(12+k)
		VSHUFI32X4(Imm(0x44), b, a, t(0))
		VSHUFI32X4(Imm(0xee), b, a, t(1))
		VSHUFI32X4(Imm(0x44), d, c, t(2))
		VSHUFI32X4(Imm(0xee), d, c, t(3))
		VSHUFI32X4(Imm(0x88), t(2), t(0), a) // block k
		VSHUFI32X4(Imm(0xdd), t(2), t(0), b) // block 4+k
		VSHUFI32X4(Imm(0x88), t(3), t(1), c)
		VSHUFI32X4(Imm(0xdd), t(3), t(1), d)
	}
}

// turn8 does the same with half vectors, and joins the halves of each block in a whole one.
func turn8() {
	s := func(i int) VecPhysical { return ymm(i) }
	t := func(i int) VecPhysical { return ymm(24 + i) }
	for g := 0; g < 16; g += 4 {
		VPUNPCKLDQ(s(g+1), s(g), t(0))
		VPUNPCKHDQ(s(g+1), s(g), t(1))
		VPUNPCKLDQ(s(g+3), s(g+2), t(2))
		VPUNPCKHDQ(s(g+3), s(g+2), t(3))
		VPUNPCKLQDQ(t(2), t(0), s(g))
		VPUNPCKHQDQ(t(2), t(0), s(g+1))
		VPUNPCKLQDQ(t(3), t(1), s(g+2))
		VPUNPCKHQDQ(t(3), t(1), s(g+3))
	}
	for k := range 4 {
		a, b, c, d := k, 4+k, 8+k, 12+k
		VSHUFI32X4(Imm(0), s(b), s(a), t(0))
		VSHUFI32X4(Imm(3), s(b), s(a), t(1))
		VSHUFI32X4(Imm(0), s(d), s(c), t(2))
		VSHUFI32X4(Imm(3), s(d), s(c), t(3))
		VINSERTI64X4(Imm(1), t(2), zmm(24), zmm(a))
		VINSERTI64X4(Imm(1), t(3), zmm(25), zmm(b))
	}
}

// xorBlock XORs block i into the text of lane i, as far as its mask goes.
func xorBlock(i int, texts, masks Mem) {
	spare := zmm(24 + i%8)
	MOVQ(texts.Offset(8*i), R13)
	KMOVQ(masks.Offset(8*i), K1)
	VMOVDQU8_Z(Mem{Base: R13}, K1, spare)
	VPXORD(zmm(i), spare, spare)
	VMOVDQU8(spare, K1, Mem{Base: R13})
}
