package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// apply512 XORs a key stream that was made before into a text, and leaves zeroes in its place.
func apply512() {
	TEXT("apply512", NOSPLIT, "func(text, stream *byte, n int)")
	text, stream, left := Load(Param("text"), RSI), Load(Param("stream"), RDI), Load(Param("n"), RCX)
	VPXORQ(Z0, Z0, Z0)
	SUBQ(Imm(64), left)
	JB(LabelRef("applyRest"))
	Label("applyBlock")
	VMOVDQU64(Mem{Base: stream}, Z1)
	VPXORQ(Mem{Base: text}, Z1, Z1)
	VMOVDQU64(Z1, Mem{Base: text})
	VMOVDQU64(Z0, Mem{Base: stream})
	ADDQ(Imm(64), text)
	ADDQ(Imm(64), stream)
	SUBQ(Imm(64), left)
	JAE(LabelRef("applyBlock"))
	Label("applyRest")
	ADDQ(Imm(64), left)
	JZ(LabelRef("applied"))
	MOVQ(I32(-1), RAX)
	BZHIQ(left, RAX, RAX)
	KMOVQ(RAX, K1)
	VMOVDQU8_Z(Mem{Base: text}, K1, Z1)
	VPXORQ(Mem{Base: stream}, Z1, Z1)
	VMOVDQU8(Z1, K1, Mem{Base: text})
	VMOVDQU64(Z0, Mem{Base: stream})
	KXORQ(K1, K1, K1)
	Label("applied")
	VPXOR(X1, X1, X1)
	VZEROUPPER()
	RET()
}
