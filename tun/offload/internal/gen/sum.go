package main

import (
	"strconv"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// A set is one set of vector instructions.
type set struct {
	bytes int // in a vector
	new   func() VecVirtual
	move  func(from, to Op)
	// rest adds the last n bytes, fewer than a vector and at least one, of a text that was longer than a vector.
	rest func(a *adder, t VecVirtual)
	// odd deals with an odd last byte beforehand, where rest can't.
	odd func(a *adder) GPVirtual
	// halve adds the upper half of a vector to the lower, until 16 bytes are left.
	halve func(v, t VecVirtual)
}

// An adder sums 64-bit words as pairs of 32 bits with three instructions a vector. low has the sums of whole words, which wrap; high
// those of their upper halves, which don't within 2^32 words. The lower halves come to low - high<<32, which doesn't wrap either.
type adder struct {
	set
	low, high [2]VecVirtual // two each, so that one addition need not wait for another
	dst, src  Register      // dst is nil unless the bytes are copied too
	n         Register
}

func (a *adder) add(t VecVirtual, i int) {
	low, high := a.low[i%2], a.high[i%2]
	VPADDQ(t, low, low)
	VPSRLQ(Imm(32), t, t)
	VPADDQ(t, high, high)
}

// step adds so many vectors, and goes on behind them.
func (a *adder) step(t []VecVirtual) {
	for i := range t {
		a.move(Mem{Base: a.src, Disp: i * a.bytes}, t[i])
	}
	length := I32(len(t) * a.bytes)
	if a.dst != nil {
		for i := range t {
			a.move(t[i], Mem{Base: a.dst, Disp: i * a.bytes})
		}
		ADDQ(length, a.dst)
	}
	for i := range t {
		a.add(t[i], i)
	}
	ADDQ(length, a.src)
}

const unroll = 4

// sum writes a function that adds n bytes, a vector of AVX2 at least, and perhaps copies them.
func (s set) sum(name string, copying bool) {
	params := "src *byte, n int"
	if copying {
		params = "dst, " + params
	}
	TEXT(name+strconv.Itoa(8*s.bytes), NOSPLIT, "func("+params+") uint64")
	a := &adder{set: s}
	if copying {
		a.dst = Load(Param("dst"), GP64())
	}
	a.src, a.n = Load(Param("src"), GP64()), Load(Param("n"), GP64())
	for i := range a.low {
		a.low[i], a.high[i] = s.new(), s.new()
		for _, v := range []VecVirtual{a.low[i], a.high[i]} {
			VPXOR(v.AsX(), v.AsX(), v.AsX()) // and the rest with it
		}
	}
	var t []VecVirtual
	for range unroll {
		t = append(t, s.new())
	}
	odd := s.odd(a)

	SUBQ(I32(unroll*s.bytes), a.n)
	JB(LabelRef("few"))
	Label("many")
	a.step(t)
	SUBQ(I32(unroll*s.bytes), a.n)
	JAE(LabelRef("many"))
	Label("few")
	ADDQ(I32((unroll-1)*s.bytes), a.n)
	JNC(LabelRef("less"))
	Label("one")
	a.step(t[:1])
	SUBQ(I32(s.bytes), a.n)
	JAE(LabelRef("one"))
	Label("less")
	ADDQ(I32(s.bytes), a.n)
	JZ(LabelRef("total"))
	s.rest(a, t[0])

	Label("total")
	low, high := a.low[0], a.high[0]
	VPADDQ(a.low[1], low, low)
	VPADDQ(a.high[1], high, high)
	VPSLLQ(Imm(32), high, t[0])
	VPSUBQ(t[0], low, low)
	VPADDQ(high, low, low)
	s.halve(low, t[0])
	x, y := low.AsX(), t[0].AsX()
	VPSHUFD(Imm(0x4e), x, y)
	VPADDQ(y, x, x)
	sum := GP64()
	VMOVQ(x, sum)
	if odd != nil {
		ADDQ(odd, sum)
	}
	VZEROUPPER()
	Store(sum, ReturnIndex(0))
	RET()
}
