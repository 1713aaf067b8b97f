package aead

import (
	"crypto/subtle"
	"encoding/binary"
	"sync"
	"unsafe"
)

const (
	blockSize = 64 // of ChaCha20
	groupSize = 16 // messages that are worked on together
)

// A vector is one set of kernels. It works on groups of messages: ChaCha20 takes the blocks of all, one-time keys included, as one
// list, and Poly1305 several messages at once.
type vector struct {
	name         string
	lanes        int // blocks in one pass
	xor          func(key *[KeySize]byte, s *scratch, n int)
	authenticate func(s *scratch, n int)
}

// A message is what has to be known about one.
type message struct {
	text  *byte
	len   int // of the text
	nonce uint64
	first uint32    // the first four bytes of the nonce: zero
	last  [2]uint64 // what Poly1305 has behind the text: the lengths of the additional data, which is none, and of the text
	tag   *[Overhead]byte
}

func (m *message) set(b []byte, counter uint64) {
	n := len(b) - Overhead
	*m = message{text: unsafe.SliceData(b), len: n, nonce: counter, last: [2]uint64{0, uint64(n)}, tag: (*[Overhead]byte)(b[n:])}
}

// A scratch is a group and what comes into being on the way. Between uses it is zero where anything secret was, and holds on to
// nobody's memory. It is not on the stack, which would be copied when it grows.
type scratch struct {
	messages [groupSize]message
	spans    [3*groupSize + 1]span
	keys     [groupSize]oneTimeKey
	tags     [groupSize][2]uint64
	stream   [(groupSize - 1) * blockSize]byte // key stream made ahead of the verdict
	tails    [groupSize][blockSize]byte        // texts' last blocks that are not whole, where the kernel wants whole ones
	lanes    lanes
	words    [16][16]uint32 // of chacha512
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// wipe is for n messages of which ahead bytes of key stream were made.
func (s *scratch) wipe(n, ahead int) {
	clear(s.messages[:n])
	clear(s.spans[:3*n+1])
	clear(s.tails[:n])
	clear(s.keys[:n])
	clear(s.tags[:n])
	clear(s.stream[:ahead])
}

// keySpans makes spans of the messages' blocks 0. RFC 8439, 2.6
func (s *scratch) keySpans(n int) int {
	for i := range s.messages[:n] {
		m := &s.messages[i]
		s.spans[i] = span{&s.keys[i][0], blockSize, m.nonce, 0, m.first}
	}
	return n
}

// seal seals the first n messages of s, and wipes it.
func (v *vector) seal(key *[KeySize]byte, s *scratch, n int) {
	spans := s.keySpans(n)
	for i := range s.messages[:n] {
		if m := &s.messages[i]; m.len > 0 {
			s.spans[spans] = span{m.text, m.len, m.nonce, 1, m.first}
			spans++
		}
	}
	v.xor(key, s, spans)
	v.authenticate(s, n)
	for i, tag := range s.tags[:n] {
		m := &s.messages[i]
		binary.LittleEndian.PutUint64(m.tag[:8], tag[0])
		binary.LittleEndian.PutUint64(m.tag[8:], tag[1])
	}
	s.wipe(n, 0)
}

// open opens the first n messages of s, sets bit i of the result if message i is authentic, and wipes s. Nothing is decrypted before it
// is authenticated; but the lanes that the one-time keys leave idle make key stream for the first message, which is wanted if it is.
func (v *vector) open(key *[KeySize]byte, s *scratch, n int) (authentic uint32) {
	spans := s.keySpans(n)
	m0 := &s.messages[0]
	ahead := min(-n&(v.lanes-1), (m0.len+blockSize-1)/blockSize) * blockSize
	if ahead > 0 {
		s.spans[spans] = span{&s.stream[0], ahead, m0.nonce, 1, m0.first}
		spans++
	}
	v.xor(key, s, spans)
	v.authenticate(s, n)

	spans = 0
	for i := range s.messages[:n] {
		m := &s.messages[i]
		low, high := binary.LittleEndian.Uint64(m.tag[:8]), binary.LittleEndian.Uint64(m.tag[8:])
		if (s.tags[i][0]^low)|(s.tags[i][1]^high) != 0 {
			clear(unsafe.Slice(m.text, m.len))
			continue
		}
		authentic |= 1 << i
		text, done := unsafe.Slice(m.text, m.len), 0
		if i == 0 {
			done = subtle.XORBytes(text, text, s.stream[:ahead])
		}
		if done < len(text) {
			s.spans[spans] = span{&text[done], len(text) - done, m.nonce, uint32(1 + done/blockSize), m.first}
			spans++
		}
	}
	if spans > 0 {
		v.xor(key, s, spans)
	}
	s.wipe(n, ahead)
	return authentic
}
