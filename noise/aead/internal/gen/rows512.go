package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// rowsOf512 are the rows of the states of four blocks, one in each quarter of the vectors; and d to begin with.
type rowsOf512 struct{ a, b, c, d, initial VecPhysical }

// rows512 is both sets of rows of a pass of eight lanes or fewer.
var rows512 = []rowsOf512{{Z0, Z1, Z2, Z3, Z16}, {Z4, Z5, Z6, Z7, Z17}}

// beginRows sets up the rows. The lanes' words of the fourth one are spread among those that all have in common.
func (p *pass512) beginRows() {
	for i, k := range []OpmaskPhysical{K2, K3} {
		MOVL(U32([]uint32{0x1111, 0x4444}[i]), EAX)
		KMOVW(EAX, k)
	}
	for n, r := range rows512 {
		for i, x := range []VecPhysical{r.a, r.b, r.c, r.initial} {
			VBROADCASTI32X4(p.state(0, 4*i), x)
		}
		VPEXPANDD(p.counters(p.at).Offset(16*n), K2, r.initial)
		VPEXPANDD(p.nonces(p.at).Offset(16*n), K3, r.initial)
		VMOVDQA32(r.initial, r.d)
	}
}

// doubleRows is a double round of the rows, with other instructions strewn in.
func doubleRows(others []func()) {
	var list []func()
	for _, diagonal := range []bool{false, true} {
		for _, s := range steps {
			for _, f := range []func(to, from, turned VecPhysical){
				func(to, from, _ VecPhysical) { VPADDD(from, to, to) },
				func(to, _, turned VecPhysical) { VPXORD(to, turned, turned) },
				func(_, _, turned VecPhysical) { VPROLD(Imm(uint64(s.by)), turned, turned) },
			} {
				for _, r := range rows512 {
					rows := [4]VecPhysical{r.a, r.b, r.c, r.d}
					list = append(list, func() { f(rows[s.to], rows[s.from], rows[s.turned]) })
				}
			}
		}
		// The words of a diagonal come to stand in a column, or go back. The row that is needed last is turned last.
		left, right := Imm(0x39), Imm(0x93)
		if diagonal {
			left, right = right, left
		}
		for _, r := range rows512 {
			list = append(list, func() { VPSHUFD(right, r.d, r.d) })
		}
		for _, r := range rows512 {
			list = append(list, func() { VPSHUFD(left, r.b, r.b) }, func() { VPSHUFD(Imm(0x4e), r.c, r.c) })
		}
	}
	strew(list, others)
}

// endRows makes eight blocks of the rows, in Z0 - Z7.
func (p *pass512) endRows() {
	for _, r := range rows512 {
		for i, x := range []VecPhysical{r.a, r.b, r.c} {
			VBROADCASTI32X4(p.state(0, 4*i), Z18)
			VPADDD(Z18, x, x)
		}
		VPADDD(r.initial, r.d, r.d)
		VSHUFI32X4(Imm(0x44), r.b, r.a, Z18)
		VSHUFI32X4(Imm(0xee), r.b, r.a, Z19)
		VSHUFI32X4(Imm(0x44), r.d, r.c, Z20)
		VSHUFI32X4(Imm(0xee), r.d, r.c, Z21)
		VSHUFI32X4(Imm(0x88), Z20, Z18, r.a)
		VSHUFI32X4(Imm(0xdd), Z20, Z18, r.b)
		VSHUFI32X4(Imm(0x88), Z21, Z19, r.c)
		VSHUFI32X4(Imm(0xdd), Z21, Z19, r.d)
	}
}
