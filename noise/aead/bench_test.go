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

// BenchmarkOpen opens a ciphertext and then its plaintext, which with another tag is a ciphertext as well, and so on: opening the one makes
// the other, and only tags have to be put there in between.
func BenchmarkOpen(b *testing.B) {
	for _, size := range benchmarkSizes {
		benchmarks(b, fmt.Sprintf("size=%d", size), func(b *testing.B, k *Key) {
			buf := make([]byte, 16+size+Overhead)[16:]
			var tags [2][Overhead]byte
			for i := range tags {
				k.Seal(buf, 1)
				tags[1-i] = [Overhead]byte(buf[size:])
			}
			b.SetBytes(int64(size))
			for n := 0; b.Loop(); n++ {
				*(*[Overhead]byte)(buf[size:]) = tags[n&1]
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

// BenchmarkOpenBatch does as BenchmarkOpen does.
func BenchmarkOpenBatch(b *testing.B) {
	forBatches(b, func(b *testing.B, k *Key, size, count int) {
		stride := 16 + size + Overhead
		buf, ms := make([]byte, count*stride), make([]Sealed, count)
		var tags [2][][Overhead]byte
		for i := range tags {
			k.SealBatch(buf, stride, 16, 1)
			for at := 16 + size; at < len(buf); at += stride {
				tags[1-i] = append(tags[1-i], [Overhead]byte(buf[at:]))
			}
		}
		for i := range ms {
			ms[i] = Sealed{Text: buf[i*stride+16 : (i+1)*stride], Counter: uint64(1 + i)}
		}
		for n := 0; b.Loop(); n++ {
			for i, tag := range tags[n&1] {
				*(*[Overhead]byte)(ms[i].Text[size:]) = tag
			}
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
