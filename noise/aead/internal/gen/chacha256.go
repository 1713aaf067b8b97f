package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// chacha256 has eight blocks in the lanes of sixteen registers. The state's third row is in memory, so that all four quarter rounds go on
// at once, each with a register to spare. A last pass of four lanes or fewer is made otherwise. Sections are hashed among the rounds.
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
		key:       RSI,
		now:       R13,
		lanes:     R14,
	}

	TEXT("chacha256", NOSPLIT, "func(key, spans *byte, n int, sections *byte, m int)")
	Load(Param("key"), c.key)
	span, left := RDI, RCX
	Load(Param("spans"), span)
	Load(Param("n"), left)
	c.third = AllocLocal(4 * 32)
	deals := [2]Mem{AllocLocal(4*32 + 8*8), AllocLocal(4*32 + 8*8)} // the lanes' fourth rows, and their texts
	idle := AllocLocal(64)                                          // where lanes without a block have theirs
	text, length, nonce, block, first, lane := R8, R9, R10, R11, R12, RBX
	next := R15
	c.kept = []GPPhysical{c.key, span, left, text, length, nonce, block, first, lane, next, c.now, c.lanes}
	c.waiting = AllocLocal(8 * len(c.kept))
	c.hashing.begin()
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
	MOVQ(lane, RDX)
	Label("idle")
	MOVQ(RAX, Mem{Base: next, Index: RDX, Scale: 8, Disp: 4 * 32})
	INCQ(RDX)
	CMPQ(RDX, Imm(8))
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
	XORL(EDX, EDX) // of multiplyWords; the others are not its any more
	for i := range 4 {
		VMOVDQU(Y0, c.third.Offset(32*i))
	}
	VMOVDQU(Y0, idle)
	VMOVDQU(Y0, idle.Offset(32))
	VZEROUPPER()
	RET()
}

type code256 struct {
	constants, turns, third Mem
	key                     GPPhysical
	now                     GPPhysical // the lanes of this pass
	lanes                   GPPhysical // how many there are
	kept                    []GPPhysical
	waiting                 Mem // has what is kept of them while there are rounds
	hashing                 hashing256
}

func (c *code256) last(i int) Mem  { return Mem{Base: c.now, Disp: 32 * i} }
func (c *code256) texts(i int) Mem { return Mem{Base: c.now, Disp: 4*32 + 8*i} }

func (c *code256) initial(i int) Mem {
	if i < 4 {
		return c.constants.Offset(4 * i)
	}
	return Mem{Base: c.key, Disp: 4 * (i - 4)}
}

// pass makes the blocks of eight lanes.
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
	c.rounds("all", 10, append(c.round(quarters[0]), c.round(quarters[1])...))

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

// rounds makes the same instructions a number of times, and hashes a quad with each as long as there is one.
func (c *code256) rounds(name string, times uint64, instructions []func()) {
	for i, r := range c.kept {
		MOVQ(r, c.waiting.Offset(8*i))
	}
	left := RDI
	MOVL(U32(times), left.As32())
	Label(name + "Section")
	c.hashing.load(name)
	Label(name + "Rounds")
	c.hashing.takeQuad(name+"Quad", name+"Alone", name+"Section")
	Label(name + "Quad")
	strew(instructions, c.hashing.quad())
	DECL(left.As32())
	JNZ(LabelRef(name + "Rounds"))
	JMP(LabelRef(name + "Store"))
	Label(name + "Alone")
	do(instructions)
	DECL(left.As32())
	JNZ(LabelRef(name + "Rounds"))
	Label(name + "Store")
	c.hashing.store(name)
	for i, r := range c.kept {
		MOVQ(c.waiting.Offset(8*i), r)
	}
}

// round makes four quarter rounds, step by step. RFC 8439, 2.1
func (c *code256) round(qs [4][4]int) (list []func()) {
	for _, s := range steps {
		for _, q := range qs {
			from, to, turned, spare := ymm(q[s.from]), ymm(q[s.to]), ymm(q[s.turned]), ymm(q[2])
			if s.to == 2 {
				third := c.third.Offset(32 * (q[2] - 8))
				list = append(list,
					func() { VPADDD(third, from, spare) },
					func() { VMOVDQU(spare, third) },
					func() { VPXOR(spare, turned, turned) })
			} else {
				list = append(list, func() { VPADDD(from, to, to) }, func() { VPXOR(to, turned, turned) })
			}
			list = append(list, c.rotation(turned, spare, s.by)...)
		}
	}
	return list
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
