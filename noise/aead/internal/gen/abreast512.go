package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// abreast512 is chacha512 for sixteen messages that have the same number of blocks: a pass makes the same block of each. So a block's
// number is the same in all lanes, and what is made of the nonces in the first round is the same in all passes. What is left of that round,
// and the beginning of the second as far as it is the same in all lanes, is made in general registers. No lanes are dealt, and only the
// last blocks may be not whole.
func abreast512() {
	TEXT("abreast512", NOSPLIT, "func(key, ms *byte, keys bool, work *byte)")
	p := &abreastPass{pass512{work: Load(Param("work"), R14)}, R11, R10, R8}
	last, waiting := RCX, R15 // the number of the last block, and 1 if words are waiting
	Load(Param("ms"), RDI)
	p.makeStates(Load(Param("key"), RSI), Mem{Base: RDI, Disp: messageFirst}, Mem{Base: RDI, Disp: messageNonce + 4})
	MOVQ(Mem{Base: RDI, Disp: messageLen}, last)
	ADDQ(Imm(63), last)
	SHRQ(Imm(6), last)
	p.makeLanes(RDI)
	p.makeColumn()

	// The first block: 0, if there are keys to make.
	LEAQ(p.key(0), p.to)
	XORL(p.number.As32(), p.number.As32())
	XORL(p.offset.As32(), p.offset.As32())
	XORL(waiting.As32(), waiting.As32())
	Load(Param("keys"), AL)
	TESTB(AL, AL)
	JNZ(LabelRef("abreastPass"))
	p.next()
	INCL(p.number.As32())

	Label("abreastPass")
	p.begin()
	TESTL(waiting.As32(), waiting.As32())
	JZ(LabelRef("abreastAlone"))
	p.roundsAndWrite()
	p.next()
	JMP(LabelRef("abreastMade"))
	Label("abreastAlone")
	roundsAlone("abreastRounds")
	Label("abreastMade")
	p.end()
	for i := range 16 {
		VMOVDQU64(zmm(i), p.word(i))
	}
	MOVL(U32(1), waiting.As32())
	INCL(p.number.As32())
	CMPL(p.number.As32(), last.As32())
	JBE(LabelRef("abreastPass"))

	for i := 0; i < 16; i += 4 {
		do(p.unpack(i))
	}
	for i := range 16 {
		to := Mem{Base: p.to, Disp: 8 * i}
		ADDQ(p.offset, to)
		do(xorBlock(p.block(i), to, p.mask(i), zmm(24+i%8)))
	}
	VPXORD(Z0, Z0, Z0)
	for i := range workSecret / 64 {
		VMOVDQU64(Z0, Mem{Base: p.work, Disp: 64 * i})
	}
	clear512(EAX, EBX, EDX, ESI, R13L)
	RET()
}

// nonceColumn is the quarter round of the first round that a nonce's low word is in.
var nonceColumn = [4]int{2, 6, 10, 14}

type abreastPass struct {
	pass512
	to, offset GPPhysical // where the pass that waits goes: how far behind which addresses
	number     GPPhysical // of the block that is made
}

func (p *abreastPass) key(i int) Mem    { return Mem{Base: p.work, Disp: workTexts + 8*i} }
func (p *abreastPass) text(i int) Mem   { return Mem{Base: p.work, Disp: workTexts + 8*(16+i)} } // less a block
func (p *abreastPass) mask(i int) Mem   { return Mem{Base: p.work, Disp: workMasks + 8*i} }      // of the last block
func (p *abreastPass) column(i int) Mem { return Mem{Base: p.work, Disp: workColumn + 64*i} }
func (p *abreastPass) shared(i int) Mem { return Mem{Base: p.work, Disp: workShared + 4*i} } // words of all lanes, of this pass

func (p *abreastPass) nonce(lane Register) Mem {
	return Mem{Base: p.work, Index: lane, Scale: 4, Disp: workNonces}
}

// makeLanes stores what is to be known of each message.
func (p *abreastPass) makeLanes(message Register) {
	lane, rest, mask := RBX, RAX, RDX
	of := func(m Mem) Mem { return m.Idx(lane, 8) }
	XORL(lane.As32(), lane.As32())
	Label("abreastLane")
	MOVQ(Mem{Base: message, Disp: messageKey}, RAX)
	MOVQ(RAX, of(p.key(0)))
	MOVL(Mem{Base: message, Disp: messageNonce}, EAX)
	MOVL(EAX, p.nonce(lane))
	MOVQ(Mem{Base: message, Disp: messageText}, RAX)
	SUBQ(Imm(64), RAX)
	MOVQ(RAX, of(p.text(0)))
	MOVQ(Mem{Base: message, Disp: messageLen}, rest)
	DECQ(rest)
	ANDL(Imm(63), rest.As32())
	INCL(rest.As32())
	MOVQ(I32(-1), mask)
	BZHIQ(rest, mask, mask)
	MOVQ(mask, of(p.mask(0)))
	ADDQ(Imm(messageSize), message)
	INCQ(lane)
	CMPQ(lane, Imm(16))
	JB(LabelRef("abreastLane"))
}

// makeColumn stores what the first round makes of the nonces.
func (p *abreastPass) makeColumn() {
	VMOVDQU32(p.nonces(), zmm(14))
	for _, i := range []int{2, 6, 10} {
		VPBROADCASTD(p.state(0, i), zmm(i))
	}
	do(quarterRounds(nonceColumn))
	for i, word := range nonceColumn {
		VMOVDQU64(zmm(word), p.column(i))
	}
}

// next goes to where the next pass goes.
func (p *abreastPass) next() {
	LEAQ(p.text(0), p.to)
	ADDQ(Imm(64), p.offset)
}

// begin sets the words to what they are after two rounds.
func (p *abreastPass) begin() {
	a, b, c, d := EAX, EBX, ESI, EDX
	MOVL(p.state(1, 0), a) // there is no quarter round yet, but the first addition
	MOVL(p.state(0, 4), b)
	MOVL(p.state(0, 8), c)
	MOVL(p.number.As32(), d)
	MOVL(d, p.shared(1)) // for the end
	column := [4]GPPhysical{a, b, c, d}
	for i, s := range steps {
		if i > 0 {
			ADDL(column[s.from], column[s.to])
		}
		XORL(column[s.to], column[s.turned])
		ROLL(Imm(uint64(s.by)), column[s.turned])
	}
	MOVL(c, p.shared(8))
	MOVL(d, p.shared(12))
	MOVL(b, p.shared(4))
	// The second round's words 0 and 15 up to the first rotation, and 3 up to the first addition.
	ADDL(p.state(1, 5), a)
	MOVL(a, p.shared(0))
	XORL(p.state(1, 15), a)
	ROLL(Imm(16), a)
	MOVL(a, p.shared(15))
	ADDL(p.state(1, 3), b)
	MOVL(b, p.shared(3))

	for i := range 16 {
		switch i {
		case 2, 6, 10, 14:
			VMOVDQU32(p.column(i/4), zmm(i))
		case 0, 3, 4, 8, 12, 15:
			VPBROADCASTD(p.shared(i), zmm(i))
		default:
			VPBROADCASTD(p.state(1, i), zmm(i))
		}
	}
	var all [4][]func()
	for i, q := range quarters[1] {
		all[i] = quarterRounds(q)[[4]int{3, 0, 0, 1}[i]:]
	}
	do(strewn(strewn(all[1], all[0]), strewn(all[2], all[3])))
}

func (p *abreastPass) end() {
	for i := range 16 {
		switch i {
		case 12:
			VPADDD_BCST(p.shared(1), zmm(i), zmm(i))
		case 14:
			VPADDD(p.nonces(), zmm(i), zmm(i))
		default:
			VPADDD_BCST(p.state(0, i), zmm(i), zmm(i))
		}
	}
}

func (p *abreastPass) nonces() Mem { return Mem{Base: p.work, Disp: workNonces} }

// roundsAndWrite collects and writes the words that are waiting, in nine double rounds.
func (p *abreastPass) roundsAndWrite() {
	var others []func()
	const behind = 4 // blocks that the cache is given time for
	for n := range 16 + behind {
		if n < 16 {
			others = append(others, p.collect(n)...)
		}
		if n >= behind {
			others = append(others, p.write(n-behind)...)
		}
	}
	for i := range 9 {
		doubleRound(others[i*len(others)/9 : (i+1)*len(others)/9])
	}
}

// write XORs a block into its text.
func (p *abreastPass) write(n int) []func() {
	spare := zmm(24 + n%8)
	return []func(){
		func() { MOVQ(Mem{Base: p.to, Disp: 8 * n}, R13) },
		func() { VMOVDQU64(Mem{Base: R13, Index: p.offset, Scale: 1}, spare) },
		func() { VPXORD(p.block(n), spare, spare) },
		func() { VMOVDQU64(spare, Mem{Base: R13, Index: p.offset, Scale: 1}) },
	}
}
