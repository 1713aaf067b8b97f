package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// collect puts a block's words in their places one by one. These are many instructions, but none of them takes a port that the rounds take.
func (p *pass512) collect(n int) (list []func()) {
	for i := range 16 {
		word := []GPPhysical{EAX, EDX, R13L}[i%3]
		list = append(list,
			func() { MOVL(p.word(i).Offset(4*n), word) },
			func() { MOVL(word, p.block(n).Offset(4*i)) },
		)
	}
	return list
}

// unpack takes four words of the states from word first on, and puts them where they belong in the blocks.
func (p *pass512) unpack(first int) (list []func()) {
	words := [4]VecPhysical{Z24, Z25, Z26, Z27}
	for i, x := range words {
		list = append(list, func() { VMOVDQU64(p.word(first+i), x) })
	}
	return append(list, interleave(words, func(n int) Mem { return p.block(n).Offset(4 * first) })...)
}

// interleave stores what four words' vectors have of each block together.
func interleave(words [4]VecPhysical, to func(block int) Mem) []func() {
	a, b, c, d := words[0], words[1], words[2], words[3]
	ab, cd, abHigh, cdHigh := Z28, Z29, Z30, Z31
	list := []func(){
		func() { VPUNPCKLDQ(b, a, ab) },
		func() { VPUNPCKHDQ(b, a, abHigh) },
		func() { VPUNPCKLDQ(d, c, cd) },
		func() { VPUNPCKHDQ(d, c, cdHigh) },
		func() { VPUNPCKLQDQ(cd, ab, a) }, // in 128-bit part n, what is block 4n's; in the others, what is the three blocks' behind it
		func() { VPUNPCKHQDQ(cd, ab, b) },
		func() { VPUNPCKLQDQ(cdHigh, abHigh, c) },
		func() { VPUNPCKHQDQ(cdHigh, abHigh, d) },
	}
	for i, x := range words {
		for part := range 4 {
			to := to(4*part + i)
			if part == 0 {
				list = append(list, func() { VMOVDQU64(x.(Vec).AsX(), to) })
				continue
			}
			list = append(list, func() { VEXTRACTI32X4(Imm(uint64(part)), x, to) })
		}
	}
	return list
}

// writeAll XORs the blocks that are waiting into their texts, four at a time. Masks take a port that the rounds need, and stores through
// them take twice as long, so they are used only where one of the four isn't whole.
func (p *pass512) writeAll(name string, with func(list []func())) {
	for first := 0; first < 16; first += 4 {
		name := fmt.Sprint(name, first)
		MOVQ(p.masks(p.at, first-16), RDX)
		for i := 1; i < 4; i++ {
			ANDQ(p.masks(p.at, first-16+i), RDX)
		}
		INCQ(RDX) // to zero, if all bits are set
		JNZ(LabelRef(name + "Masked"))
		with(p.write(first, false))
		JMP(LabelRef(name + "Next"))
		Label(name + "Masked")
		with(p.write(first, true))
		Label(name + "Next")
	}
}

// write XORs four blocks into their texts.
func (p *pass512) write(first int, masked bool) (list []func()) {
	for i := range 4 {
		block, text, mask, spare := p.block(first+i), p.texts(p.at, first-16+i), p.masks(p.at, first-16+i), zmm(28+i)
		if masked {
			list = append(list, xorBlock(block, text, mask, spare)...)
			continue
		}
		list = append(list,
			func() { MOVQ(text, R13) },
			func() { VMOVDQU64(Mem{Base: R13}, spare) },
			func() { VPXORD(block, spare, spare) },
			func() { VMOVDQU64(spare, Mem{Base: R13}) },
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
