package aead

import "golang.org/x/sys/cpu"

// vectors are those that this machine can run.
func vectors() (fastestFirst []*vector) {
	x := &cpu.X86
	if !x.HasAVX2 || !x.HasBMI1 || !x.HasBMI2 {
		return nil
	}
	if x.HasAVX512F && x.HasAVX512VL && x.HasAVX512BW && x.HasAVX512IFMA && x.HasAVX512VBMI2 {
		fastestFirst = append(fastestFirst, avx512)
	}
	return append(fastestFirst, avx2)
}
