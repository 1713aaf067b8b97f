package aead

import (
	"encoding/binary"
	"sync"
	"unsafe"
)

const (
	blockSize = 64 // of ChaCha20
	groupSize = 16 // messages that are worked on together
	mostAhead = 23 // blocks; what a path of 1,500 bytes carries has no more, and with the key they are a pass and a half of sixteen lanes
)

// A vector is one set of kernels. It works on groups of messages: ChaCha20 takes the blocks of all, one-time keys included, as one
// list, and Poly1305 several messages at once.
type vector struct {
	name         string
	lanes        int // blocks in one pass
	xor          func(key *[KeySize]byte, s *scratch, ms []message, keys bool)
	authenticate func(s *scratch, n int)         // makes tags of messages[:n]
	apply        func(text, stream *byte, n int) // XORs key stream into a text, and zeroes it
}

func (m *message) set(b []byte, counter uint64) {
	n := len(b) - Overhead
	m.text, m.len, m.nonce, m.last[1] = unsafe.SliceData(b), n, counter, uint64(n)
}

func (m *message) plain() []byte { return unsafe.Slice(m.text, m.len) }

// tag returns the two words behind the text.
func (m *message) tag() *[Overhead]byte {
	return (*[Overhead]byte)(unsafe.Add(unsafe.Pointer(m.text), m.len))
}

// A scratch is a group of messages, and what the kernels work with. Between uses it holds on to nobody's memory.
type scratch struct {
	messages [groupSize]message
	keyed    [groupSize]message  // of which only the one-time keys are made
	spans    [3 * groupSize]span // of chacha256
	texts    [8]*byte            // of lanes256
	*secrets
}

// secrets are what comes into being on the way. Between uses they are zero. They are not on the stack, which would be copied when it
// grows; and apart from all pointers, because the heap aligns only objects without pointers by their size: vectors that lie across two
// lines of the cache take longer.
type secrets struct {
	keys   [groupSize]oneTimeKey
	work   work512                    // of chacha512
	powers powers                     // of lanes512, and of those that take one message
	tails  [groupSize][blockSize]byte // texts' last blocks that are not whole, where the kernel wants whole ones
	hashes [groupSize]hash            // of texts' beginnings, where these are authenticated side by side
	tags   [groupSize][2]uint64
	stream [mostAhead * blockSize]byte // key stream made ahead of the verdict
}

var scratches = sync.Pool{New: func() any {
	s := &scratch{secrets: new(secrets)}
	for i := range s.keys {
		m := message{key: &s.keys[i], block: 1}
		s.messages[i], s.keyed[i] = m, m
	}
	s.keyed[0].text = &s.stream[0]
	return s
}}

// wipe is for n messages of which ahead bytes of key stream were made.
func (s *scratch) wipe(n, ahead int) {
	clear(s.keys[:n])
	clear(s.tags[:]) // lanes that were not wanted have some, too
	clear(s.stream[:ahead])
}

// done gives back a scratch that had no more than n messages.
func (s *scratch) done(n int) {
	for i := range s.messages[:min(n, groupSize)] {
		s.messages[i].text = nil
	}
	scratches.Put(s)
}

// seal seals the first n messages of s.
func (v *vector) seal(key *[KeySize]byte, s *scratch, n int) {
	v.xor(key, s, s.messages[:n], true)
	v.authenticate(s, n)
	for i, tag := range s.tags[:n] {
		to := s.messages[i].tag()
		binary.LittleEndian.PutUint64(to[:8], tag[0])
		binary.LittleEndian.PutUint64(to[8:], tag[1])
	}
	s.wipe(n, 0)
}

// open opens the first n messages of s, and sets bit i of the result if message i is authentic. Nothing is decrypted before it is
// authenticated; but the lanes that the one-time keys leave idle make key stream for the first message, which is wanted if it is. For
// a message alone all of it is made then, unless it is long.
func (v *vector) open(key *[KeySize]byte, s *scratch, n int) (authentic uint32) {
	for i := range s.messages[:n] {
		m, keyed := &s.messages[i], &s.keyed[i]
		keyed.nonce, keyed.first = m.nonce, m.first
	}
	first := &s.messages[0]
	ahead := (first.len + blockSize - 1) / blockSize
	if n > 1 || ahead > mostAhead {
		ahead = min(ahead, -n&(v.lanes-1))
	}
	ahead *= blockSize
	s.keyed[0].len = ahead
	v.xor(key, s, s.keyed[:n], true)
	v.authenticate(s, n)

	left := 0
	for i := range s.messages[:n] {
		m := &s.messages[i]
		tag := m.tag()
		low, high := binary.LittleEndian.Uint64(tag[:8]), binary.LittleEndian.Uint64(tag[8:])
		if (s.tags[i][0]^low)|(s.tags[i][1]^high) != 0 {
			clear(m.plain())
			m.len = 0
			continue
		}
		authentic |= 1 << i
		if i == 0 && ahead > 0 {
			done := min(m.len, ahead)
			v.apply(m.text, &s.stream[0], done)
			m.text, m.len = (*byte)(unsafe.Add(unsafe.Pointer(m.text), done)), m.len-done
			m.block += uint32(done / blockSize)
			ahead = 0
		}
		left += m.len
	}
	if left > 0 {
		v.xor(key, s, s.messages[:n], false)
	}
	first.block = 1
	s.wipe(n, ahead)
	return authentic
}
