package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// lanes256 has one message in each 64-bit lane, and takes four blocks of each at a time, as lanes512 does:
//
//	hash = (hash + m0) r^4 + m1 r^3 + m2 r^2 + m3 r
//
// It takes whole quads of blocks that all four messages have, and leaves what is behind them to single256.
func lanes256() {
	TEXT("lanes256", NOSPLIT, "func(keys, texts *byte, quads int, powers, hashes *byte)")
	keys := Load(Param("keys"), RDI)
	Load(Param("texts"), RSI)
	left := Load(Param("quads"), RCX)
	kept := Load(Param("powers"), RDX)
	power := func(n int) Mem { return Mem{Base: kept, Disp: 9 * 32 * (n - 1)} }
	limbs := Mem{Base: kept, Disp: 9 * 32 * 4} // of the hashes, in the end

	VPBROADCASTQ(poly256, mask26)
	VPBROADCASTQ(poly256.Offset(8), pad26)
	var from [4]Mem
	for i := range from {
		from[i] = Mem{Base: keys, Disp: keySize * i}
	}
	lo, hi := spare256[0], spare256[1]
	loadLanes256(from)
	for i, word := range []VecPhysical{lo, hi} {
		VPBROADCASTQ(poly256.Offset(16+8*i), spare256[3])
		VPAND(spare256[3], word, word)
	}
	split256(hash256)
	for n := 1; n <= 4; n++ {
		if n > 1 {
			multiply256(power(1), true)
			carry256()
		}
		for i, h := range hash256 {
			store256(h, i, power(n))
		}
	}

	texts := [4]GPPhysical{R8, R9, R10, R11}
	for i, text := range texts {
		MOVQ(Mem{Base: RSI, Disp: 8 * i}, text)
	}
	for _, h := range hash256 {
		VPXOR(h, h, h)
	}
	at := RAX
	XORL(at.As32(), at.As32())
	Label("lanesQuad")
	block := func(b int, m [5]VecPhysical) {
		for i, text := range texts {
			from[i] = Mem{Base: text, Index: at, Scale: 1, Disp: 16 * b}
		}
		loadLanes256(from)
		split256(m)
		VPOR(pad26, m[4], m[4])
	}
	block(0, sums256)
	add256()
	multiply256(power(4), true)
	for b := 1; b < 4; b++ {
		block(b, hash256)
		multiply256(power(4-b), false)
	}
	carry256()
	ADDQ(Imm(64), at)
	DECQ(left)
	JNZ(LabelRef("lanesQuad"))

	for i, h := range hash256 {
		VMOVDQU(h, limbs.Offset(32*i))
	}
	hashes, lane := R15, RCX // and words256, which are three of the texts, and what wordsOf256 takes
	Load(Param("hashes"), hashes)
	XORL(lane.As32(), lane.As32())
	Label("lanesWords")
	for i, limb := range limbs256 {
		from := limbs.Offset(32*i).Idx(lane, 8)
		from.Base = RSI
		if i == 0 {
			Load(Param("powers"), RSI)
		}
		MOVQ(from, limb)
	}
	wordsOf256()
	for i, w := range words256 {
		MOVQ(w, Mem{Base: hashes, Disp: 8 * i})
	}
	ADDQ(Imm(hashSize), hashes)
	INCQ(lane)
	CMPQ(lane, Imm(4))
	JB(LabelRef("lanesWords"))

	VPXOR(Y0, Y0, Y0)
	for i := range 4*9 + 5 {
		VMOVDQU(Y0, Mem{Base: RSI, Disp: 32 * i})
	}
	VZEROALL()
	for _, r := range []GPPhysical{RAX, RBX, RDX, RDI, R8, R9, R10, R14} {
		XORL(r.As32(), r.As32())
	}
	RET()
}

// loadLanes256 loads the two words of a block of each message, the low ones into spare256[0], the high ones into spare256[1].
func loadLanes256(from [4]Mem) {
	lo, hi, t := spare256[0], spare256[1], spare256[2]
	VMOVDQU(from[0], lo.(Vec).AsX())
	VINSERTI128(Imm(1), from[2], lo, lo)
	VMOVDQU(from[1], t.(Vec).AsX())
	VINSERTI128(Imm(1), from[3], t, t)
	VPUNPCKHQDQ(t, lo, hi)
	VPUNPCKLQDQ(t, lo, lo)
}
