package offload

import (
	"os"
	"syscall"
	"testing"
)

// fenced returns n pages of memory between two that can't be touched.
func fenced(t *testing.T, pages int) []byte {
	t.Helper()
	page := os.Getpagesize()
	b, err := syscall.Mmap(-1, 0, (pages+2)*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Munmap(b) })
	for _, fence := range [][]byte{b[:page], b[len(b)-page:]} {
		if err := syscall.Mprotect(fence, syscall.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	return b[page : len(b)-page : len(b)-page]
}

// TestKernelsKeepToTheirBytes sums and copies what ends, and what begins, where memory does.
func TestKernelsKeepToTheirBytes(t *testing.T) {
	from, to := fenced(t, 1), fenced(t, 1)
	for i := range from {
		from[i] = byte(i * i)
	}
	for _, k := range kernels() {
		for n := range 2049 {
			first, last := len(from)-n, len(to)-n
			k.sum(from[:n], 1)
			k.sum(from[first:], 1)
			k.copySum(to[:n], from[first:], 1)
			k.copySum(to[last:], from[:n], 1)
		}
	}
}
