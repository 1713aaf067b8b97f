package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// chacha512 has one block in each 32-bit lane: register i is word i of sixteen states. Which blocks these are doesn't matter to it,
// so the lanes of several passes are dealt out to one message after the other beforehand: into arrays, each message with whole vectors,
// of which the next one's overwrite what is too much.
//
// The counter's and the nonce's low words are all that differs between lanes. So two of the first round's four quarter rounds are made
// once, and the first addition of the others.
//
// Making blocks of words again takes ports that the rounds take, if vectors do it. So a pass puts its words into memory, and in between
// the rounds of the next one they are collected one by one, on ports that are idle, and then XORed into the texts. A last pass that has
// eight lanes or fewer is made otherwise.
func chacha512() {
	counts := table("counts512", iota32(16)...)
	strides := table("strides512", multiples(16, 64)...)

	TEXT("chacha512", NOSPLIT, "func(key, ms *byte, n int, keys bool, work *byte)")
	p := &pass512{work: Load(Param("work"), R14), at: R12}
	Load(Param("ms"), RDI)
	p.makeStates(Load(Param("key"), RSI), Mem{Base: RDI, Disp: messageFirst}, Mem{Base: RDI, Disp: messageNonce + 4})
	left := Load(Param("n"), RCX)
	keys := Load(Param("keys"), R10B)
	waiting := R15 // 1 if words are
	XORL(waiting.As32(), waiting.As32())
	XORL(p.at.As32(), p.at.As32())

	// The message at hand, and where its one-time key goes, if that is to be made and isn't dealt with yet.
	message, text, length, block, key := RDI, R8, R9, R11, RSI
	lane := RBX
	textsLow, textsHigh, ones := Z20, Z21, Z22
	VPTERNLOGD(Imm(0xff), ones, ones, ones)
	XORL(length.As32(), length.As32())
	XORL(key.As32(), key.As32())

	Label("deal")
	// What is waiting has its place before the first lane.
	for i := range 2 {
		VMOVDQU64(p.texts(p.at, 8*i-16), zmm(24+i))
		VMOVDQU64(p.masks(p.at, 8*i-16), zmm(26+i))
	}
	XORL(p.at.As32(), p.at.As32())
	for i := range 2 {
		VMOVDQU64(zmm(24+i), p.texts(p.at, 8*i-16))
		VMOVDQU64(zmm(26+i), p.masks(p.at, 8*i-16))
	}
	XORL(lane.As32(), lane.As32())

	Label("dealMessage")
	TESTQ(length, length)
	JNZ(LabelRef("take"))
	TESTQ(left, left)
	JZ(LabelRef("idle"))
	MOVQ(Mem{Base: message, Disp: messageText}, text)
	MOVQ(Mem{Base: message, Disp: messageLen}, length)
	MOVL(Mem{Base: message, Disp: messageBlock}, block.As32())
	ADDQ(Imm(messageSize), message)
	DECQ(left)
	TESTB(keys, keys)
	JZ(LabelRef("dealMessage")) // not yet: it may have no text
	MOVQ(Mem{Base: message, Disp: messageKey - messageSize}, key)
	TESTQ(length, length)
	JZ(LabelRef("keyAlone"))
	// Block 0 is dealt with as if it stood before the text.
	XORL(block.As32(), block.As32())
	SUBQ(Imm(64), text)
	ADDQ(Imm(64), length)

	Label("take")
	blocks, mask := RAX, RDX
	LEAQ(Mem{Base: length, Disp: 63}, blocks)
	SHRQ(Imm(6), blocks)
	MOVL(U32(16), R13.As32())
	CMPQ(blocks, R13)
	CMOVQHI(R13, blocks)
	MOVL(U32(workLanes), R13.As32())
	SUBQ(lane, R13)
	CMPQ(blocks, R13)
	CMOVQHI(R13, blocks)
	VPBROADCASTD(block.As32(), Z23)
	VPADDD(counts, Z23, Z23)
	VMOVDQU32(Z23, p.counters(lane))
	VPBROADCASTD(Mem{Base: message, Disp: messageNonce - messageSize}, Z23)
	VMOVDQU32(Z23, p.nonces(lane))
	VPBROADCASTQ(text, Z23)
	VPADDQ(strides, Z23, textsLow)
	VPADDQ(strides.Offset(64), Z23, textsHigh)
	VMOVDQU64(textsLow, p.texts(lane, 0))
	VMOVDQU64(textsHigh, p.texts(lane, 8))
	VMOVDQU64(ones, p.masks(lane, 0))
	VMOVDQU64(ones, p.masks(lane, 8))
	TESTQ(key, key)
	JZ(LabelRef("taken"))
	MOVQ(key, p.texts(lane, 0))
	XORL(key.As32(), key.As32())
	Label("taken")
	ADDQ(blocks, lane)
	ADDL(blocks.As32(), block.As32())
	SHLQ(Imm(6), blocks)
	ADDQ(blocks, text)
	SUBQ(blocks, length)
	JA(LabelRef("more")) // of this message
	// The last block was length+64 bytes.
	MOVQ(I32(-1), mask)
	ADDQ(Imm(64), length)
	BZHIQ(length, mask, mask)
	MOVQ(mask, p.masks(lane, -1))
	XORL(length.As32(), length.As32())
	Label("more")
	CMPQ(lane, U32(workLanes))
	JB(LabelRef("dealMessage"))
	JMP(LabelRef("pass"))

	Label("keyAlone")
	MOVL(Mem{Base: message, Disp: messageNonce - messageSize}, EAX)
	MOVL(EAX, p.nonces(lane))
	MOVL(U32(0), p.counters(lane))
	MOVQ(key, p.texts(lane, 0))
	MOVQ(I32(-1), p.masks(lane, 0))
	XORL(key.As32(), key.As32())
	INCQ(lane)
	CMPQ(lane, U32(workLanes))
	JB(LabelRef("dealMessage"))
	JMP(LabelRef("pass"))

	Label("idle") // lanes need an address, too
	TESTQ(lane, lane)
	JZ(LabelRef("done"))
	VPBROADCASTQ(p.work, textsLow)
	VPXORD(Z23, Z23, Z23)
	for i := range 2 {
		VMOVDQU64(textsLow, p.texts(lane, 8*i))
		VMOVDQU64(Z23, p.masks(lane, 8*i))
	}

	Label("pass")
	MOVQ(lane, RAX)
	SUBQ(p.at, RAX)
	JBE(LabelRef("deal"))
	CMPQ(RAX, Imm(8))
	JBE(LabelRef("half"))
	p.begin()
	TESTL(waiting.As32(), waiting.As32())
	JZ(LabelRef("alone"))
	p.roundsAndWrite()
	JMP(LabelRef("made"))
	Label("alone")
	roundsAlone("aloneRounds")
	Label("made")
	p.end()
	for i := range 16 {
		VMOVDQU64(zmm(i), p.word(i))
	}
	MOVL(U32(1), waiting.As32())
	ADDQ(Imm(16), p.at)
	JMP(LabelRef("pass"))

	Label("half")
	p.beginRows()
	TESTL(waiting.As32(), waiting.As32())
	JZ(LabelRef("halfAlone"))
	for i := 0; i < 16; i += 4 {
		doubleRows(p.unpack(i))
	}
	p.writeAll("writeRows", doubleRows)
	MOVL(U32(2), EAX)
	JMP(LabelRef("halfRounds"))
	Label("halfAlone")
	MOVL(U32(10), EAX)
	Label("halfRounds")
	doubleRows(nil)
	DECL(EAX)
	JNZ(LabelRef("halfRounds"))
	p.endRows()
	for i := range 8 {
		do(xorBlock(zmm(i), p.texts(p.at, i), p.masks(p.at, i), zmm(24+i%8)))
	}
	TESTL(waiting.As32(), waiting.As32())
	JZ(LabelRef("clear"))
	JMP(LabelRef("wipe"))

	Label("done") // but for what is waiting
	for i := 0; i < 16; i += 4 {
		do(p.unpack(i))
	}
	p.writeAll("write", do)
	Label("wipe")
	VPXORD(Z0, Z0, Z0)
	for i := range 32 {
		VMOVDQU64(Z0, p.word(i))
	}
	Label("clear")
	VPXORD(Z0, Z0, Z0)
	for i := range 2 {
		VMOVDQU64(Z0, p.state(i, 0))
	}
	clear512(EAX, EDX, R13L)
	RET()
}

type pass512 struct {
	work Register
	at   GPPhysical // the pass's first lane
}

func (p *pass512) word(i int) Mem     { return Mem{Base: p.work, Disp: 64 * i} }
func (p *pass512) block(i int) Mem    { return Mem{Base: p.work, Disp: 1024 + 64*i} }
func (p *pass512) state(n, i int) Mem { return Mem{Base: p.work, Disp: workStates + 64*n + 4*i} }

func (p *pass512) counters(lane Register) Mem {
	return Mem{Base: p.work, Index: lane, Scale: 4, Disp: workCounters}
}

func (p *pass512) nonces(lane Register) Mem {
	return Mem{Base: p.work, Index: lane, Scale: 4, Disp: workNonces}
}

func (p *pass512) texts(lane Register, offset int) Mem {
	return Mem{Base: p.work, Index: lane, Scale: 8, Disp: workTexts + 8*(16+offset)}
}

func (p *pass512) masks(lane Register, offset int) Mem {
	return Mem{Base: p.work, Index: lane, Scale: 8, Disp: workMasks + 8*(16+offset)}
}

// makeStates stores the words that all lanes have in common: as they are, and as far as the first round is made of them alone.
// first and high are the nonce's first four bytes and its last four.
func (p *pass512) makeStates(key Register, first, high Op) {
	VMOVDQU(sigma512, X0)
	VMOVDQU(X0, p.state(0, 0))
	for i := range 2 {
		VMOVDQU(Mem{Base: key, Disp: 16 * i}, X1)
		VMOVDQU(X1, p.state(0, 4+4*i))
		VMOVDQU(X1, p.state(1, 4+4*i))
		if i == 0 {
			VPADDD(X1, X0, X0)
			VMOVDQU(X0, p.state(1, 0))
		}
	}
	for i, word := range []Op{first, high} {
		MOVL(word, EAX)
		MOVL(EAX, p.state(0, 13+2*i))
	}
	w := [4]GPPhysical{EAX, EBX, ECX, EDX}
	for _, q := range [2][4]int{quarters[0][1], quarters[0][3]} {
		for i := range w {
			MOVL(p.state(0, q[i]), w[i])
		}
		for _, s := range steps {
			ADDL(w[s.from], w[s.to])
			XORL(w[s.to], w[s.turned])
			ROLL(Imm(uint64(s.by)), w[s.turned])
		}
		for i := range w {
			MOVL(w[i], p.state(1, q[i]))
		}
	}
}

// begin sets the words to what they are after the first two rounds.
func (p *pass512) begin() {
	for i := range 16 {
		switch i {
		case 12:
			VMOVDQU32(p.counters(p.at), zmm(i))
		case 14:
			VMOVDQU32(p.nonces(p.at), zmm(i))
		default:
			VPBROADCASTD(p.state(1, i), zmm(i))
		}
	}
	do(quarterRounds(quarters[0][0], quarters[0][2])[2:]) // the first two are additions
	do(round(quarters[1]))
}

func (p *pass512) end() {
	for i := range 16 {
		switch i {
		case 12:
			VPADDD(p.counters(p.at), zmm(i), zmm(i))
		case 14:
			VPADDD(p.nonces(p.at), zmm(i), zmm(i))
		default:
			VPADDD_BCST(p.state(0, i), zmm(i), zmm(i))
		}
	}
}

// roundsAndWrite collects and writes the words that are waiting, in nine double rounds.
func (p *pass512) roundsAndWrite() {
	var words []func()
	for n := range 16 {
		words = append(words, p.collect(n)...)
	}
	for i := range 5 {
		doubleRound(words[i*len(words)/5 : (i+1)*len(words)/5])
	}
	p.writeAll("writeRounds", doubleRound)
}

// roundsAlone makes nine double rounds with nothing beside.
func roundsAlone(label string) {
	MOVL(U32(9), EAX)
	Label(label)
	doubleRound(nil)
	DECL(EAX)
	JNZ(LabelRef(label))
}

// doubleRound is a column round and a diagonal round (RFC 8439, 2.3), with other instructions strewn in.
func doubleRound(others []func()) {
	strew(append(round(quarters[0]), round(quarters[1])...), others)
}

// round makes four quarter rounds, two by two, so that rotations, which have one port, and the others mix.
func round(qs [4][4]int) (list []func()) {
	first, second := quarterRounds(qs[:2]...), quarterRounds(qs[2:]...)
	for i := 0; i < len(first); i += 6 {
		list = append(append(list, first[i:i+6]...), second[i:i+6]...)
	}
	return list
}

// quarterRounds makes some at once, step by step.
func quarterRounds(qs ...[4]int) (list []func()) {
	for _, s := range steps {
		for _, q := range qs {
			list = append(list, func() { VPADDD(zmm(q[s.from]), zmm(q[s.to]), zmm(q[s.to])) })
		}
		for _, q := range qs {
			list = append(list, func() { VPXORD(zmm(q[s.to]), zmm(q[s.turned]), zmm(q[s.turned])) })
		}
		for _, q := range qs {
			list = append(list, func() { VPROLD(Imm(uint64(s.by)), zmm(q[s.turned]), zmm(q[s.turned])) })
		}
	}
	return list
}

func do(instructions []func()) {
	for _, f := range instructions {
		f()
	}
}

func strew(many, few []func()) { do(strewn(many, few)) }

// strewn is the instructions of both lists, each in its order, the few evenly between the many.
func strewn(many, few []func()) (list []func()) {
	done := 0
	for i, f := range many {
		list = append(list, f)
		for ; done < len(few) && done*len(many) < (i+1)*len(few); done++ {
			list = append(list, few[done])
		}
	}
	return list
}
