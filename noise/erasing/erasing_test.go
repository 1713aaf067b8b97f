package erasing

import (
	"testing"
	"unsafe"
)

// leave puts a pattern on the stack, and tells where.
//
//go:noinline
func leave(where *uintptr) {
	var b [512]byte
	for i := range b {
		b[i] = 0xa7
	}
	*where = uintptr(unsafe.Pointer(&b))
	keep(&b)
}

//go:noinline
func keep(*[512]byte) {}

// left counts the bytes of the pattern that are still there. The stack must not move between leave and this.
//
//go:noinline
func left(where uintptr) (n int) {
	b := (*[512]byte)(*(*unsafe.Pointer)(unsafe.Pointer(&where))) // the address as it was, whatever is there now
	for i := range b {
		if b[i] == 0xa7 {
			n++
		}
	}
	return n
}

func TestDoErasesTheStack(t *testing.T) {
	var where uintptr
	leave(&where)
	control := left(where)
	Do(func() { leave(&where) })
	if n := left(where); control == 0 || n != 0 {
		t.Errorf("%d bytes are left, without Do %d", n, control)
	}
}

func TestDoAllocatesNothing(t *testing.T) {
	secret, sum := [64]byte{1, 2, 3}, byte(0)
	if n := testing.AllocsPerRun(100, func() {
		Do(func() {
			for _, b := range secret {
				sum += b
			}
		})
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestDoLetsPanicsThrough(t *testing.T) {
	defer func() {
		if got := recover(); got != "as it was" {
			t.Errorf("the panic is %v", got)
		}
	}()
	Do(func() { Do(func() { panic("as it was") }) })
}

func BenchmarkDo(b *testing.B) {
	for b.Loop() {
		Do(func() {})
	}
}
