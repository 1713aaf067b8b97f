package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// unpack takes four words of the states from word first on, and puts them there in the blocks, which come behind the words.
func (p *pass512) unpack(first int) []func() {
	a, b, c, d, ab, cd, abHigh, cdHigh := Z24, Z25, Z26, Z27, Z28, Z29, Z30, Z31
	list := []func(){
		func() { VMOVDQU64(p.word(first), a) },
		func() { VMOVDQU64(p.word(first+1), b) },
		func() { VMOVDQU64(p.word(first+2), c) },
		func() { VMOVDQU64(p.word(first+3), d) },
		func() { VPUNPCKLDQ(b, a, ab) },
		func() { VPUNPCKHDQ(b, a, abHigh) },
		func() { VPUNPCKLDQ(d, c, cd) },
		func() { VPUNPCKHDQ(d, c, cdHigh) },
		func() { VPUNPCKLQDQ(cd, ab, a) }, // in 128-bit part n, what is block 4n's; in the others, what is the three blocks' behind it
		func() { VPUNPCKHQDQ(cd, ab, b) },
		func() { VPUNPCKLQDQ(cdHigh, abHigh, c) },
		func() { VPUNPCKHQDQ(cdHigh, abHigh, d) },
	}
	for i, x := range []VecPhysical{a, b, c, d} {
		for n := range 4 {
			to := p.block(4*n + i).Offset(4 * first)
			if n == 0 {
				list = append(list, func() { VMOVDQU64(x.(Vec).AsX(), to) })
				continue
			}
			list = append(list, func() { VEXTRACTI32X4(Imm(uint64(n)), x, to) })
		}
	}
	return list
}

// writeAll XORs the blocks that are waiting into their texts, four at a time. Masks take a port that the rounds need, and stores through
// them take twice as long, so they are used only where one of the four isn't whole.
func (p *pass512) writeAll(name string, with func(list []func())) {
	LEAQ(Mem{Base: p.work, Index: p.at, Scale: 8}, RSI)
	XORL(EAX, EAX)
	Label(name)
	for i := range 4 {
		mask := p.waiting(workMasks, i)
		if i == 0 {
			MOVQ(mask, RDX)
			continue
		}
		ANDQ(mask, RDX)
	}
	INCQ(RDX) // to zero, if all bits are set
	JNZ(LabelRef(name + "Masked"))
	with(p.write(false))
	JMP(LabelRef(name + "Next"))
	Label(name + "Masked")
	with(p.write(true))
	Label(name + "Next")
	ADDL(Imm(4), EAX)
	CMPL(EAX, Imm(16))
	JB(LabelRef(name))
}

// waiting is what array has for block RAX+i of those that are waiting.
func (p *pass512) waiting(array, i int) Mem {
	return Mem{Base: RSI, Index: RAX, Scale: 8, Disp: array + 8*i}
}

// write XORs four blocks, from block RAX on, into their texts.
func (p *pass512) write(masked bool) []func() {
	list := []func(){
		func() { MOVL(EAX, EDX) },
		func() { SHLL(Imm(6), EDX) },
	}
	for i := range 4 {
		block := Mem{Base: p.work, Index: RDX, Scale: 1, Disp: 1024 + 64*i}
		text, mask := p.waiting(workTexts, i), p.waiting(workMasks, i)
		if masked {
			list = append(list, xorBlock(block, text, mask, zmm(28+i))...)
			continue
		}
		list = append(list,
			func() { MOVQ(text, R13) },
			func() { VMOVDQU64(Mem{Base: R13}, zmm(28+i)) },
			func() { VPXORD(block, zmm(28+i), zmm(28+i)) },
			func() { VMOVDQU64(zmm(28+i), Mem{Base: R13}) },
		)
	}
	return list
}

// xorBlock XORs a block into a text, as far as the mask goes.
func xorBlock(block Op, text, mask Mem, spare VecPhysical) []func() {
	return []func(){
		func() { MOVQ(text, R13) },
		func() { KMOVQ(mask, K1) },
		func() { VMOVDQU8_Z(Mem{Base: R13}, K1, spare) },
		func() { VPXORD(block, spare, spare) },
		func() { VMOVDQU8(spare, K1, Mem{Base: R13}) },
	}
}
