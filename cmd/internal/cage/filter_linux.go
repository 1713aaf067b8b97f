//go:build amd64 || arm64

package cage

import (
	"slices"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// A rule allows a system call: any, or if one of its alternatives holds.
type rule struct {
	call         uintptr
	alternatives []alternative
}

// An alternative is what has to hold of the arguments, all of it.
type alternative []test

// A test says what the lower half of an argument has to be where mask has ones:
// it is all that the kernel reads of those that are tested.
type test struct {
	argument    uint32
	mask, value uint32
}

// Offsets in what a filter sees of a call: struct seccomp_data. The lower half of an
// argument comes first, on the processors that there are rules for.
const (
	numberOffset   = 0
	archOffset     = 4
	argumentOffset = 16
)

const (
	denied = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	absent = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
	// x32 is the bit of the numbers of x86's third set of calls.
	x32 = 0x4000_0000
)

// filter is the program that judges system calls of the process pid. Calls of
// another processor's set, which mean something else by the same numbers, are
// denied.
func filter(pid int) []bpf.Instruction {
	program := []bpf.Instruction{
		bpf.LoadAbsolute{Off: archOffset, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: auditArch, SkipTrue: 1},
		bpf.RetConstant{Val: denied},
		bpf.LoadAbsolute{Off: numberOffset, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpLessThan, Val: x32, SkipTrue: 1},
		bpf.RetConstant{Val: denied},
	}
	for _, r := range rules(pid) {
		block := r.judge()
		program = append(program, bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(r.call), SkipFalse: uint8(len(block))})
		program = append(program, block...)
	}
	// Its flags are in memory, where no filter sees them: the caller is to use clone.
	program = append(program,
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.SYS_CLONE3, SkipFalse: 1},
		bpf.RetConstant{Val: absent},
		bpf.RetConstant{Val: denied},
	)
	return program
}

// judge is the code for one call. The kernel remembers of calls whose arguments
// are not looked at that they are allowed, and runs no code for them.
func (r rule) judge() (code []bpf.Instruction) {
	if len(r.alternatives) == 0 {
		return []bpf.Instruction{bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW}}
	}
	for _, a := range r.alternatives {
		part := []bpf.Instruction{bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW}}
		for _, t := range slices.Backward(a) {
			part = slices.Concat(t.code(len(part)), part)
		}
		code = append(code, part...)
	}
	return append(code, bpf.RetConstant{Val: denied})
}

// code passes over the rest of an alternative if the test fails.
func (t test) code(rest int) []bpf.Instruction {
	code := []bpf.Instruction{bpf.LoadAbsolute{Off: argumentOffset + 8*t.argument, Size: 4}}
	if t.mask != ^uint32(0) {
		code = append(code, bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: t.mask})
	}
	return append(code, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: t.value, SkipTrue: uint8(rest)})
}

// is holds for one value of an argument.
func is(argument uint32, value int) test { return test{argument, ^uint32(0), uint32(value)} }

// lacks holds if an argument has none of these bits.
func lacks(argument uint32, mask int) test { return test{argument, uint32(mask), 0} }

// has holds if an argument has all of these bits.
func has(argument uint32, mask int) test { return test{argument, uint32(mask), uint32(mask)} }

// anyOf are alternatives for the values of one argument.
func anyOf(argument uint32, values ...int) (all []alternative) {
	for _, v := range values {
		all = append(all, alternative{is(argument, v)})
	}
	return all
}
