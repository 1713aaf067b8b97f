package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// chacha256 is chacha512 with eight lanes and sixteen registers, for spans of whole blocks. Of the state's third row only two words are
// in registers, and two in memory.
func chacha256() {
	var turns []uint32 // byte orders that rotate by 16 and by 8
	for _, first := range []uint32{0x01000302, 0x02010003} {
		for i := range 8 {
			turns = append(turns, first+uint32(i%4)*0x04040404)
		}
	}
	c := &code256{
		constants: table("sigma256", sigma[:]...),
		turns:     table("turns256", turns...),
	}

	TEXT("chacha256", NOSPLIT, "func(key, spans *byte, n int)")
	c.key = Load(Param("key"), RSI)
	span := Load(Param("spans"), RDI)
	left := Load(Param("n"), RCX)
	c.last = AllocLocal(4 * 32) // the lanes' fourth rows
	c.texts = AllocLocal(8 * 8)
	c.third = AllocLocal(4 * 32)
	idle := AllocLocal(64) // where lanes without a block have theirs
	text, length, nonce, block, first, lane := R8, R9, R10, R11, R12, RBX
	XORL(length.As32(), length.As32())

	Label("pass")
	XORL(lane.As32(), lane.As32())
	Label("deal")
	TESTQ(length, length)
	JNZ(LabelRef("take"))
	TESTQ(left, left)
	JZ(LabelRef("rest"))
	MOVQ(Mem{Base: span, Disp: spanText}, text)
	MOVQ(Mem{Base: span, Disp: spanLen}, length)
	MOVQ(Mem{Base: span, Disp: spanNonce}, nonce)
	MOVL(Mem{Base: span, Disp: spanBlock}, block.As32())
	MOVL(Mem{Base: span, Disp: spanFirst}, first.As32())
	ADDQ(Imm(spanSize), span)
	DECQ(left)
	Label("take")
	MOVL(block.As32(), c.last.Idx(lane, 4))
	MOVL(first.As32(), c.last.Offset(32).Idx(lane, 4))
	MOVL(nonce.As32(), c.last.Offset(64).Idx(lane, 4))
	MOVQ(nonce, RAX)
	SHRQ(Imm(32), RAX)
	MOVL(EAX, c.last.Offset(96).Idx(lane, 4))
	MOVQ(text, c.texts.Idx(lane, 8))
	INCL(block.As32())
	ADDQ(Imm(64), text)
	SUBQ(Imm(64), length)
	INCQ(lane)
	CMPQ(lane, Imm(8))
	JB(LabelRef("deal"))
	JMP(LabelRef("dealt"))
	Label("rest")
	TESTQ(lane, lane)
	JZ(LabelRef("done"))
	LEAQ(idle, RAX)
	Label("idle")
	MOVQ(RAX, c.texts.Idx(lane, 8))
	INCQ(lane)
	CMPQ(lane, Imm(8))
	JB(LabelRef("idle"))
	Label("dealt")
	c.pass()
	JMP(LabelRef("pass"))

	Label("done")
	VZEROALL()
	for i := range 4 {
		VMOVDQU(Y0, c.third.Offset(32*i))
	}
	VMOVDQU(Y0, idle)
	VMOVDQU(Y0, idle.Offset(32))
	VZEROUPPER()
	RET()
}

type code256 struct {
	key                Register
	constants, turns   Mem
	last, texts, third Mem
}

// at is where word i of the state is: words 8 and 9, and 10 and 11, take turns in two registers.
func (c *code256) at(i int) VecPhysical {
	switch {
	case i < 8:
		return ymm(i)
	case i < 12:
		return ymm(8 + i%2)
	}
	return ymm(i - 2)
}

func (c *code256) initial(i int) Mem {
	if i < 4 {
		return c.constants.Offset(4 * i)
	}
	return Mem{Base: c.key, Disp: 4 * (i - 4)}
}

// swap puts words from and from+1 of the third row away, and gets the others.
func (c *code256) swap(from int) {
	for i := range 2 {
		VMOVDQU(c.at(from+i), c.third.Offset(32*(from-8+i)))
	}
	for i := range 2 {
		VMOVDQU(c.third.Offset(32*((from-8+i)^2)), c.at(from+i))
	}
}

func (c *code256) pass() {
	for _, i := range []int{0, 1, 2, 3, 4, 5, 6, 7, 10, 11} {
		VPBROADCASTD(c.initial(i), c.at(i))
	}
	for i := 10; i < 12; i++ {
		VMOVDQU(c.at(i), c.third.Offset(32*(i-8)))
		VPBROADCASTD(c.initial(i-2), c.at(i-2))
	}
	for i := range 4 {
		VMOVDQU(c.last.Offset(32*i), c.at(12+i))
	}
	MOVL(U32(10), EAX)
	Label("rounds")
	for odd, round := range quarters {
		c.pair(round[:2])
		c.swap(8 + 2*odd)
		c.pair(round[2:])
	}
	DECL(EAX)
	JNZ(LabelRef("rounds"))

	// The third row goes to memory, so that there are four registers to spare.
	for i := range 2 {
		VMOVDQU(c.at(8+i), c.third.Offset(32*i))
	}
	for i := range 8 {
		VPBROADCASTD(c.initial(i), Y14)
		VPADDD(Y14, ymm(i), ymm(i))
	}
	c.turn([4]int{0, 1, 2, 3})
	c.turn([4]int{4, 5, 6, 7})
	c.xor([4]int{0, 1, 2, 3}, [4]int{4, 5, 6, 7}, 0)
	for i := range 4 {
		VPBROADCASTD(c.initial(8+i), ymm(i))
		VPADDD(c.third.Offset(32*i), ymm(i), ymm(i))
		VPADDD(c.last.Offset(32*i), c.at(12+i), c.at(12+i))
	}
	c.turn([4]int{0, 1, 2, 3})
	c.turn([4]int{10, 11, 12, 13})
	c.xor([4]int{0, 1, 2, 3}, [4]int{10, 11, 12, 13}, 32)
}

// pair makes two quarter rounds.
func (c *code256) pair(qs [][4]int) {
	spare := []VecPhysical{Y14, Y15}
	for _, s := range steps {
		for _, q := range qs {
			VPADDD(c.at(q[s.from]), c.at(q[s.to]), c.at(q[s.to]))
		}
		for _, q := range qs {
			VPXOR(c.at(q[s.to]), c.at(q[s.turned]), c.at(q[s.turned]))
		}
		for i, q := range qs {
			x := c.at(q[s.turned])
			switch s.by {
			case 16:
				VPSHUFB(c.turns, x, x)
			case 8:
				VPSHUFB(c.turns.Offset(32), x, x)
			default:
				VPSLLD(Imm(uint64(s.by)), x, spare[i])
				VPSRLD(Imm(uint64(32-s.by)), x, x)
				VPOR(spare[i], x, x)
			}
		}
	}
}

// turn makes, of four words' registers, register k four words of block k in its low half, and of block 4+k in its high half.
func (c *code256) turn(r [4]int) {
	VPUNPCKLDQ(ymm(r[1]), ymm(r[0]), Y8)
	VPUNPCKHDQ(ymm(r[1]), ymm(r[0]), Y9)
	VPUNPCKLDQ(ymm(r[3]), ymm(r[2]), Y14)
	VPUNPCKHDQ(ymm(r[3]), ymm(r[2]), Y15)
	VPUNPCKLQDQ(Y14, Y8, ymm(r[0]))
	VPUNPCKHQDQ(Y14, Y8, ymm(r[1]))
	VPUNPCKLQDQ(Y15, Y9, ymm(r[2]))
	VPUNPCKHQDQ(Y15, Y9, ymm(r[3]))
}

// xor XORs half of each block, from two turned quadruples, into the texts at an offset.
func (c *code256) xor(a, b [4]int, offset int) {
	for k := range 4 {
		for half, select_ := range []uint64{0x20, 0x31} {
			spare := []VecPhysical{Y8, Y9, Y14, Y15}[(2*k+half)%4]
			MOVQ(c.texts.Offset(8*(4*half+k)), RAX)
			VPERM2I128(Imm(select_), ymm(b[k]), ymm(a[k]), spare)
			VPXOR(Mem{Base: RAX, Disp: offset}, spare, spare)
			VMOVDQU(spare, Mem{Base: RAX, Disp: offset})
		}
	}
}
