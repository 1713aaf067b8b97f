package aead

import (
	"fmt"
	"testing"
)

// One operation is a whole batch. "vpn" is what this machine runs; "avx2" is there where it can be; "xcrypto" is what both are measured
// against.
func benchmarks(b *testing.B, name string, bench func(b *testing.B, k *Key)) {
	codes := []struct {
		name string
		v    *vector
	}{{"vpn", chosen}, {"xcrypto", nil}}
	for _, v := range vectors() {
		if v.name == "avx2" {
			codes = append(codes[:1:1], append([]struct {
				name string
				v    *vector
			}{{"avx2", v}}, codes[1:]...)...)
		}
	}
	for _, c := range codes {
		b.Run(name+"/impl="+c.name, func(b *testing.B) { bench(b, newKeyFor(b, c.v, secret(1)[:])) })
	}
}

var (
	benchmarkSizes  = []int{64, 256, 512, 1420, 8192}
	benchmarkCounts = []int{8, 32, 46}
)

func BenchmarkSeal(b *testing.B) {
	for _, size := range benchmarkSizes {
		benchmarks(b, fmt.Sprintf("size=%d", size), func(b *testing.B, k *Key) {
			buf := make([]byte, 16+size+Overhead)[16:]
			b.SetBytes(int64(size))
			for b.Loop() {
				k.Seal(buf, 1)
			}
		})
	}
}

// BenchmarkOpen opens what was just sealed again: the time to copy the sealed message back is in it.
func BenchmarkOpen(b *testing.B) {
	for _, size := range benchmarkSizes {
		benchmarks(b, fmt.Sprintf("size=%d", size), func(b *testing.B, k *Key) {
			sealed := make([]byte, size+Overhead)
			k.Seal(sealed, 1)
			buf := make([]byte, 16+size+Overhead)[16:]
			b.SetBytes(int64(size))
			for b.Loop() {
				copy(buf, sealed)
				if !k.Open(buf, 1) {
					b.Fatal("does not open")
				}
			}
		})
	}
}

func BenchmarkSealBatch(b *testing.B) {
	forBatches(b, func(b *testing.B, k *Key, size, count int) {
		stride := 16 + size + Overhead
		buf := make([]byte, count*stride)
		for b.Loop() {
			k.SealBatch(buf, stride, 16, 1)
		}
	})
}

// BenchmarkOpenBatch copies as BenchmarkOpen does.
func BenchmarkOpenBatch(b *testing.B) {
	forBatches(b, func(b *testing.B, k *Key, size, count int) {
		stride := 16 + size + Overhead
		sealed := make([]byte, count*stride)
		k.SealBatch(sealed, stride, 16, 1)
		buf, ms := make([]byte, count*stride), make([]Sealed, count)
		for i := range ms {
			ms[i] = Sealed{Text: buf[i*stride+16 : (i+1)*stride], Counter: uint64(1 + i)}
		}
		for b.Loop() {
			copy(buf, sealed)
			if k.OpenBatch(ms); !ms[count-1].OK {
				b.Fatal("does not open")
			}
		}
	})
}

func forBatches(b *testing.B, bench func(b *testing.B, k *Key, size, count int)) {
	for _, size := range benchmarkSizes {
		for _, count := range benchmarkCounts {
			benchmarks(b, fmt.Sprintf("size=%d/count=%d", size, count), func(b *testing.B, k *Key) {
				b.SetBytes(int64(size * count))
				bench(b, k, size, count)
			})
		}
	}
}
