package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

var avx2 = set{
	bytes: 32,
	new:   YMM,
	move:  VMOVDQU,

	// The last vector once more, without the bytes that are in the sum already. The word that a byte belongs to must stay the same, so
	// n is even here.
	rest: func(a *adder, t VecVirtual) {
		VMOVDQU(Mem{Base: a.src, Index: a.n, Scale: 1, Disp: -a.bytes}, t)
		if a.dst != nil {
			VMOVDQU(t, Mem{Base: a.dst, Index: a.n, Scale: 1, Disp: -a.bytes})
		}
		table := GP64()
		LEAQ(lastBytes(), table)
		VPAND(Mem{Base: table, Index: a.n, Scale: 1}, t, t)
		a.add(t, 0)
	},

	odd: func(a *adder) GPVirtual {
		last := GP64()
		XORL(last.As32(), last.As32())
		TESTQ(U32(1), a.n)
		JZ(LabelRef("even"))
		MOVBLZX(Mem{Base: a.src, Index: a.n, Scale: 1, Disp: -1}, last.As32())
		if a.dst != nil {
			MOVB(last.As8(), Mem{Base: a.dst, Index: a.n, Scale: 1, Disp: -1})
		}
		DECQ(a.n)
		Label("even")
		return last
	},

	halve: halve256,
}

var avx512 = set{
	bytes: 64,
	new:   ZMM,
	move:  func(from, to Op) { VMOVDQU64(from, to) },

	rest: func(a *adder, t VecVirtual) {
		bits, k := GP64(), K()
		MOVQ(I32(-1), bits)
		BZHIQ(a.n, bits, bits)
		KMOVQ(bits, k)
		VMOVDQU8_Z(Mem{Base: a.src}, k, t)
		if a.dst != nil {
			VMOVDQU8(t, k, Mem{Base: a.dst})
		}
		a.add(t, 0)
	},

	odd: func(*adder) GPVirtual { return nil },

	halve: func(v, t VecVirtual) {
		VEXTRACTI64X4(Imm(1), v, t.AsY())
		VPADDQ(t.AsY(), v.AsY(), v.AsY())
		halve256(v, t)
	},
}

func halve256(v, t VecVirtual) {
	VEXTRACTI128(Imm(1), v.AsY(), t.AsX())
	VPADDQ(t.AsX(), v.AsX(), v.AsX())
}

// lastBytes is a table of which the 32 bytes at n have all bits set in the last n of them.
func lastBytes() Mem {
	if table.Symbol.Name == "" {
		table = GLOBL("lastBytes", RODATA|NOPTR)
		for i, word := range [8]uint64{4: 1<<64 - 1, 5: 1<<64 - 1, 6: 1<<64 - 1, 7: 1<<64 - 1} {
			DATA(8*i, U64(word))
		}
	}
	return table
}

var table Mem
