package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// chacha256 is chacha512 with eight lanes and sixteen registers, for spans of whole blocks. The state's third row is in memory, so that
// all four quarter rounds go on at once, each with a register to spare. A last pass of four lanes or fewer is made otherwise.
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
		lanes:     R14,
	}

	TEXT("chacha256", NOSPLIT, "func(key, spans *byte, n int)")
	c.key = Load(Param("key"), RSI)
	span := Load(Param("spans"), RDI)
	left := Load(Param("n"), RCX)
	c.third = AllocLocal(4 * 32)
	deals := [2]Mem{AllocLocal(4*32 + 8*8), AllocLocal(4*32 + 8*8)} // the lanes' fourth rows, and their texts
	idle := AllocLocal(64)                                          // where lanes without a block have theirs
	text, length, nonce, block, first, lane := R8, R9, R10, R11, R12, RBX
	next := R15
	c.now = R13
	LEAQ(deals[0], c.now)
	LEAQ(deals[1], next)
	XORL(length.As32(), length.As32())
	XORL(c.lanes.As32(), c.lanes.As32())

	// Lanes are dealt a pass ahead: what is written word by word can't be read as a vector at once.
	Label("deal")
	XORL(lane.As32(), lane.As32())
	Label("dealLane")
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
	row := func(i int) Mem { return Mem{Base: next, Index: lane, Scale: 4, Disp: 32 * i} }
	MOVL(block.As32(), row(0))
	MOVL(first.As32(), row(1))
	MOVL(nonce.As32(), row(2))
	MOVQ(nonce, RAX)
	SHRQ(Imm(32), RAX)
	MOVL(EAX, row(3))
	MOVQ(text, Mem{Base: next, Index: lane, Scale: 8, Disp: 4 * 32})
	INCL(block.As32())
	ADDQ(Imm(64), text)
	SUBQ(Imm(64), length)
	INCQ(lane)
	CMPQ(lane, Imm(8))
	JB(LabelRef("dealLane"))
	JMP(LabelRef("dealt"))
	Label("rest")
	TESTQ(lane, lane)
	JZ(LabelRef("dealt"))
	LEAQ(idle, RAX)
	Label("idle")
	MOVQ(RAX, Mem{Base: next, Index: lane, Scale: 8, Disp: 4 * 32})
	INCQ(lane)
	CMPQ(lane, Imm(8))
	JB(LabelRef("idle"))
	Label("dealt")
	TESTQ(c.lanes, c.lanes)
	JZ(LabelRef("swap")) // there is nothing to do yet, or any more
	CMPQ(c.lanes, Imm(4))
	JBE(LabelRef("few"))
	c.pass()
	JMP(LabelRef("swap"))
	Label("few")
	c.fewBlocks()
	Label("swap")
	XCHGQ(c.now, next)
	MOVQ(lane, c.lanes)
	TESTQ(lane, lane)
	JNZ(LabelRef("deal"))

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
	key                     Register
	constants, turns, third Mem
	now                     Register   // the lanes of this pass
	lanes                   GPPhysical // how many there are
}

func (c *code256) last(i int) Mem  { return Mem{Base: c.now, Disp: 32 * i} }
func (c *code256) texts(i int) Mem { return Mem{Base: c.now, Disp: 4*32 + 8*i} }

func (c *code256) initial(i int) Mem {
	if i < 4 {
		return c.constants.Offset(4 * i)
	}
	return Mem{Base: c.key, Disp: 4 * (i - 4)}
}

func (c *code256) pass() {
	for i := range 12 {
		VPBROADCASTD(c.initial(i), ymm(i))
		if i >= 8 {
			VMOVDQU(ymm(i), c.third.Offset(32*(i-8)))
		}
	}
	for i := range 4 {
		VMOVDQU(c.last(i), ymm(12+i))
	}
	MOVL(U32(10), EAX)
	Label("rounds")
	for _, round := range quarters {
		c.round(round)
	}
	DECL(EAX)
	JNZ(LabelRef("rounds"))

	for i := range 8 {
		spare := ymm(8 + i%4)
		VPBROADCASTD(c.initial(i), spare)
		VPADDD(spare, ymm(i), ymm(i))
	}
	c.turn([4]int{0, 1, 2, 3})
	c.turn([4]int{4, 5, 6, 7})
	c.xor([4]int{0, 1, 2, 3}, [4]int{4, 5, 6, 7}, 0)
	for i := range 4 {
		VPBROADCASTD(c.initial(8+i), ymm(i))
		VPADDD(c.third.Offset(32*i), ymm(i), ymm(i))
		VPADDD(c.last(i), ymm(12+i), ymm(12+i))
	}
	c.turn([4]int{0, 1, 2, 3})
	c.turn([4]int{12, 13, 14, 15})
	c.xor([4]int{0, 1, 2, 3}, [4]int{12, 13, 14, 15}, 32)
}

// round makes four quarter rounds. RFC 8439, 2.1
func (c *code256) round(qs [4][4]int) {
	third := func(q [4]int) Mem { return c.third.Offset(32 * (q[2] - 8)) }
	spare := func(q [4]int) VecPhysical { return ymm(q[2]) }
	for n := range 8 {
		// Two by two, so that rotations, which have fewer ports, and the others mix.
		s, qs := steps[n/2], qs[n%2*2:n%2*2+2]
		for _, q := range qs {
			if s.to == 2 {
				VPADDD(third(q), ymm(q[s.from]), spare(q))
				VMOVDQU(spare(q), third(q))
				VPXOR(spare(q), ymm(q[s.turned]), ymm(q[s.turned]))
			} else {
				VPADDD(ymm(q[s.from]), ymm(q[s.to]), ymm(q[s.to]))
				VPXOR(ymm(q[s.to]), ymm(q[s.turned]), ymm(q[s.turned]))
			}
		}
		for _, q := range qs {
			c.rotate(ymm(q[s.turned]), spare(q), s.by)
		}
	}
}

// turn makes, of four words' registers, register k four words of block k in its low half, and of block 4+k in its high half.
func (c *code256) turn(r [4]int) {
	VPUNPCKLDQ(ymm(r[1]), ymm(r[0]), Y8)
	VPUNPCKHDQ(ymm(r[1]), ymm(r[0]), Y9)
	VPUNPCKLDQ(ymm(r[3]), ymm(r[2]), Y10)
	VPUNPCKHDQ(ymm(r[3]), ymm(r[2]), Y11)
	VPUNPCKLQDQ(Y10, Y8, ymm(r[0]))
	VPUNPCKHQDQ(Y10, Y8, ymm(r[1]))
	VPUNPCKLQDQ(Y11, Y9, ymm(r[2]))
	VPUNPCKHQDQ(Y11, Y9, ymm(r[3]))
}

// xor XORs half of each block, from two turned quadruples, into the texts at an offset.
func (c *code256) xor(a, b [4]int, offset int) {
	for k := range 4 {
		for half, select_ := range []uint64{0x20, 0x31} {
			spare := []VecPhysical{Y8, Y9, Y10, Y11}[(2*k+half)%4]
			MOVQ(c.texts(4*half+k), RAX)
			VPERM2I128(Imm(select_), ymm(b[k]), ymm(a[k]), spare)
			VPXOR(Mem{Base: RAX, Disp: offset}, spare, spare)
			VMOVDQU(spare, Mem{Base: RAX, Disp: offset})
		}
	}
}
