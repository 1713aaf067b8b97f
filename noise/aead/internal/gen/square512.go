package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// A number in general registers: 64, 64 and a few bits. Squaring waits half as long there as in vectors.
var number512 = [3]GPPhysical{R12, R13, R14}

// square512 squares the number modulo 2^130-5. The third word grows: from nothing to 3 bits, 6, 12, and 24.
func square512() {
	h0, h1, h2 := number512[0], number512[1], number512[2]
	c0, c1 := RAX, RBX
	MOVQ(h0, RDX)
	MULXQ(h0, c0, c1)
	MULXQ(h1, R10, R11)
	LEAQ(Mem{Base: h2, Index: h2, Scale: 1}, RDX)
	IMULQ(h2, h2)
	MULXQ(h0, R15, h0) // 2 h0 h2
	MULXQ(h1, R8, RDX) // 2 h1 h2
	ADDQ(RDX, h2)
	MOVQ(h1, RDX)
	MULXQ(h1, h1, RDX)
	c2, c3, c4 := h1, RDX, h2
	ADDQ(R10, R10) // 2 h0 h1
	ADCQ(R11, R11)
	ADCQ(Imm(0), c3)
	ADDQ(R10, c1)
	ADCQ(R11, c2)
	ADCQ(Imm(0), c3)
	ADDQ(R15, c2)
	ADCQ(h0, c3)
	ADCQ(Imm(0), c4)
	ADDQ(R8, c3)
	ADCQ(Imm(0), c4)
	// What is beyond 2^130 is added five times: four times as it stands there, and once.
	MOVL(c2.As32(), R10L)
	ANDL(Imm(3), R10L)
	ANDQ(I8(-4), c2)
	ADDQ(c2, c0)
	ADCQ(c3, c1)
	ADCQ(c4, R10)
	SHRQ(Imm(2), c3, c2)
	SHRQ(Imm(2), c4, c3)
	SHRQ(Imm(2), c4)
	ADDQ(c2, c0)
	ADCQ(c3, c1)
	ADCQ(c4, R10)
	MOVQ(c0, h0)
	MOVQ(c1, h1)
	MOVQ(R10, h2)
}

// limbsOfNumber512 makes clean limbs of the number, in all lanes.
func limbsOfNumber512(to limbs) {
	MOVQ(number512[0], RAX)
	MOVQ(number512[1], RBX)
	MOVQ(number512[2], R10)
	MOVQ(R10, R11)
	SHRQ(Imm(2), R11)
	ANDL(Imm(3), R10L)
	LEAQ(Mem{Base: R11, Index: R11, Scale: 4}, R11)
	ADDQ(R11, RAX)
	ADCQ(Imm(0), RBX)
	ADCQ(Imm(0), R10)
	VPBROADCASTQ(RAX, to[0])
	VPBROADCASTQ(RBX, to[1])
	SHRQ(Imm(40), RBX)
	SHLQ(Imm(24), R10)
	ADDQ(RBX, R10)
	VPBROADCASTQ(R10, to[2])
	VPSHRDQ(Imm(52), to[1], to[0], to[1])
	clean(to, to)
}
