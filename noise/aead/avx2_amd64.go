package aead

import "unsafe"

var avx2 = &vector{name: "avx2", lanes: 8, xor: xor256, authenticate: authenticate256}

// xor256 XORs each of some spans with its key stream. The kernel has whole blocks only: what a span has beyond them is
// copied to tails and back.
func xor256(key *[KeySize]byte, s *scratch, from, to int) {
	var ends [groupSize][]byte
	tails, first := 0, from
	for i := from; i < to; i++ {
		x := &s.spans[i]
		rest := x.len % blockSize
		if rest == 0 {
			continue
		}
		whole := x.len - rest
		ends[tails] = unsafe.Slice(x.text, x.len)[whole:]
		copy(s.tails[tails][:], ends[tails])
		tail := span{&s.tails[tails][0], blockSize, x.nonce, x.block + uint32(whole/blockSize), x.first}
		tails++
		if x.len = whole; whole > 0 {
			first--
			x = &s.spans[first]
		}
		*x = tail
	}
	chacha256(key, &s.spans[first], to-first)
	for i, end := range ends[:tails] {
		copy(end, s.tails[i][:])
	}
	clear(s.tails[:tails])
}

// authenticate256 makes tags of the first n messages.
func authenticate256(s *scratch, n int) {
	for i := range s.messages[:n] {
		m := &s.messages[i]
		single256(&s.keys[i], &s.powers, m.text, m.len, &m.last, &s.tags[i])
	}
}
