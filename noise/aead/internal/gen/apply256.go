package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// apply256 XORs a key stream that was made before into a text, and leaves zeroes in its place.
func apply256() {
	TEXT("apply256", NOSPLIT, "func(text, stream *byte, n int)")
	text, stream, left := RSI, RDI, RCX
	Load(Param("text"), text)
	Load(Param("stream"), stream)
	Load(Param("n"), left)
	VPXOR(Y0, Y0, Y0)
	SUBQ(Imm(64), left)
	JB(LabelRef("applyRest"))
	Label("applyBlock")
	for i := range 2 {
		VMOVDQU(Mem{Base: stream, Disp: 32 * i}, ymm(1+i))
		VPXOR(Mem{Base: text, Disp: 32 * i}, ymm(1+i), ymm(1+i))
		VMOVDQU(ymm(1+i), Mem{Base: text, Disp: 32 * i})
		VMOVDQU(Y0, Mem{Base: stream, Disp: 32 * i})
	}
	ADDQ(Imm(64), text)
	ADDQ(Imm(64), stream)
	SUBQ(Imm(64), left)
	JAE(LabelRef("applyBlock"))
	Label("applyRest")
	ADDQ(Imm(64), left)
	JZ(LabelRef("applied"))
	for _, part := range []struct {
		size      int
		none      string
		load, xor func(from Mem)
		store     func(to Mem)
	}{
		{32, "apply16", func(from Mem) { VMOVDQU(from, Y1) }, func(from Mem) { VPXOR(from, Y1, Y1) }, func(to Mem) { VMOVDQU(Y1, to) }},
		{16, "apply8", func(from Mem) { VMOVDQU(from, X1) }, func(from Mem) { VPXOR(from, X1, X1) }, func(to Mem) { VMOVDQU(X1, to) }},
		{8, "apply4", func(from Mem) { MOVQ(from, RAX) }, func(from Mem) { XORQ(from, RAX) }, func(to Mem) { MOVQ(RAX, to) }},
		{4, "apply2", func(from Mem) { MOVL(from, EAX) }, func(from Mem) { XORL(from, EAX) }, func(to Mem) { MOVL(EAX, to) }},
		{2, "apply1", func(from Mem) { MOVW(from, AX) }, func(from Mem) { XORW(from, AX) }, func(to Mem) { MOVW(AX, to) }},
		{1, "applyZero", func(from Mem) { MOVB(from, AL) }, func(from Mem) { XORB(from, AL) }, func(to Mem) { MOVB(AL, to) }},
	} {
		TESTL(U32(uint64(part.size)), left.As32())
		JZ(LabelRef(part.none))
		part.load(Mem{Base: stream})
		part.xor(Mem{Base: text})
		part.store(Mem{Base: text})
		ADDQ(Imm(uint64(part.size)), text)
		ADDQ(Imm(uint64(part.size)), stream)
		Label(part.none)
	}
	// stream is somewhere in its last block now, by as much as left
	SUBQ(left, stream)
	VMOVDQU(Y0, Mem{Base: stream})
	VMOVDQU(Y0, Mem{Base: stream, Disp: 32})
	XORL(EAX, EAX)
	Label("applied")
	VZEROALL()
	RET()
}
