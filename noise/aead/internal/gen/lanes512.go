package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// lanes512 has one message in each 64-bit lane, and takes four blocks of each at a time:
//
//	hash = hash r^4 + m0 r^3 + m1 r^2 + m2 r + m3
//
// so that there is one carry for four blocks. Messages end together: a shorter one begins later, with blocks before it that are zero
// and leave a hash of zero as it is.
//
// Turning rows of texts into lanes takes a port that multiplications take. So of a quad's rows only words are exchanged there; then
// parts of 128 bits are stored one by one, on ports that are idle, to where they belong. As whole vectors they can't be read before the
// cache has them, so this is done two quads ahead, in a ring of four.
func lanes512() {
	numbers := table("lanes512", multiples(8, 1)...)

	TEXT("lanes512", NOSPLIT, "func(keys, ms *byte, n, shortest, longest int, powers, tags *byte)")
	p := &lanesPass{
		kept: Load(Param("powers"), RCX),
		at:   RAX, last: RBX, full: AllocLocal(8), lastBehind: AllocLocal(8), fullBehind: AllocLocal(8),
	}
	loadConstants512()
	p.start(Load(Param("ms"), RSI), numbers)
	p.loadPairs(Load(Param("keys"), RDI), keySize, 0, Z8, Z9)
	// The powers wait for each other. Meanwhile the first quad is turned.
	p.makePowers(Z8, Z9, p.turnEdge(Z28, Z29, Z30, Z31))
	ADDQ(Imm(64), p.at)
	CMPQ(p.at, p.last)
	JAE(LabelRef("secondEdge"))
	CMPQ(p.at, p.full)
	JB(LabelRef("secondEdge"))
	p.place(RDI, 0)
	do(p.turnWhole())
	JMP(LabelRef("second"))
	Label("secondEdge") // or there is none, which masks take care of
	do(p.turnEdge(Z28, Z29, Z30, Z31))
	Label("second")
	ADDQ(Imm(64), p.at)
	clearSums(low, high)

	Label("quad")
	CMPQ(p.at, p.fullBehind)
	JB(LabelRef("begin"))
	JNE(LabelRef("begun"))
	for _, k := range has {
		KXNORQ(k, k, k)
	}
	Label("begun")
	p.seeds()
	CMPQ(p.at, p.last)
	JAE(LabelRef("edge"))
	CMPQ(p.at, p.full)
	JB(LabelRef("edgeTurn"))
	strew(p.products(), p.turnWhole())
	Label("next")
	ADDQ(Imm(64), p.at)
	CMPQ(p.at, p.lastBehind)
	JBE(LabelRef("quad"))
	do(p.times(hash, 4, low, high))
	carry(hash)
	multiply(hash, p.power(1))
	carry(hash)
	clean(hash, hash)

	p.loadPairs(Load(Param("keys"), RDI), keySize, 16, Z8, Z9)
	finish512(hash, Z8, Z9, Z10, Z11)
	p.writeTags(Load(Param("tags"), RDI), Z10, Z11)
	VPXORQ(Z0, Z0, Z0)
	for n := 1; n <= 4; n++ {
		for _, row := range p.power(n) {
			for _, to := range row {
				VMOVDQU64(Z0, to)
			}
		}
	}
	clear512()
	RET()

	Label("edge")
	JA(LabelRef("edgeNone"))
	Label("edgeTurn")
	do(p.turnEdge(Z12, Z13, Z14, Z15))
	Label("edgeNone")
	p.place(RDX, ahead)
	do(p.products())
	JMP(LabelRef("next"))

	p.begin()
}

// ahead is how many bytes of a text are turned before they are multiplied.
const ahead = 2 * 64

type lanesPass struct {
	kept                   Register   // powers, then the ring, then masks, then what is known of each lane's message
	at, last               GPPhysical // bytes: where the quad to turn begins, and the last
	full                   Mem        // and the first of which all lanes have all blocks
	lastBehind, fullBehind Mem        // the same for the quad to multiply: where at is then
}

var (
	texts = []GPPhysical{R8, R9, R10, R11, R12, R13, R14, R15}
	has   = []OpmaskPhysical{K4, K5, K6, K7} // lanes that have the quad's first block, second, and so on
)

func (p *lanesPass) power(n int) (m multiplier) {
	for i := range 9 {
		m[i/3][i%3] = Mem{Base: p.kept, Disp: 64 * (9*(n-1) + i)}
	}
	return m
}

// ring is at a byte of the quad that index is the place of in the ring.
func (p *lanesPass) ring(index Register, disp int) Mem {
	return Mem{Base: p.kept, Index: index, Scale: 1, Disp: 64*9*4 + disp}
}

func (p *lanesPass) masks() Mem { return p.field(0) }

// Of each lane: the text, its length, how many blocks the message is shorter than all quads, and the block behind the text.
func (p *lanesPass) text() Mem   { return p.field(1) }
func (p *lanesPass) len() Mem    { return p.field(2) }
func (p *lanesPass) skip() Mem   { return p.field(3) }
func (p *lanesPass) end() [2]Mem { return [2]Mem{p.field(4), p.field(5)} }

func (p *lanesPass) field(n int) Mem { return Mem{Base: p.kept, Disp: 64 * (9*4 + 8*4 + n)} }

// makePowers stores powers of r, of which the words are given, and does others between its six steps.
func (p *lanesPass) makePowers(lo, hi VecPhysical, others []func()) {
	step := 0
	between := func() {
		do(others[step*len(others)/6 : (step+1)*len(others)/6])
		step++
	}
	store := func(n int, power limbs) multiplier {
		by := multiplierOf(power, [3]limbs{1: {Z8, Z9, Z10}, 2: {Z11, Z12, Z13}}, [3]VecPhysical{Z14, Z15, Z6})
		for i, row := range p.power(n) {
			for j, to := range row {
				VMOVDQU64(by[i][j], to)
			}
		}
		return by
	}
	product := func(a limbs, b multiplier, to limbs) {
		multiply(a, b)
		carry(to)
		clean(to, to)
	}
	r, square := limbs{Z16, Z17, Z18}, limbs{Z19, Z26, Z27}
	loadR(lo, hi, r)
	first := store(1, r)
	between()
	product(r, first, square)
	between()
	second := store(2, square)
	between()
	product(r, second, r)
	between()
	product(square, second, square)
	between()
	store(3, r)
	between()
	store(4, square)
}

// start sets up what the loop has. The texts are each at the place of its first quad's first block. A lane for which there is no message
// repeats the first.
func (p *lanesPass) start(ms Register, numbers Mem) {
	lanes, text, length, blocks, skip := Z12, Z13, Z14, Z15, Z16
	VMOVDQU64(numbers, lanes)
	VPBROADCASTQ(Load(Param("n"), RAX), text)
	VPCMPUQ(Imm(1), text, lanes, K1) // lane < n
	VMOVDQA64_Z(lanes, K1, lanes)
	p.loadPairs(ms, messageSize, messageText, text, length)
	VPERMQ(text, lanes, text)
	VPERMQ(length, lanes, length)
	VMOVDQU64(text, p.text())
	VMOVDQU64(length, p.len())
	p.loadPairs(ms, messageSize, messageLast, Z17, Z18)
	for i, x := range []VecPhysical{Z17, Z18} {
		VPERMQ(x, lanes, x)
		VMOVDQU64(x, p.end()[i])
	}
	// One block more than the text has.
	most, least := RDX, RDI
	Load(Param("longest"), most)
	Load(Param("shortest"), least)
	for _, x := range []GPPhysical{most, least} {
		ADDQ(Imm(31), x)
		SHRQ(Imm(4), x)
	}
	VPADDQ_BCST(masks512.Offset(48), length, blocks) // 31
	VPSRLQ(Imm(4), blocks, blocks)
	ADDQ(Imm(3), most)
	ANDQ(I8(-4), most)
	VPBROADCASTQ(most, skip)
	VPSUBQ(blocks, skip, skip)
	VMOVDQU64(skip, p.skip())
	VPSLLQ(Imm(4), skip, skip)
	VPSUBQ(skip, text, text)
	VMOVDQU64(text, p.masks()) // which aren't yet
	for i, text := range texts {
		MOVQ(p.masks().Offset(8*i), text)
	}
	LEAQ(Mem{Base: most, Disp: 3}, RAX)
	SUBQ(least, RAX)
	ANDQ(I8(-4), RAX)
	SHLQ(Imm(4), RAX)
	MOVQ(RAX, p.full)
	ADDQ(U32(ahead), RAX)
	MOVQ(RAX, p.fullBehind)
	SHLQ(Imm(4), most)
	LEAQ(Mem{Base: most, Disp: -64}, p.last)
	LEAQ(Mem{Base: p.last, Disp: ahead}, RAX)
	MOVQ(RAX, p.lastBehind)
	XORL(p.at.As32(), p.at.As32())
	for _, h := range hash {
		VPXORQ(h, h, h)
	}
	for _, k := range has {
		KXNORQ(k, k, k)
	}
}

// place sets index to the place in the ring of the quad that begins so many bytes before at.
func (p *lanesPass) place(index GPPhysical, before uint64) {
	MOVL(p.at.As32(), index.As32())
	if before > 0 {
		SUBL(U32(before), index.As32())
	}
	ANDL(U32(0xc0), index.As32())
	SHLL(Imm(3), index.As32())
}

// turn loads the rows of a quad, and stores their words by lanes at RDI's place in the ring.
func (p *lanesPass) turn(even, b, odd VecPhysical, load func(i int, to VecPhysical)) (list []func()) {
	for i := 0; i < 8; i += 2 {
		list = append(list,
			func() { load(i, even) },
			func() { load(i+1, b) },
			func() { VPUNPCKHQDQ(b, even, odd) },
			func() { VPUNPCKLQDQ(b, even, even) },
		)
		for part := range 4 {
			for n, x := range []VecPhysical{even, odd} {
				to := p.ring(RDI, 64*(2*part+n)+8*i)
				if part == 0 {
					list = append(list, func() { VMOVDQU64(x.(Vec).AsX(), to) })
					continue
				}
				list = append(list, func() { VEXTRACTI32X4(Imm(uint64(part)), x, to) })
			}
		}
	}
	return list
}

// seeds sets the sums to the last block of the quad to multiply, RDX to the quad's place in the ring, and RDI to that of the quad to turn.
func (p *lanesPass) seeds() {
	lo, hi := lowNext[0], lowNext[2]
	p.place(RDI, 0)
	p.place(RDX, ahead)
	VMOVDQU64(p.ring(RDX, 64*6), lo)
	VMOVDQU64(p.ring(RDX, 64*7), hi)
	CMPQ(p.at, p.lastBehind)
	JNE(LabelRef("seeds"))
	VPORQ(p.end()[0], lo, lo)
	VPORQ(p.end()[1], hi, hi)
	Label("seeds")
	seed(lo, hi, lowNext, has[3])
	clearSums(highNext)
}

// The sums of the quad behind that of low and high.
var lowNext, highNext = limbs{Z6, Z7, Z8}, limbs{Z9, Z10, Z11}

// products add up a quad's blocks, and meanwhile the hash and the sums of the quad before it, which wait for each other.
func (p *lanesPass) products() (list []func()) {
	blocks := []limbs{{Z15, Z16, Z17}, {Z18, Z19, Z26}}
	block := func(b int, m limbs) {
		list = append(list,
			func() { VMOVDQU64(p.ring(RDX, 64*2*b), m[0]) },
			func() { VMOVDQU64(p.ring(RDX, 64*(2*b+1)), m[2]) },
		)
		list = append(list, split(m[0], m[2], m, has[b])...)
	}
	block(0, blocks[0])
	block(1, blocks[1])
	list = append(list, p.times(blocks[0], 3, lowNext, highNext)...)
	block(2, blocks[0])
	list = append(list, p.times(blocks[1], 2, lowNext, highNext)...)
	list = append(list, p.times(blocks[0], 1, lowNext, highNext)...)
	list = strewn(list, append(p.times(hash, 4, low, high), carries(hash)...))
	for i := range 3 {
		list = append(list,
			func() { VMOVDQA64(lowNext[i], low[i]) },
			func() { VMOVDQA64(highNext[i], high[i]) },
		)
	}
	return list
}

// times adds a block or the hash, multiplied with a power of r, to sums.
func (p *lanesPass) times(a limbs, power int, low, high limbs) (list []func()) {
	by := []VecPhysical{Z27, Z28, Z29}
	if a == hash {
		by = []VecPhysical{Z30, Z31}
	}
	for i, row := range p.power(power) {
		for j, from := range row {
			f := by[(3*i+j)%len(by)]
			list = append(list,
				func() { VMOVDQU64(from, f) },
				func() { VPMADD52LUQ(f, a[i], low[j]) },
			)
			if a != hash && i == 2 && j == 2 {
				continue // a block's last limb is below 2^25, and the multiplier's below 2^26 + 2^3
			}
			list = append(list, func() { VPMADD52HUQ(f, a[i], high[j]) })
		}
	}
	return list
}

// turnWhole is turn for a quad of which all lanes have all bytes.
func (p *lanesPass) turnWhole() []func() {
	return p.turn(Z12, Z13, Z14, func(i int, to VecPhysical) { VMOVDQU64(Mem{Base: texts[i], Index: p.at, Scale: 1}, to) })
}

// turnEdge is turn for a quad of which not all lanes have all bytes.
func (p *lanesPass) turnEdge(begin, end, spare, ones VecPhysical) []func() {
	return append([]func(){
		func() { VPBROADCASTQ(p.at, spare) },
		func() { VPSLLQ(Imm(4), p.skip(), begin) },
		func() { VPSUBQ(spare, begin, begin) },
		func() { VPADDQ(p.len(), begin, end) },
		func() { VPXORQ(spare, spare, spare) },
		func() { VPMAXSQ(spare, begin, begin) },
		func() { VPMAXSQ(spare, end, end) },
		func() { VPTERNLOGD(Imm(0xff), ones, ones, ones) },
		func() { VPSLLVQ(begin, ones, begin) }, // zero when shifted by 64 or more
		func() { VPSLLVQ(end, ones, end) },
		func() { VPANDNQ(begin, end, begin) },
		func() { VMOVDQU64(begin, p.masks()) },
		func() { p.place(RDI, 0) },
	}, p.turn(begin, end, spare, func(i int, to VecPhysical) {
		// Nothing before a text is read: a page that isn't there takes long even where it is masked.
		k := []OpmaskPhysical{K1, K2, K3}[i%3]
		KMOVQ(p.masks().Offset(8*i), k)
		LEAQ(Mem{Base: texts[i], Index: p.at, Scale: 1}, RDX)
		CMPQ(RDX, p.text().Offset(8*i))
		CMOVQCS(p.text().Offset(8*i), RDX)
		VPEXPANDB_Z(Mem{Base: RDX}, k, to)
	})...)
}

// begin sets the lanes that have blocks of the quad to multiply.
func (p *lanesPass) begin() {
	Label("begin")
	LEAQ(Mem{Base: p.at, Disp: -ahead}, RDX)
	SHRQ(Imm(4), RDX)
	VMOVDQU64(p.skip(), Z12)
	for _, k := range has {
		VPBROADCASTQ(RDX, Z13)
		VPCMPUQ(Imm(2), Z13, Z12, k) // skip <= block
		INCQ(RDX)
	}
	JMP(LabelRef("begun"))
}

// loadPairs loads two words of each of eight structs. It does without a gather, which is slow where its leak is mended (CVE-2022-40982).
func (p *lanesPass) loadPairs(base Register, size, offset int, lo, hi VecPhysical) {
	t := Z6
	for odd, x := range []VecPhysical{lo, t} {
		from := func(part int) Mem { return Mem{Base: base, Disp: size*(2*part+odd) + offset} }
		VMOVDQU64(from(0), x.(Vec).AsX())
		for part := 1; part < 4; part++ {
			VINSERTI32X4(Imm(uint64(part)), from(part), x, x)
		}
	}
	VPUNPCKHQDQ(t, lo, hi)
	VPUNPCKLQDQ(t, lo, lo)
}

// writeTags stores each lane's two words.
func (p *lanesPass) writeTags(tags Register, lo, hi VecPhysical) {
	VPUNPCKLQDQ(hi, lo, Z12)
	VPUNPCKHQDQ(hi, lo, Z13)
	for part := range 4 {
		for odd, x := range []VecPhysical{Z12, Z13} {
			VEXTRACTI32X4(Imm(uint64(part)), x, Mem{Base: tags, Disp: 16 * (2*part + odd)})
		}
	}
}
