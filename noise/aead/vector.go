package aead

import (
	"encoding/binary"
	"sync"
	"unsafe"
)

const (
	blockSize = 64  // of ChaCha20
	groupSize = 16  // messages that are worked on together
	quadSize  = 64  // bytes in four blocks of Poly1305
	ahead256  = 128 // blocks of key stream that are made ahead of the verdict, at most
	ahead512  = 23  // what a path of 1,500 bytes carries has no more, and with the key they are a pass and a half of sixteen lanes
)

// A vector is one set of kernels. It works on groups of messages.
type vector struct {
	name string
	seal func(key *[KeySize]byte, s *scratch, n int) // seals messages[:n]

	// open opens messages, with verdicts, in groups that s takes. Nothing is decrypted before it is authenticated; key stream may be made
	// before.
	open func(key *[KeySize]byte, s *scratch, ms []Sealed)
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

// writeTag writes the tag that was made of message i behind its text.
func (s *scratch) writeTag(i int) {
	to := s.messages[i].tag()
	binary.LittleEndian.PutUint64(to[:8], s.tags[i][0])
	binary.LittleEndian.PutUint64(to[8:], s.tags[i][1])
}

// hasTag reports whether the tag that was made of message i stands behind its text.
func (s *scratch) hasTag(i int) bool {
	tag := s.messages[i].tag()
	low, high := binary.LittleEndian.Uint64(tag[:8]), binary.LittleEndian.Uint64(tag[8:])
	return (s.tags[i][0]^low)|(s.tags[i][1]^high) == 0
}

// A scratch is a group of messages, and what the kernels work with. Between uses it holds on to nobody's memory.
type scratch struct {
	messages [groupSize]message
	keyed    [groupSize]message  // of which only the one-time keys are made
	spans    [3 * groupSize]span // of chacha256
	sections [groupSize]section  // likewise
	ahead    []byte              // where avx2 makes key stream ahead of the verdict
	one      [1]Sealed
	none     [Overhead]byte // stands for what is too short to be a message
	*secrets
}

// secrets are what comes into being on the way. Between uses they are zero. They are not on the stack, which would be copied when it
// grows; and apart from all pointers, because the heap aligns only objects without pointers by their size: vectors that lie across two
// lines of the cache take longer.
type secrets struct {
	keys   [groupSize]oneTimeKey
	work   work512                    // of those that make key stream with AVX-512
	powers powers                     // of lanes512, and of those that take one message
	tails  [groupSize][blockSize]byte // texts' last blocks that are not whole, where the kernel wants whole ones
	hashes [groupSize]hash            // of sections
	tags   [groupSize][2]uint64
	stream [ahead256 * blockSize]byte // key stream made ahead of the verdict
	early  [4 * groupSize]oneTimeKey  // of groups that have their turn yet
}

var scratches = sync.Pool{New: func() any {
	s := &scratch{secrets: new(secrets)}
	for i := range s.keys {
		m := message{key: &s.keys[i], block: 1}
		s.messages[i], s.keyed[i] = m, m
		s.sections[i] = section{key: &s.keys[i], hash: &s.hashes[i]}
	}
	s.keyed[0].text = &s.stream[0]
	s.ahead = s.stream[:]
	return s
}}

// take makes messages of the first sealed ones, and returns these.
func (s *scratch) take(ms []Sealed) (group []Sealed) {
	group = ms[:min(len(ms), groupSize)]
	for i := range group {
		m := &group[i]
		text := m.Text
		if m.OK = len(text) >= Overhead; !m.OK {
			text = s.none[:]
		}
		s.messages[i].set(text, m.Counter)
	}
	return group
}

// wipe is for a group that had some keys.
func (s *scratch) wipe(keys []oneTimeKey) {
	clear(keys)
	clear(s.tags[:(len(keys)+7)&^7]) // lanes that were not wanted have some, too
}

// done gives back a scratch that had no more than n messages.
func (s *scratch) done(n int) {
	for i := range s.messages[:min(n, groupSize)] {
		s.messages[i].text, s.sections[i].text = nil, nil
	}
	s.one[0].Text = nil
	scratches.Put(s)
}

// blocksOf is how many blocks of ChaCha20 n bytes take.
func blocksOf(n int) int { return (n + blockSize - 1) / blockSize }
