package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// addBlock adds a block of two words, and the bit behind it.
func addBlock(low, high Op) {
	ADDQ(low, words256[0])
	ADCQ(high, words256[1])
	ADCQ(Imm(1), words256[2])
}

// multiplyWords multiplies by r. The third word has to be below 12, and is below 5 then.
func multiplyWords() {
	h0, h1, h2 := words256[0], words256[1], words256[2]
	MOVQ(r256, RDX)
	MULXQ(h0, RAX, RBX)
	MULXQ(h1, RDI, R14)
	MOVQ(rHigh, RDX)
	MULXQ(h0, R15, h0)
	ADDQ(R15, RDI)
	ADCQ(h0, R14)
	MOVQ(rHigh5, RDX)
	MULXQ(h1, h1, R15)
	IMULQ(h2, RDX)
	IMULQ(r256, h2)
	ADDQ(h1, RAX)
	ADCQ(R15, RBX)
	ADDQ(RDX, RDI)
	ADCQ(Imm(0), R14)
	ADDQ(RBX, RDI)
	ADCQ(R14, h2)
	MOVQ(RAX, h0)
	MOVQ(RDI, h1)
	foldWords()
}

// foldWords brings back what is beyond 2^130: 2^130 = 5.
func foldWords() {
	MOVQ(words256[2], RDX)
	MOVQ(words256[2], RBX)
	ANDL(Imm(3), words256[2].As32())
	SHRQ(Imm(2), RBX)
	ANDQ(I8(-4), RDX)
	ADDQ(RBX, RDX)
	ADDQ(RDX, words256[0])
	ADCQ(Imm(0), words256[1])
	ADCQ(Imm(0), words256[2])
}

// wordsOf256 makes words of limbs.
func wordsOf256() {
	limbs, h := limbs256, words256
	MOVQ(limbs[0], h[0])
	SHLQ(Imm(26), limbs[1])
	ADDQ(limbs[1], h[0])
	MOVQ(limbs[2], h[1])
	SHRQ(Imm(12), h[1])
	SHLQ(Imm(52), limbs[2])
	SHLQ(Imm(14), limbs[3])
	ADDQ(limbs[2], h[0])
	ADCQ(limbs[3], h[1])
	MOVQ(limbs[4], h[2])
	SHRQ(Imm(24), h[2])
	SHLQ(Imm(40), limbs[4])
	ADDQ(limbs[4], h[1])
	ADCQ(Imm(0), h[2])
	foldWords()
}
