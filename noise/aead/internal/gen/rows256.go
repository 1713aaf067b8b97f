package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// rowsOf256 are the rows of the states of two blocks, one in each half of the vectors.
type rowsOf256 struct {
	a, b, c, d    VecPhysical
	initial, turn VecPhysical // d to begin with; and what is free to turn with
}

// fewBlocks makes four blocks or fewer, with a row of the state in 128 bits. A pass of eight lanes has to make all of its instructions
// whatever the number of its blocks; this has half as many, and waits for most of them, which takes less time all the same.
func (c *code256) fewBlocks() {
	pairs := []rowsOf256{{Y0, Y1, Y2, Y3, Y12, Y8}, {Y4, Y5, Y6, Y7, Y13, Y9}}
	// The fourth rows stand in columns, of which there are four here.
	columns := [4]VecPhysical{X8, X9, X10, X11}
	for i, x := range columns {
		VMOVDQU(c.last(i), x)
	}
	VPUNPCKLDQ(X9, X8, X0)
	VPUNPCKHDQ(X9, X8, X1)
	VPUNPCKLDQ(X11, X10, X2)
	VPUNPCKHDQ(X11, X10, X3)
	for i, from := range [2][2]VecPhysical{{X0, X2}, {X1, X3}} {
		to := pairs[i].initial
		VPUNPCKLQDQ(from[1], from[0], to.(Vec).AsX())
		VPUNPCKHQDQ(from[1], from[0], X8)
		VINSERTI128(Imm(1), X8, to, to)
	}
	upper := [3]Mem{c.constants, {Base: c.key}, {Base: c.key, Disp: 16}}
	for _, p := range pairs {
		for i, x := range []VecPhysical{p.a, p.b, p.c} {
			VBROADCASTI128(upper[i], x)
		}
		VMOVDQA(p.initial, p.d)
	}

	doubleRound := append(c.rowsRound(pairs, false), c.rowsRound(pairs, true)...)
	c.rounds("few", 5, append(doubleRound, doubleRound...))

	for n, p := range pairs {
		for i, x := range []VecPhysical{p.a, p.b, p.c} {
			VBROADCASTI128(upper[i], p.turn)
			VPADDD(p.turn, x, x)
		}
		VPADDD(p.initial, p.d, p.d)
		for half, select_ := range []uint64{0x20, 0x31} {
			MOVQ(c.texts(2*n+half), RAX)
			for i, x := range [][2]VecPhysical{{p.a, p.b}, {p.c, p.d}} {
				text := Mem{Base: RAX, Disp: 32 * i}
				VPERM2I128(Imm(select_), x[1], x[0], p.turn)
				VPXOR(text, p.turn, p.turn)
				VMOVDQU(p.turn, text)
			}
		}
	}
}

// rowsRound makes the four quarter rounds of a round, on columns, and has the words of a diagonal come to stand in a column, or go back.
func (c *code256) rowsRound(pairs []rowsOf256, diagonal bool) (list []func()) {
	for _, s := range steps {
		for _, p := range pairs {
			rows := [4]VecPhysical{p.a, p.b, p.c, p.d}
			to, from, x := rows[s.to], rows[s.from], rows[s.turned]
			list = append(list, func() { VPADDD(from, to, to) }, func() { VPXOR(to, x, x) })
			list = append(list, c.rotation(x, p.turn, s.by)...)
		}
	}
	left, right := Imm(0x39), Imm(0x93)
	if diagonal {
		left, right = right, left
	}
	for _, p := range pairs {
		list = append(list,
			func() { VPSHUFD(left, p.b, p.b) },
			func() { VPSHUFD(Imm(0x4e), p.c, p.c) },
			func() { VPSHUFD(right, p.d, p.d) })
	}
	return list
}

// rotation rotates words to the left.
func (c *code256) rotation(x, spare VecPhysical, by int) []func() {
	switch by {
	case 16:
		return []func(){func() { VPSHUFB(c.turns, x, x) }}
	case 8:
		return []func(){func() { VPSHUFB(c.turns.Offset(32), x, x) }}
	}
	return []func(){
		func() { VPSLLD(Imm(uint64(by)), x, spare) },
		func() { VPSRLD(Imm(uint64(32-by)), x, x) },
		func() { VPOR(spare, x, x) },
	}
}
