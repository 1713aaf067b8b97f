package offload

import (
	"slices"
	"testing"

	"golang.org/x/sys/cpu"
)

// TestKernelsNeedTheirInstructions takes one of the instruction sets from the machine at a time.
func TestKernelsNeedTheirInstructions(t *testing.T) {
	if chosen != kernels()[0] {
		t.Errorf("kernel %d is in use, of %v", chosen, kernels())
	}
	x := &cpu.X86
	machine := *x
	defer func() { *x = machine }()
	all := func() {
		x.HasAVX512F, x.HasAVX512VL, x.HasAVX512BW, x.HasAVX512IFMA, x.HasBMI2, x.HasAVX2 = true, true, true, true, true, true
	}
	for _, test := range []struct {
		without []*bool
		want    []kernel
	}{
		{nil, []kernel{avx512, avx2, portable}},
		{[]*bool{&x.HasAVX512F}, []kernel{avx2, portable}},
		{[]*bool{&x.HasAVX512VL}, []kernel{avx2, portable}},
		{[]*bool{&x.HasAVX512BW}, []kernel{avx2, portable}},
		{[]*bool{&x.HasAVX512IFMA}, []kernel{avx2, portable}},
		{[]*bool{&x.HasBMI2}, []kernel{avx2, portable}},
		{[]*bool{&x.HasAVX512F, &x.HasAVX2}, []kernel{portable}},
	} {
		all()
		for _, has := range test.without {
			*has = false
		}
		if got := kernels(); !slices.Equal(got, test.want) {
			t.Errorf("without %d of the sets: %v, want %v", len(test.without), got, test.want)
		}
	}
}
