package aead

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"
)

// TestNothingBeside has batches that begin where a page does, or end where one does, with pages beside them that can't be read.
func TestNothingBeside(t *testing.T) {
	page := unix.Getpagesize()
	size := 8 * page
	all, err := unix.Mmap(-1, 0, size+2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Munmap(all); err != nil {
			t.Error(err)
		}
	})
	for _, at := range []int{0, page + size} {
		if err := unix.Mprotect(all[at:at+page], unix.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	inner := all[page : page+size]
	forEach(t, func(t *testing.T, v *vector) {
		c := newChance(7)
		for _, n := range []int{0, 1, 15, 16, 17, 47, 48, 49, 63, 64, 65, 128, 159, 160, 161, 240, 500, 1420} {
			for _, count := range []int{1, 2, 3, 5, 8, 9, 16, 20} {
				k, w := c.key(t, v)
				text, stride := c.bytes(n), n+Overhead
				for _, from := range []int{0, size - count*stride} {
					b := inner[from : from+count*stride]
					ms := make([]Sealed, count)
					for i := range ms {
						ms[i] = Sealed{Text: b[i*stride : (i+1)*stride], Counter: uint64(i)}
						copy(ms[i].Text, text)
					}
					k.SealBatch(b, stride, 0, 0)
					for i := range ms {
						if !bytes.Equal(ms[i].Text, w.seal(text, uint64(i))) {
							t.Fatalf("message %d of %d, of %d bytes: sealed otherwise than by x/crypto", i, count, n)
						}
					}
					k.OpenBatch(ms)
					for i, m := range ms {
						if !m.OK || !bytes.Equal(m.Text[:n], text) {
							t.Fatalf("message %d of %d, of %d bytes: does not open", i, count, n)
						}
					}
				}
			}
		}
	})
}
