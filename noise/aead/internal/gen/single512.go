package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// single512 has eight blocks of one message in the lanes: lane by lane hash = hash r^8 + m, and in the end lane i, counted from the
// last, is multiplied by r^(i+1) and all are added up. Two groups of eight are taken at a time, hash r^16 + m r^8 + m', with one carry.
// The message ends with a whole group, and begins with blocks that are zero, as in lanes512.
//
// The unpacking that parts low and high words leaves the blocks of a group in the order of order.
func single512() {
	order := table("order512", []uint64{0, 4, 1, 5, 2, 6, 3, 7}...)

	TEXT("single512", NOSPLIT, "func(key, text *byte, n int, last, tag *byte)")
	key := Load(Param("key"), RDI)
	text := Load(Param("text"), RSI)
	n := Load(Param("n"), RDX)
	last := Load(Param("last"), R8)
	loadConstants512()
	forLast, forOne, forTwo := singlePowers(key)

	// skip blocks are missing in the first of the groups.
	groups, skip, at := RCX, R9, RAX
	LEAQ(Mem{Base: n, Disp: 15}, skip)
	SHRQ(Imm(4), skip)
	INCQ(skip)
	LEAQ(Mem{Base: skip, Disp: 7}, groups)
	SHRQ(Imm(3), groups)
	MOVQ(groups, at)
	SHLQ(Imm(3), at)
	SUBQ(skip, at)
	MOVQ(at, skip)
	SHLQ(Imm(4), at)
	SUBQ(at, text) // where the first group begins
	begin, end := R10, R11
	MOVQ(at, begin) // the message's first byte, seen from the group at hand, and the one behind its last
	LEAQ(Mem{Base: at, Index: n, Scale: 1}, end)

	m := limbs{Z28, Z29, Z30}
	// The first group is the hash to begin with.
	VPBROADCASTQ(skip, Z28)
	VMOVDQU64(order, Z29)
	VPCMPUQ(Imm(5), Z28, Z29, K4) // order >= skip
	DECQ(groups)
	JNZ(LabelRef("singleFirst"))
	KXNORQ(K5, K5, K5) // it is the last one, too
	Label("singleFirst")
	singleEdge(text, begin, end, last)
	split(Z31, Z6, hash)
	VPORQ(pad, hash[2], K4, hash[2])
	singleAdvance(text, begin, end, 1)
	DECQ(groups)
	JS(LabelRef("singleSum"))
	JZ(LabelRef("singleLast"))

	TESTQ(U32(1), groups)
	JZ(LabelRef("singlePairs"))
	clearSums()
	multiplyAdd(hash, forOne)
	carry(hash)
	singleLoad(text, 0, m)
	addLimbs(m, hash)
	singleAdvance(text, begin, end, 1)
	DECQ(groups)
	JZ(LabelRef("singleLast"))

	Label("singlePairs")
	clearSums()
	singleLoad(text, 0, m)
	multiplyAdd(m, forOne)
	multiplyAdd(hash, forTwo)
	carry(hash)
	singleLoad(text, 128, m)
	addLimbs(m, hash)
	singleAdvance(text, begin, end, 2)
	SUBQ(Imm(2), groups)
	JNZ(LabelRef("singlePairs"))

	Label("singleLast")
	clearSums()
	multiplyAdd(hash, forOne)
	carry(hash)
	KXNORQ(K5, K5, K5)
	singleEdge(text, begin, end, last)
	split(Z31, Z6, m)
	VPORQ(pad, m[2], m[2])
	addLimbs(m, hash)

	Label("singleSum")
	clearSums()
	multiplyAdd(hash, forLast)
	carry(hash)
	for _, h := range hash {
		VEXTRACTI64X4(Imm(1), h, Y6)
		VPADDQ(h.(Vec).AsY(), Y6, h.(Vec).AsY())
		VEXTRACTI32X4(Imm(1), h.(Vec).AsY(), X6)
		VPADDQ(h.(Vec).AsX(), X6, h.(Vec).AsX())
		VPSHUFD(Imm(0x4e), h.(Vec).AsX(), X6)
		VPADDQ(h.(Vec).AsX(), X6, h.(Vec).AsX())
	}
	VPBROADCASTQ(Mem{Base: key, Disp: 16}, Z8)
	VPBROADCASTQ(Mem{Base: key, Disp: 24}, Z9)
	finish512(hash, Z8, Z9, Z10, Z11)
	tag := Load(Param("tag"), R8)
	VPUNPCKLQDQ(X11, X10, X10)
	VMOVDQU(X10, Mem{Base: tag})
	clear512()
	RET()
}

// singlePowers makes the multipliers r^8 .. r, in the order of a group's lanes, r^8 and r^16.
func singlePowers(key Register) (forLast, forOne, forTwo multiplier) {
	r, square := limbs{Z7, Z8, Z9}, limbs{Z12, Z13, Z14}
	VPBROADCASTQ(Mem{Base: key}, Z15)
	VPBROADCASTQ(Mem{Base: key, Disp: 8}, Z16)
	VPANDQ_BCST(clampLow, Z15, Z15)
	VPANDQ_BCST(clampHigh, Z16, Z16)
	split(Z15, Z16, r)
	clearSums()
	multiplyAdd(r, multiplierOf(r, Z10, Z11, Z6))
	carry(square)

	lanes := func(mask uint32, k OpmaskPhysical) {
		MOVL(U32(mask), EAX)
		KMOVW(EAX, k)
	}
	merge := func(from limbs, k OpmaskPhysical) {
		for i := range 3 {
			VMOVDQA64(from[i], k, r[i])
		}
	}
	lanes(0x33, K1)
	lanes(0x0f, K2)
	lanes(0x55, K3)
	merge(square, K1) // 2 2 1 1  2 2 1 1
	clearSums()
	multiplyAdd(r, multiplierOf(square, Z15, Z16, Z6))
	carry(square)
	merge(square, K2) // 4 4 3 3  2 2 1 1
	for i := range 3 {
		VPBROADCASTQ(r[i].(Vec).AsX(), square[i])
	}
	clearSums()
	multiplyAdd(r, multiplierOf(square, Z15, Z16, Z6))
	carry(square)
	merge(square, K3) // 8 4 7 3  6 2 5 1
	forLast = multiplierOf(r, Z10, Z11, Z6)
	for i := range 3 {
		VPBROADCASTQ(r[i].(Vec).AsX(), square[i])
	}
	forOne = multiplierOf(square, Z15, Z16, Z6)
	double := limbs{Z17, Z18, Z19}
	clearSums()
	multiplyAdd(square, forOne)
	carry(double)
	forTwo = multiplierOf(double, Z26, Z27, Z6)
	KXORQ(K5, K5, K5)
	return forLast, forOne, forTwo
}

func addLimbs(m, to limbs) {
	for i := range 3 {
		VPADDQ(m[i], to[i], to[i])
	}
}

// singleLoad loads a whole group.
func singleLoad(text Register, offset int, m limbs) {
	VMOVDQU64(Mem{Base: text, Disp: offset}, Z31)
	VMOVDQU64(Mem{Base: text, Disp: offset + 64}, m[0])
	VPUNPCKHQDQ(m[0], Z31, Z6)
	VPUNPCKLQDQ(m[0], Z31, Z31)
	split(Z31, Z6, m)
	VPORQ(pad, m[2], m[2])
}

func singleAdvance(text, begin, end Register, groups uint64) {
	ADDQ(U32(128*groups), text)
	SUBQ(U32(128*groups), begin)
	SUBQ(U32(128*groups), end)
}

// singleEdge loads the words of a group, into Z31 the low and into Z6 the high ones, as far as the message goes; its last block comes
// from last, if K5 says so.
func singleEdge(text, begin, end, last Register) {
	for i, to := range []VecPhysical{Z31, Z28} {
		from, until := R12, R13
		clamp(begin, -64*i, from)
		clamp(end, -64*i, until)
		MOVQ(I32(-1), RBX)
		BZHIQ(from, RBX, from)
		BZHIQ(until, RBX, until)
		ANDNQ(until, from, until)
		KMOVQ(until, K1)
		VMOVDQU8_Z(Mem{Base: text, Disp: 64 * i}, K1, to)
	}
	VPXORQ(Z29, Z29, Z29)
	MOVL(U32(0xf000), EAX)
	KMOVW(EAX, K1)
	KANDW(K5, K1, K1)
	VBROADCASTI32X4_Z(Mem{Base: last}, K1, Z29)
	VPORQ(Z29, Z28, Z28)
	VPUNPCKHQDQ(Z28, Z31, Z6)
	VPUNPCKLQDQ(Z28, Z31, Z31)
}

// clamp sets to = min(max(from+offset, 0), 64).
func clamp(from Register, offset int, to GPPhysical) {
	LEAQ(Mem{Base: from, Disp: offset}, to)
	XORL(EAX, EAX)
	TESTQ(to, to)
	CMOVQLT(RAX, to)
	MOVL(U32(64), EAX)
	CMPQ(to, RAX)
	CMOVQGT(RAX, to)
}
