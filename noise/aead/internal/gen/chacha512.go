package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// chacha512 has one block in each 32-bit lane: register i is word i of sixteen states. Which blocks these are doesn't matter to it,
// so the lanes are dealt out to one span after the other.
//
// Making blocks of words again takes the ports that the rounds take. So a pass puts its words into memory, and in between the rounds of
// the next one they are turned as far as 128-bit parts, which are stored one by one, on ports that are idle, to where they belong; and
// then XORed into the texts. A last pass that has eight lanes or fewer is made with half vectors, which have three ports instead of two.
func chacha512() {
	counts := table("counts512", iota32(16)...)
	strides := table("strides512", multiples(16, 64)...)
	constants := table("sigma512", sigma[:]...)

	TEXT("chacha512", NOSPLIT, "func(key, spans *byte, n int, words *byte)")
	key := Load(Param("key"), RSI)
	span := Load(Param("spans"), RDI)
	left := Load(Param("n"), RCX)
	p := &pass512{
		key: key, constants: constants, words: Load(Param("words"), R14),
		texts: AllocLocal(16 * 8), masks: AllocLocal(16 * 8), waitingTexts: AllocLocal(16 * 8), waitingMasks: AllocLocal(16 * 8),
	}
	texts, masks := p.texts, p.masks
	waiting := R15 // 1 if words are
	XORL(waiting.As32(), waiting.As32())

	// The span at hand.
	text, length, nonce, block, first := R8, R9, R10, R11, R12
	lane := RBX
	counters, nonceFirst, nonceLow, nonceHigh := fourth[0], fourth[1], fourth[2], fourth[3]
	textsLow, textsHigh, ones := Z20, Z21, Z22
	VPTERNLOGD(Imm(0xff), ones, ones, ones)
	MOVQ(Mem{Base: span, Disp: spanText}, text)
	VPBROADCASTQ(text, textsLow) // idle lanes need an address, too
	VPBROADCASTQ(text, textsHigh)
	XORL(length.As32(), length.As32())

	Label("pass")
	XORL(lane.As32(), lane.As32())
	VPXORD(Z23, Z23, Z23)
	VMOVDQU64(Z23, masks)
	VMOVDQU64(Z23, masks.Offset(64))

	Label("deal")
	TESTQ(length, length)
	JNZ(LabelRef("take"))
	TESTQ(left, left)
	JZ(LabelRef("dealt"))
	MOVQ(Mem{Base: span, Disp: spanText}, text)
	MOVQ(Mem{Base: span, Disp: spanLen}, length)
	MOVQ(Mem{Base: span, Disp: spanNonce}, nonce)
	MOVL(Mem{Base: span, Disp: spanBlock}, block.As32())
	MOVL(Mem{Base: span, Disp: spanFirst}, first.As32())
	ADDQ(Imm(spanSize), span)
	DECQ(left)

	Label("take")
	blocks, mask := RAX, RDX
	LEAQ(Mem{Base: length, Disp: 63}, blocks)
	SHRQ(Imm(6), blocks)
	MOVL(U32(16), R13.As32())
	SUBQ(lane, R13)
	CMPQ(blocks, R13)
	CMOVQHI(R13, blocks)
	MOVQ(I32(-1), mask)
	BZHIQ(blocks, mask, mask)
	SHLXQ(lane, mask, mask)
	KMOVQ(mask, K1)
	SHRQ(Imm(8), mask)
	KMOVQ(mask, K2)
	VPBROADCASTD(nonce.As32(), K1, zmm(nonceLow))
	MOVQ(nonce, mask)
	SHRQ(Imm(32), mask)
	VPBROADCASTD(mask.As32(), K1, zmm(nonceHigh))
	VPBROADCASTD(first.As32(), K1, zmm(nonceFirst))
	MOVL(block.As32(), mask.As32())
	SUBL(lane.As32(), mask.As32())
	VPBROADCASTD(mask.As32(), Z23)
	VPADDD(counts, Z23, K1, zmm(counters))
	MOVQ(lane, mask)
	SHLQ(Imm(6), mask)
	NEGQ(mask)
	ADDQ(text, mask)
	VPBROADCASTQ(mask, Z23)
	VPADDQ(strides, Z23, K1, textsLow)
	VPADDQ(strides.Offset(64), Z23, K2, textsHigh)
	VMOVDQU64(ones, K1, masks)
	VMOVDQU64(ones, K2, masks.Offset(64))

	ADDQ(blocks, lane)
	ADDL(blocks.As32(), block.As32())
	SHLQ(Imm(6), blocks)
	ADDQ(blocks, text)
	SUBQ(blocks, length)
	JA(LabelRef("more")) // of this span
	// The last block was length+64 bytes.
	MOVQ(I32(-1), mask)
	ADDQ(Imm(64), length)
	BZHIQ(length, mask, mask)
	MOVQ(mask, masks.Offset(-8).Idx(lane, 8))
	XORL(length.As32(), length.As32())
	Label("more")
	CMPQ(lane, Imm(16))
	JB(LabelRef("deal"))

	Label("dealt")
	TESTQ(lane, lane)
	JZ(LabelRef("done"))
	VMOVDQU64(textsLow, texts)
	VMOVDQU64(textsHigh, texts.Offset(64))
	CMPQ(lane, Imm(8))
	JBE(LabelRef("half"))
	p.begin(zmm)
	TESTL(waiting.As32(), waiting.As32())
	JZ(LabelRef("alone"))
	p.roundsAndTurn()
	JMP(LabelRef("made"))
	Label("alone")
	p.rounds("aloneRounds", zmm)
	Label("made")
	p.end(zmm)
	for i := range 16 {
		VMOVDQU64(zmm(i), p.word(i))
	}
	for i := range 2 {
		VMOVDQU64(texts.Offset(64*i), zmm(24+i))
		VMOVDQU64(zmm(24+i), p.waitingTexts.Offset(64*i))
		VMOVDQU64(masks.Offset(64*i), zmm(24+i))
		VMOVDQU64(zmm(24+i), p.waitingMasks.Offset(64*i))
	}
	MOVL(U32(1), waiting.As32())
	JMP(LabelRef("pass"))

	Label("half")
	p.begin(ymm)
	TESTL(waiting.As32(), waiting.As32())
	JZ(LabelRef("halfAlone"))
	p.halfRoundsAndUnpack()
	JMP(LabelRef("halfMade"))
	Label("halfAlone")
	p.rounds("halfAloneRounds", ymm)
	Label("halfMade")
	p.end(ymm)
	turn8()
	for i := range 8 {
		do(xorBlock(zmm(i), texts.Offset(8*i), masks.Offset(8*i), zmm(24+i%8)))
	}
	TESTL(waiting.As32(), waiting.As32())
	JNZ(LabelRef("unpacked"))
	JMP(LabelRef("clear"))

	Label("done") // but for what is waiting
	TESTL(waiting.As32(), waiting.As32())
	JZ(LabelRef("clear"))
	XORL(EAX, EAX)
	Label("unpack")
	do(p.unpack(zmm, 0))
	ADDL(Imm(16), EAX)
	CMPL(EAX, Imm(64))
	JB(LabelRef("unpack"))
	Label("unpacked")
	p.writeAll("write", do)
	VPXORD(Z0, Z0, Z0)
	for i := range 32 {
		VMOVDQU64(Z0, p.word(i))
	}
	Label("clear")
	clear512()
	RET()
}

// fourth are the vectors with the fourth row of the states.
var fourth = [4]int{16, 17, 18, 19}

type pass512 struct {
	key                        Register
	constants                  Mem
	words                      Register
	texts, masks               Mem
	waitingTexts, waitingMasks Mem // of the pass whose words are in memory
}

func (p *pass512) word(i int) Mem { return Mem{Base: p.words, Disp: 64 * i} }

func (p *pass512) initial(i int) Mem {
	if i < 4 {
		return p.constants.Offset(4 * i)
	}
	return Mem{Base: p.key, Disp: 4 * (i - 4)}
}

func (p *pass512) begin(v func(int) VecPhysical) {
	for i := range 12 {
		VPBROADCASTD(p.initial(i), v(i))
	}
	for i, n := range fourth {
		VMOVDQA32(v(n), v(12+i))
	}
}

func (p *pass512) end(v func(int) VecPhysical) {
	for i := range 12 {
		VPADDD_BCST(p.initial(i), v(i), v(i))
	}
	for i, n := range fourth {
		VPADDD(v(n), v(12+i), v(12+i))
	}
}

func (p *pass512) rounds(label string, v func(int) VecPhysical) {
	MOVL(U32(10), EAX)
	Label(label)
	doubleRound(v, nil)
	DECL(EAX)
	JNZ(LabelRef(label))
}

// roundsAndTurn turns and writes the words that are waiting, in eight of the ten double rounds.
func (p *pass512) roundsAndTurn() {
	XORL(EAX, EAX)
	Label("unpackRounds")
	doubleRound(zmm, p.unpack(zmm, 0))
	ADDL(Imm(16), EAX)
	CMPL(EAX, Imm(64))
	JB(LabelRef("unpackRounds"))
	p.writeAll("writeRounds", func(list []func()) { doubleRound(zmm, list) })
	for range 2 {
		doubleRound(zmm, nil)
	}
}

// halfRoundsAndUnpack unpacks with half vectors what is waiting: a whole one would take a port away from the rounds.
func (p *pass512) halfRoundsAndUnpack() {
	XORL(EAX, EAX)
	Label("halfRounds")
	doubleRound(ymm, p.unpack(ymm, 0))
	doubleRound(ymm, p.unpack(ymm, 2))
	ADDL(Imm(16), EAX)
	CMPL(EAX, Imm(64))
	JB(LabelRef("halfRounds"))
	for range 2 {
		doubleRound(ymm, nil)
	}
}

// doubleRound is a column round and a diagonal round (RFC 8439, 2.3), with other instructions strewn in.
func doubleRound(v func(int) VecPhysical, others []func()) {
	var list []func()
	for _, round := range quarters {
		for _, s := range steps {
			// Two by two, so that rotations, which have one port, and the others mix.
			for _, pair := range [][][4]int{round[:2], round[2:]} {
				for _, q := range pair {
					list = append(list, func() { VPADDD(v(q[s.from]), v(q[s.to]), v(q[s.to])) })
				}
				for _, q := range pair {
					list = append(list, func() { VPXORD(v(q[s.to]), v(q[s.turned]), v(q[s.turned])) })
				}
				for _, q := range pair {
					list = append(list, func() { VPROLD(Imm(uint64(s.by)), v(q[s.turned]), v(q[s.turned])) })
				}
			}
		}
	}
	strew(list, others)
}

func do(instructions []func()) {
	for _, f := range instructions {
		f()
	}
}

// strew does the instructions of both lists, each in its order, the few evenly between the many.
func strew(many, few []func()) {
	done := 0
	for i, f := range many {
		f()
		for ; done < len(few) && done*len(many) < (i+1)*len(few); done++ {
			few[done]()
		}
	}
}
