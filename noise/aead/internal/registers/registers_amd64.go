// Package registers shows tests what a function in assembly leaves behind.
package registers

import (
	"encoding/binary"
	"reflect"
	"runtime"
	"unsafe"
)

// A State is what registers hold, and what stands below the stack pointer.
type State struct {
	General [14]uint64 // AX, BX, CX, DX, SI, DI, R8 to R15
	Masks   [8]uint64
	Vectors [32][64]byte
	Stack   [1024]byte
	SP      uint64
}

// After calls a function that is written in assembly, with one argument a word, and stores in state what it left. All registers are zero
// before. wide is whether the machine has AVX-512; it has AVX2 in any case. What arguments point at has to be on the heap.
func After(function any, wide bool, state *State, arguments ...uintptr) {
	var words [9]uintptr
	if copy(words[:], arguments) < len(arguments) {
		panic("registers: too many arguments")
	}
	after(assembly(function), &words, wide, state)
}

// after is in registers_amd64.s.
//
//go:noescape
func after(pc uintptr, arguments *[9]uintptr, wide bool, state *State)

// assembly returns where a function is that has its arguments on the stack. Go's values of such functions are wrappers of the same name,
// which have them in registers, and call it.
func assembly(function any) uintptr {
	wrapper := reflect.ValueOf(function).Pointer()
	name := runtime.FuncForPC(wrapper).Name()
	code := unsafe.Slice((*byte)(reflect.ValueOf(function).UnsafePointer()), 256)
	for i := range len(code) - 5 {
		if code[i] != 0xe8 { // CALL rel32
			continue
		}
		pc := wrapper + uintptr(i+5) + uintptr(int64(int32(binary.LittleEndian.Uint32(code[i+1:]))))
		if f := runtime.FuncForPC(pc); f != nil && f.Entry() == pc && pc != wrapper && f.Name() == name {
			return pc
		}
	}
	panic("registers: " + name + " is not in assembly")
}
