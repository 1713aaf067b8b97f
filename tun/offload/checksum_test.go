package offload

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

func TestChecksumEveryLengthAndAlignment(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	random := randomBytes(r, 2100)
	ones := bytes.Repeat([]byte{0xff}, 2100)
	for _, from := range [][]byte{random, ones, make([]byte, 2100)} {
		for length := range 2049 {
			for align := range 9 {
				b := from[align:][:length]
				if length > 300 && align > 1 {
					break // every loop of Sum has been entered at every alignment
				}
				for _, initial := range []uint64{0, 1, 0xffff, uint64(r.Uint32()), r.Uint64(), 1<<64 - 1} {
					want := ^naiveFold(naiveSum(b) + naive64(initial))
					if got := Checksum(b, initial); got != want && naiveZero(got) != naiveZero(want) {
						t.Fatalf("%d bytes at %d on top of %#x: %#x, want %#x", length, align, initial, got, want)
					}
				}
			}
		}
	}
}

// naive64 reduces a sum of 64 bits.
func naive64(v uint64) uint32 {
	return uint32(naiveFold(uint32(v>>48) + uint32(v>>32&0xffff) + uint32(v>>16&0xffff) + uint32(v&0xffff)))
}

// naiveZero makes one of the two zeroes of ones' complement.
func naiveZero(c uint16) uint16 {
	if c == 0xffff {
		return 0
	}
	return c
}

func TestSumInParts(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	b := randomBytes(r, 1500)
	for at := 0; at <= len(b); at += 2 {
		if got, want := Fold(Sum(b[at:], Sum(b[:at], 7))), Fold(Sum(b, 7)); got != want {
			t.Fatalf("cut at %d: %#x, want %#x", at, got, want)
		}
	}
}

// The example of RFC 1071 section 3.
func TestChecksumRFC1071(t *testing.T) {
	b := []byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}
	if got := Fold(Sum(b, 0)); got != 0xddf2 {
		t.Errorf("%#x", got)
	}
}

func TestPseudoHeader(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		s := spec{v6: v6, protocol: 17, host: 9}
		if got, want := Fold(PseudoHeader(s.addresses(), 17, 65000)), naiveFold(s.pseudo(65000)); got != want {
			t.Errorf("IPv6 %v: %#x, want %#x", v6, got, want)
		}
	}
}
