package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// single512 has eight blocks of one message in the lanes: lane by lane hash = hash r^8 + m, and in the end lane i, counted from the
// last, is multiplied by r^(i+1) and all are added up. Two groups of eight are taken at a time, hash r^16 + m r^8 + m', with one carry.
// The message ends with a whole group, and begins with blocks that are zero, as in lanes512. It has two groups at least.
//
// The unpacking that parts low and high words leaves the blocks of a group in the order of order.
func single512() {
	order := table("order512", []uint64{0, 4, 1, 5, 2, 6, 3, 7}...)

	TEXT("single512", NOSPLIT, "func(key, powers, text *byte, n int, last, tag *byte)")
	p := &singlePass{
		key: Load(Param("key"), RDI), kept: Load(Param("powers"), R9), text: Load(Param("text"), RSI),
		lo: Z31, hi: Z6, r: limbs{Z17, Z18, Z19},
	}
	n := Load(Param("n"), RDX)
	last := Load(Param("last"), R8)
	loadConstants512()

	// skip blocks are missing in the first of the groups.
	groups, skip := RCX, RAX
	LEAQ(Mem{Base: n, Disp: 15}, skip)
	SHRQ(Imm(4), skip)
	INCQ(skip)
	LEAQ(Mem{Base: skip, Disp: 7}, groups)
	SHRQ(Imm(3), groups)
	NEGQ(skip)
	LEAQ(Mem{Base: skip, Index: groups, Scale: 8}, skip)
	VPBROADCASTQ(skip, Z28)
	VPCMPUQ(Imm(2), order, Z28, K4) // skip <= order
	p.first(skip)
	seed(p.lo, p.hi, hash, K4)
	KXNORQ(K4, K4, K4)

	// The last group is loaded now, because there is time.
	DECQ(groups)
	MOVQ(groups, R10)
	SHLQ(Imm(7), R10)
	LEAQ(Mem{Base: p.text, Index: R10, Scale: 1, Disp: -128}, R10)
	Load(Param("text"), R11)
	ADDQ(n, R11)
	SUBQ(R10, R11)
	SUBQ(Imm(64), R11) // bytes of the text that are in the second half: 33 to 48
	MOVQ(I32(-1), RAX)
	BZHIQ(R11, RAX, RAX)
	KMOVQ(RAX, K1)
	VMOVDQU64(Mem{Base: R10}, Z28)
	VMOVDQU8_Z(Mem{Base: R10, Disp: 64}, K1, Z29)
	VBROADCASTI32X4(Mem{Base: last}, Z30)
	MOVL(U32(0xc0), EAX)
	KMOVW(EAX, K1)
	VPORQ(Z30, Z29, K1, Z29)
	VMOVDQU64(Z28, p.end(0))
	VMOVDQU64(Z29, p.end(1))

	p.makePowers()
	TESTQ(U32(1), groups)
	JZ(LabelRef("singlePairs"))
	p.load("singleOne", groups, 1)
	p.step()
	do(multiplications(hash, p.forOne))
	carry(hash)
	DECQ(groups)
	JZ(LabelRef("singleSum"))

	Label("singlePairs")
	m := limbs{Z28, Z29, Z30}
	p.words(Mem{Base: p.text}, Mem{Base: p.text, Disp: 64}, m[0], m[2])
	ADDQ(U32(128), p.text)
	p.load("singleTwo", groups, 2)
	p.step()
	do(split(m[0], m[2], m, K4))
	do(multiplications(m, p.forOne))
	do(multiplications(hash, p.forTwo))
	carry(hash)
	SUBQ(Imm(2), groups)
	JNZ(LabelRef("singlePairs"))

	Label("singleSum")
	multiply(hash, multiplierOf(p.r, p.products(), p.spare()))
	carry(hash)
	clean(hash, hash)
	for _, h := range hash {
		VEXTRACTI64X4(Imm(1), h, Y6)
		VPADDQ(h.(Vec).AsY(), Y6, h.(Vec).AsY())
		VEXTRACTI32X4(Imm(1), h.(Vec).AsY(), X6)
		VPADDQ(h.(Vec).AsX(), X6, h.(Vec).AsX())
		VPSHUFD(Imm(0x4e), h.(Vec).AsX(), X6)
		VPADDQ(h.(Vec).AsX(), X6, h.(Vec).AsX())
	}
	reduce512(hash)
	VPBROADCASTQ(Mem{Base: p.key, Disp: 16}, Z8)
	VPBROADCASTQ(Mem{Base: p.key, Disp: 24}, Z9)
	finish512(hash, Z8, Z9, Z10, Z11)
	tag := Load(Param("tag"), R8)
	VPUNPCKLQDQ(X11, X10, X10)
	VMOVDQU(X10, Mem{Base: tag})
	VPXORQ(Z0, Z0, Z0)
	for _, row := range p.forOne {
		for _, to := range row {
			VMOVDQU64(Z0, to)
		}
	}
	clear512(EAX, EBX, EDX, R8L, R10L, R11L, R12L, R13L, R14L, R15L)
	RET()
}

type singlePass struct {
	key, kept, text Register    // text is the group at hand
	lo, hi          VecPhysical // a group's words
	r               limbs       // r^8 .. r, in the order of a group's lanes
	forOne, forTwo  multiplier  // r^8 and r^16
}

// end are the words of the last group, behind forOne.
func (p *singlePass) end(i int) Mem { return Mem{Base: p.kept, Disp: 64 * (9 + i)} }

// products are registers for what multiplierOf makes, and spare are those that it has besides.
func (p *singlePass) products() [3]limbs    { return [3]limbs{1: {Z8, Z9, Z10}, 2: {Z11, Z12, Z13}} }
func (p *singlePass) spare() [3]VecPhysical { return [3]VecPhysical{Z29, Z30, Z31} }

// first loads the first group and goes to the second.
func (p *singlePass) first(skip Register) {
	words, second := RBX, R10
	MOVL(U32(0xffff), words.As32())
	LEAQ(Mem{Base: skip, Index: skip, Scale: 1}, R10)
	SHLXQ(R10, words, words)
	KMOVW(words.As32(), K1)
	SHRL(Imm(8), words.As32())
	KMOVW(words.As32(), K2)
	SHLQ(Imm(4), skip)
	MOVL(U32(64), second.As32())
	XORL(EBX, EBX)
	SUBQ(skip, second)
	CMOVQLT(RBX, second)
	// Nothing before the text is read: a page that isn't there takes long even where it is masked.
	VPEXPANDQ_Z(Mem{Base: p.text}, K1, Z28)
	VPEXPANDQ_Z(Mem{Base: p.text, Index: second, Scale: 1}, K2, Z29)
	VPUNPCKHQDQ(Z29, Z28, p.hi)
	VPUNPCKLQDQ(Z29, Z28, p.lo)
	SUBQ(skip, p.text)
	ADDQ(U32(128), p.text)
}

// words loads a group and parts low and high words.
func (p *singlePass) words(first, second Mem, lo, hi VecPhysical) {
	VMOVDQU64(first, lo)
	VMOVDQU64(second, Z27)
	VPUNPCKHQDQ(Z27, lo, hi)
	VPUNPCKLQDQ(Z27, lo, lo)
}

// load loads the group at hand, which is the last if there are left groups, and goes to the next.
func (p *singlePass) load(label string, groups Register, left uint64) {
	CMPQ(groups, Imm(left))
	JE(LabelRef(label))
	p.words(Mem{Base: p.text}, Mem{Base: p.text, Disp: 64}, p.lo, p.hi)
	ADDQ(U32(128), p.text)
	JMP(LabelRef(label + "Loaded"))
	Label(label)
	p.words(p.end(0), p.end(1), p.lo, p.hi)
	Label(label + "Loaded")
}

// step sets the sums to what was loaded.
func (p *singlePass) step() {
	seed(p.lo, p.hi, low, K4)
	clearSums(high)
}

// makePowers makes r, forOne and forTwo. One square waits for another; what is made of them in vectors goes on beside that.
func (p *singlePass) makePowers() {
	r, power := p.r, limbs{Z14, Z15, Z16}
	VPBROADCASTQ(Mem{Base: p.key}, Z8)
	VPBROADCASTQ(Mem{Base: p.key, Disp: 8}, Z9)
	loadR(Z8, Z9, r)
	product := func(a limbs, b multiplier) {
		multiply(a, b)
		carry(power)
		clean(power, power)
	}
	merge := func(lanes uint32) {
		MOVL(U32(lanes), EAX)
		KMOVW(EAX, K1)
		for i := range 3 {
			VMOVDQA64(power[i], K1, r[i])
		}
	}
	by := func(l limbs) multiplier { return multiplierOf(l, p.products(), p.spare()) }
	MOVQ(Mem{Base: p.key}, number512[0])
	ANDQ(clampLow, number512[0])
	MOVQ(Mem{Base: p.key, Disp: 8}, number512[1])
	ANDQ(clampHigh, number512[1])
	XORL(number512[2].As32(), number512[2].As32())
	square512()
	limbsOfNumber512(power)
	merge(0x33) // 2 2 1 1  2 2 1 1
	product(r, by(power))
	merge(0x0f) // 4 4 3 3  2 2 1 1
	square512()
	limbsOfNumber512(power)
	product(r, by(power))
	merge(0x55) // 8 4 7 3  6 2 5 1
	square512()
	limbsOfNumber512(power)
	for i, row := range by(power) {
		for j, from := range row {
			to := Mem{Base: p.kept, Disp: 64 * (3*i + j)}
			VMOVDQU64(from, to)
			p.forOne[i][j] = to
		}
	}
	square512()
	limbsOfNumber512(power)
	p.forTwo = by(power)
}
