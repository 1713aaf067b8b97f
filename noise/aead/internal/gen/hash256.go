package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// hashing256 is Poly1305 in general registers, of sections one after the other: with each double round of chacha256 a quad, which is four
// blocks. The vectors leave the ports to it that it takes, but for those of its multiplications.
type hashing256 struct {
	section Mem // where the section is that is being hashed
	left    Mem // how many sections there are, with this one
	made    Mem // lanes that were made by passes before this one
}

// What the rounds have in registers beside those of multiplyWords.
var (
	hashed = RSI // the text
	quads  = RCX // how many quads there are for this pass
)

func ofSection(disp int) Mem { return Mem{Base: RAX, Disp: disp} }

func (h *hashing256) begin() {
	h.section, h.left, h.made = AllocLocal(8), AllocLocal(8), AllocLocal(8)
	Load(Param("sections"), RAX)
	MOVQ(RAX, h.section)
	Load(Param("m"), RAX)
	MOVQ(RAX, h.left)
	MOVQ(U32(0), h.made)
}

// load loads the next section that isn't empty, and takes from it what quads there are.
func (h *hashing256) load(name string) {
	XORL(quads.As32(), quads.As32())
	Label(name + "Next")
	CMPQ(h.left, Imm(0))
	JE(LabelRef(name + "Loaded"))
	MOVQ(h.section, RAX)
	CMPQ(ofSection(sectionQuads), Imm(0))
	JNE(LabelRef(name + "Load"))
	ADDQ(Imm(sectionSize), h.section)
	DECQ(h.left)
	JMP(LabelRef(name + "Next"))
	Label(name + "Load")
	MOVQ(ofSection(sectionText), hashed)
	MOVQ(ofSection(sectionKey), RBX)
	wordsOfR(RBX)
	MOVQ(ofSection(sectionHash), RBX)
	for i, w := range words256 {
		MOVQ(Mem{Base: RBX, Disp: 8 * i}, w)
	}
	MOVQ(h.made, RDX)
	SUBQ(ofSection(sectionFrom), RDX)
	CMOVQGT(RDX, quads)
	MOVQ(ofSection(sectionQuads), RDX)
	CMPQ(quads, RDX)
	CMOVQGT(RDX, quads)
	ADDQ(quads, ofSection(sectionFrom))
	SUBQ(quads, ofSection(sectionQuads))
	Label(name + "Loaded")
}

// takeQuad goes on where a quad is hashed, if there is one; where none is, if more of the section is to come; or where the next section
// is loaded.
func (h *hashing256) takeQuad(quad, alone, section string) {
	DECQ(quads)
	JNS(LabelRef(quad))
	INCQ(quads)
	CMPQ(h.left, Imm(0))
	JE(LabelRef(alone))
	MOVQ(h.section, RAX)
	CMPQ(ofSection(sectionQuads), Imm(0))
	JNE(LabelRef(alone))
	storeSection()
	JMP(LabelRef(section))
}

// quad hashes one.
func (h *hashing256) quad() (list []func()) {
	for i := range 4 {
		block := Mem{Base: hashed, Disp: 16 * i}
		list = append(list, addBlock(block, block.Offset(8))...)
		list = append(list, multiplyWords()...)
	}
	return append(list, func() { ADDQ(Imm(64), hashed) })
}

// store stores how far a section has been hashed at the end of a pass, and gives back to it the quads that there was no time for.
func (h *hashing256) store(name string) {
	ADDQ(Imm(8), h.made)
	CMPQ(h.left, Imm(0))
	JE(LabelRef(name + "Stored"))
	MOVQ(h.section, RAX)
	SUBQ(quads, ofSection(sectionFrom))
	ADDQ(quads, ofSection(sectionQuads))
	storeSection()
	Label(name + "Stored")
}

func storeSection() {
	MOVQ(hashed, ofSection(sectionText))
	MOVQ(ofSection(sectionHash), RBX)
	for i, w := range words256 {
		MOVQ(w, Mem{Base: RBX, Disp: 8 * i})
	}
}
