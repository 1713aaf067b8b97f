package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// keys512 makes blocks 0 alone, of sixteen messages in a pass, as abreast512 does.
func keys512() {
	TEXT("keys512", NOSPLIT, "func(key, ms *byte, n int, keys, work *byte)")
	p := &abreastPass{pass512{work: Load(Param("work"), R14)}, R11, R10, R8}
	message := Load(Param("ms"), RDI)
	p.makeStates(Load(Param("key"), RSI), U32(0), Mem{Base: RDI, Disp: sealedCounter + 4})
	left := Load(Param("n"), RCX)
	to := Load(Param("keys"), R9)
	XORL(p.number.As32(), p.number.As32())

	Label("keysPass")
	lane := RBX
	XORL(lane.As32(), lane.As32())
	Label("keysLane")
	MOVL(Mem{Base: message, Disp: sealedCounter}, EAX)
	MOVL(EAX, p.nonce(lane))
	ADDQ(Imm(sealedSize), message)
	INCQ(lane)
	CMPQ(lane, Imm(16))
	JB(LabelRef("keysLane"))
	p.makeColumn()
	p.begin()
	roundsAlone("keysRounds")
	p.end()
	for i := 0; i < 16; i += 4 {
		do(interleave([4]VecPhysical{zmm(i), zmm(i + 1), zmm(i + 2), zmm(i + 3)}, func(n int) Mem {
			return Mem{Base: to, Disp: keySize*n + 4*i}
		}))
	}
	ADDQ(U32(16*keySize), to)
	DECQ(left)
	JNZ(LabelRef("keysPass"))

	VPXORD(Z0, Z0, Z0)
	for at := workStates; at < workSecret; at += 64 {
		VMOVDQU64(Z0, Mem{Base: p.work, Disp: at})
	}
	clear512(EAX, EBX, EDX, ESI)
	RET()
}
