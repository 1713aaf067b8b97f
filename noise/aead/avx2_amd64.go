package aead

import (
	"crypto/subtle"
	"unsafe"
)

var avx2 = &vector{name: "avx2", lanes: 8, xor: xor256, authenticate: authenticate256, apply: apply256}

// xor256 XORs messages with their key stream. The kernel has whole blocks only: what a text has beyond them is copied to tails and back.
func xor256(key *[KeySize]byte, s *scratch, ms []message, keys bool) {
	spans, tails := s.spans[:0], 0
	for i := range ms {
		m := &ms[i]
		if keys {
			spans = append(spans, span{&m.key[0], blockSize, m.nonce, 0, m.first})
		}
		whole := m.len &^ (blockSize - 1)
		if whole > 0 {
			spans = append(spans, span{m.text, whole, m.nonce, m.block, m.first})
		}
		if whole < m.len {
			copy(s.tails[tails][:], m.plain()[whole:])
			spans = append(spans, span{&s.tails[tails][0], blockSize, m.nonce, m.block + uint32(whole/blockSize), m.first})
			tails++
		}
	}
	chacha256(key, unsafe.SliceData(spans), len(spans))
	clear(spans)
	tails = 0
	for i := range ms {
		m := &ms[i]
		if whole := m.len &^ (blockSize - 1); whole < m.len {
			copy(m.plain()[whole:], s.tails[tails][:])
			tails++
		}
	}
	clear(s.tails[:tails])
}

func apply256(text, stream *byte, n int) {
	blocks := unsafe.Slice(stream, (n+blockSize-1)/blockSize*blockSize)
	to := unsafe.Slice(text, n)
	subtle.XORBytes(to, to, blocks)
	clear(blocks)
}

// authenticate256 makes tags of the first n messages, of four side by side as far as they go together.
func authenticate256(s *scratch, n int) {
	for from := 0; from < n; from += 4 {
		to, done := min(from+4, n), 0
		if quads := s.commonQuads(from, to); quads > 0 {
			lanes256(&s.keys[from], &s.texts, quads, &s.powers, &s.hashes[from])
			done = quads * quadSize
		}
		for i := from; i < to; i++ {
			m := &s.messages[i]
			rest := (*byte)(unsafe.Add(unsafe.Pointer(m.text), done))
			single256(&s.keys[i], &s.powers, &s.hashes[i], rest, m.len-done, &m.last, &s.tags[i])
		}
	}
	clear(s.hashes[:n])
	clear(s.texts[:])
}

const (
	quadSize = 64  // bytes in four blocks of Poly1305
	rest256  = 192 // where single256 begins to use vectors, and knows no hash before the text
)

// commonQuads sets up lanes for messages from to to-1, and returns how many quads of blocks these have in common. It returns 0 where
// they are better done one by one: they are not four, or too short, or of lengths so different that much would be left to do.
func (s *scratch) commonQuads(from, to int) int {
	shortest, longest := s.messages[from].len, 0
	for i := from; i < to; i++ {
		m := &s.messages[i]
		s.texts[i-from] = m.text
		shortest, longest = min(shortest, m.len), max(longest, m.len)
	}
	quads := shortest / quadSize
	if to-from < 4 || quads < 2 || longest-quads*quadSize >= rest256 {
		return 0
	}
	return quads
}
