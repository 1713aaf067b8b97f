package offload

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

// kernel is the code that sums are made with.
type kernel uint8

const (
	portable kernel = iota
	avx2
	avx512
)

// kernels are those that this machine can run, fastest first.
func kernels() (fastestFirst []kernel) {
	x := &cpu.X86
	// Processors that have IFMA as well don't lower their clock for additions of 512 bits.
	if x.HasAVX512F && x.HasAVX512VL && x.HasAVX512BW && x.HasAVX512IFMA && x.HasBMI2 {
		fastestFirst = append(fastestFirst, avx512)
	}
	if x.HasAVX2 {
		fastestFirst = append(fastestFirst, avx2)
	}
	return append(fastestFirst, portable)
}

// vectorMin is the number of bytes from which on vectors are faster. The assembly relies on 32.
const vectorMin = 64

func (k kernel) sum(b []byte, initial uint64) uint64 {
	switch {
	case k == portable || len(b) < vectorMin:
		return sumPortable(b, initial)
	case k == avx512:
		return addWords(initial, sum512(unsafe.SliceData(b), len(b)))
	}
	return addWords(initial, sum256(unsafe.SliceData(b), len(b)))
}

func (k kernel) copySum(dst, src []byte, initial uint64) uint64 {
	dst = dst[:len(src)]
	switch {
	case k == portable || len(src) < vectorMin:
		return copySumPortable(dst, src, initial)
	case k == avx512:
		return addWords(initial, copySum512(unsafe.SliceData(dst), unsafe.SliceData(src), len(src)))
	}
	return addWords(initial, copySum256(unsafe.SliceData(dst), unsafe.SliceData(src), len(src)))
}

// The assembly adds n bytes, 32 at least, as 32-bit words in the machine's order. The sum of 2^32 words or fewer doesn't wrap.

// sum256 uses AVX2.
//
//go:noescape
func sum256(src *byte, n int) uint64

// sum512 uses AVX-512F, VL and BW, and BMI2.
//
//go:noescape
func sum512(src *byte, n int) uint64

// copySum256 copies too; dst and src must not overlap.
//
//go:noescape
func copySum256(dst, src *byte, n int) uint64

// copySum512 copies too; dst and src must not overlap.
//
//go:noescape
func copySum512(dst, src *byte, n int) uint64
