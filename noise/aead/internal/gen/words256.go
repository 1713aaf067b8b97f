package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// wordsOfR loads what multiplies, from a one-time key.
func wordsOfR(key Register) {
	MOVQ(Mem{Base: key}, r256)
	ANDQ(poly256.Offset(16), r256)
	MOVQ(Mem{Base: key, Disp: 8}, rHigh)
	ANDQ(poly256.Offset(24), rHigh)
	MOVQ(rHigh, rHigh5)
	SHRQ(Imm(2), rHigh5)
	ADDQ(rHigh, rHigh5)
}

// addBlock adds a block of two words, and the bit behind it.
func addBlock(low, high Op) []func() {
	return []func(){
		func() { ADDQ(low, words256[0]) },
		func() { ADCQ(high, words256[1]) },
		func() { ADCQ(Imm(1), words256[2]) },
	}
}

// multiplyWords multiplies by r. The third word has to be below 11, and is below 5 then.
func multiplyWords() []func() {
	h0, h1, h2 := words256[0], words256[1], words256[2]
	steps := []func(){
		func() { MOVQ(h0, RDX) },
		func() { MULXQ(r256, h0, RBX) },
		func() { MULXQ(rHigh, RAX, R14) },
		func() { MOVQ(h1, RDX) },
		func() { MULXQ(r256, h1, R15) },
		func() { ADDQ(RAX, h1) },
		func() { ADCQ(R15, R14) },
		func() { MULXQ(rHigh5, RAX, R15) },
		func() { MOVQ(h2, RDX) },
		func() { IMULQ(rHigh5, RDX) },
		func() { IMULQ(r256, h2) },
		func() { ADDQ(RAX, h0) },
		func() { ADCQ(R15, RBX) },
		func() { ADDQ(RDX, h1) },
		func() { ADCQ(Imm(0), R14) },
		func() { ADDQ(RBX, h1) },
		func() { ADCQ(R14, h2) },
	}
	return append(steps, foldWords()...)
}

// foldWords brings back what is beyond 2^130: 2^130 = 5.
func foldWords() []func() {
	h0, h1, h2 := words256[0], words256[1], words256[2]
	return []func(){
		func() { MOVQ(h2, RDX) },
		func() { MOVQ(h2, RBX) },
		func() { ANDL(Imm(3), h2.As32()) },
		func() { SHRQ(Imm(2), RBX) },
		func() { ANDQ(I8(-4), RDX) },
		func() { ADDQ(RBX, RDX) },
		func() { ADDQ(RDX, h0) },
		func() { ADCQ(Imm(0), h1) },
		func() { ADCQ(Imm(0), h2) },
	}
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
	do(foldWords())
}
