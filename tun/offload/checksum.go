package offload

//go:generate go -C internal/gen run . -out ../../sum_amd64.s -pkg offload

import (
	"encoding/binary"
	"math/bits"
)

// Sum adds the 16-bit big-endian words of b to a ones' complement sum and
// returns the new sum, not yet folded (RFC 1071). An odd last byte counts as
// the upper half of a word, so only the last part of a message that is summed
// in parts may have an odd length.
func Sum(b []byte, initial uint64) uint64 { return chosen.sum(b, initial) }

// copySum copies src to the beginning of dst, with which it must not overlap, and does what Sum does. Both at once take less time than
// one after the other, and much less for few bytes: what was stored a moment ago in pieces of another size is slow to load.
func copySum(dst, src []byte, initial uint64) uint64 { return chosen.copySum(dst, src, initial) }

// chosen is looked for once: the fastest that the machine has the instructions for.
var chosen = kernels()[0]

// addWords adds to an initial sum what the words of the machine's order came to.
func addWords(initial, words uint64) uint64 {
	sum, c := bits.Add64(initial, bits.ReverseBytes64(words), 0)
	return sum + c
}

// copySumPortable copies first and sums what is then in the cache, which is faster than any loop in Go that does both at once.
func copySumPortable(dst, src []byte, initial uint64) uint64 {
	return sumPortable(dst[:copy(dst, src)], initial)
}

// sumPortable is Sum for any machine.
func sumPortable(b []byte, initial uint64) uint64 {
	// RFC 1071 (2)(B): "the sum of 16-bit integers can be computed in either
	// byte order". Words of 64 bits in little-endian order are what most
	// machines load in one instruction; both ends of the sum are turned round.
	sum := bits.ReverseBytes64(initial)
	var c uint64
	// A sum of 2^64-1 with a carry on top cannot come out of a chain that
	// begins without a carry, so sum += c never overflows.
	for len(b) >= 128 {
		p := (*[128]byte)(b)
		sum, c = bits.Add64(sum, binary.LittleEndian.Uint64(p[0:]), 0)
		sum, c = bits.Add64(sum, binary.LittleEndian.Uint64(p[8:]), c)
		sum, c = bits.Add64(sum, binary.LittleEndian.Uint64(p[16:]), c)
		sum, c = bits.Add64(sum, binary.LittleEndian.Uint64(p[24:]), c)
		sum, c = bits.Add64(sum, binary.LittleEndian.Uint64(p[32:]), c)
		sum, c = bits.Add64(sum, binary.LittleEndian.Uint64(p[40:]), c)
		sum, c = bits.Add64(sum, binary.LittleEndian.Uint64(p[48:]), c)
		sum, c = bits.Add64(sum, binary.LittleEndian.Uint64(p[56:]), c)
		sum, c = bits.Add64(sum, binary.LittleEndian.Uint64(p[64:]), c)
		sum, c = bits.Add64(sum, binary.LittleEndian.Uint64(p[72:]), c)
		sum, c = bits.Add64(sum, binary.LittleEndian.Uint64(p[80:]), c)
		sum, c = bits.Add64(sum, binary.LittleEndian.Uint64(p[88:]), c)
		sum, c = bits.Add64(sum, binary.LittleEndian.Uint64(p[96:]), c)
		sum, c = bits.Add64(sum, binary.LittleEndian.Uint64(p[104:]), c)
		sum, c = bits.Add64(sum, binary.LittleEndian.Uint64(p[112:]), c)
		sum, c = bits.Add64(sum, binary.LittleEndian.Uint64(p[120:]), c)
		sum += c
		b = b[128:]
	}
	for len(b) >= 32 {
		p := (*[32]byte)(b)
		sum, c = bits.Add64(sum, binary.LittleEndian.Uint64(p[0:]), 0)
		sum, c = bits.Add64(sum, binary.LittleEndian.Uint64(p[8:]), c)
		sum, c = bits.Add64(sum, binary.LittleEndian.Uint64(p[16:]), c)
		sum, c = bits.Add64(sum, binary.LittleEndian.Uint64(p[24:]), c)
		sum += c
		b = b[32:]
	}
	for len(b) >= 8 {
		sum, c = bits.Add64(sum, binary.LittleEndian.Uint64(b), 0)
		sum += c
		b = b[8:]
	}
	sum, c = bits.Add64(sum, lastWord(b), 0)
	return bits.ReverseBytes64(sum + c)
}

// lastWord loads fewer than 8 bytes as a little-endian word.
func lastWord(b []byte) (w uint64) {
	if len(b) >= 4 {
		w = uint64(binary.LittleEndian.Uint32(b))
		b = b[4:]
		for i, v := range b {
			w |= uint64(v) << (32 + 8*i)
		}
		return w
	}
	for i, v := range b {
		w |= uint64(v) << (8 * i)
	}
	return w
}

// Fold reduces a sum to the 16 bits it stands for. The Internet checksum is the
// complement of that.
func Fold(sum uint64) uint16 {
	sum = sum>>32 + sum&0xffffffff
	sum = sum>>16 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	return uint16(sum)
}

// Checksum returns the Internet checksum of b (RFC 1071) on top of the sum
// initial, which is that of a pseudo-header or 0. Over bytes that contain their
// own right checksum it is 0.
func Checksum(b []byte, initial uint64) uint16 {
	return ^Fold(Sum(b, initial))
}

// PseudoHeader returns the sum of the pseudo-header that the checksums of TCP,
// UDP and ICMPv6 begin with (RFC 9293 section 3.1, RFC 8200 section 8.1).
// Addresses is the source and then the destination as they lie in the IP
// header, 8 or 32 bytes; length is that of transport header and payload.
func PseudoHeader(addresses []byte, protocol uint8, length int) uint64 {
	return Sum(addresses, uint64(protocol)+uint64(length))
}
