package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// unpack takes the four words of the states that begin at byte RAX of a block, and puts them there in the blocks, which come behind the
// words: with whole vectors in all sixteen blocks, with half vectors in eight, from block 4*part on.
func (p *pass512) unpack(v func(int) VecPhysical, part int) []func() {
	at := func(i int) Mem { return Mem{Base: p.work, Index: RDX, Scale: 1, Disp: 64*i + 16*part} }
	a, b, c, d := v(24), v(25), v(26), v(27)
	ab, cd, abHigh, cdHigh := v(28), v(29), v(30), v(31)
	list := []func(){
		func() { MOVL(EAX, EDX) },
		func() { SHLL(Imm(4), EDX) },
		func() { VMOVDQU64(at(0), a) },
		func() { VMOVDQU64(at(1), b) },
		func() { VMOVDQU64(at(2), c) },
		func() { VMOVDQU64(at(3), d) },
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
		for n := range x.Size() / 16 {
			to := Mem{Base: p.work, Index: RAX, Scale: 1, Disp: 1024 + 64*(4*(part+int(n))+i)}
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

// turn8 makes blocks of words that are in half vectors, and joins the halves of each block.
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
