package aead

import (
	"encoding/binary"
	"sync"
	"unsafe"
)

const (
	blockSize = 64 // of ChaCha20
	groupSize = 16 // messages that are worked on together
	firstKey  = 2 * groupSize
	mostAhead = 23 // blocks; what a path of 1,500 bytes carries has no more, and with the key they are a pass and a half of sixteen lanes
)

// A vector is one set of kernels. It works on groups of messages: ChaCha20 takes the blocks of all, one-time keys included, as one
// list, and Poly1305 several messages at once.
type vector struct {
	name         string
	lanes        int                                                // blocks in one pass
	xor          func(key *[KeySize]byte, s *scratch, from, to int) // XORs the key stream into spans[from:to]
	authenticate func(s *scratch, n int)                            // makes tags of messages[:n]
	apply        func(text, stream *byte, n int)                    // XORs key stream into a text, and zeroes it
}

// A message is what has to be known about one. Its tag stands behind its text.
type message struct {
	text  *byte
	len   int
	nonce uint64
	first uint32 // the first four bytes of the nonce: zero but in tests
	// What Poly1305 has behind the text: "The length of the additional data in octets [...]. The length of the ciphertext in octets".
	// RFC 8439, 2.8. There is no additional data but in tests.
	last [2]uint64
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

// A scratch is a group of messages, and what the kernels are told about it. Between uses it holds on to nobody's memory.
type scratch struct {
	messages [groupSize]message
	spans    [firstKey + groupSize]span // tails', then texts', then keys'
	lanes    lanes
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
		s.spans[firstKey+i] = span{text: &s.keys[i][0], len: blockSize}
	}
	return s
}}

// wipe is for n messages of which ahead bytes of key stream were made.
func (s *scratch) wipe(n, ahead int) {
	for i := range n {
		s.keys[i], s.tags[i] = oneTimeKey{}, [2]uint64{}
	}
	clear(s.stream[:ahead])
}

// done gives back a scratch that had no more than n messages.
func (s *scratch) done(n int) {
	n = min(n, groupSize)
	for i := range s.messages[:n] {
		s.messages[i].text = nil
	}
	texts := s.spans[firstKey-2*n : firstKey]
	for i := range texts {
		texts[i].text = nil
	}
	if n > 1 {
		clear(s.lanes.text[1:])
	}
	s.lanes.text[0] = nil
	scratches.Put(s)
}

// makeKeys makes spans of the messages' blocks 0. RFC 8439, 2.6
func (s *scratch) makeKeys(n int) {
	for i := range s.messages[:n] {
		x, m := &s.spans[firstKey+i], &s.messages[i]
		x.nonce, x.first = m.nonce, m.first
	}
}

// addText makes a span of a message from a byte on, which begins a block, and puts it before the span at index at.
func (s *scratch) addText(at int, m *message, from int) int {
	if from >= m.len {
		return at
	}
	at--
	x := &s.spans[at]
	x.text, x.len = (*byte)(unsafe.Add(unsafe.Pointer(m.text), from)), m.len-from
	x.nonce, x.block, x.first = m.nonce, uint32(1+from/blockSize), m.first
	return at
}

// seal seals the first n messages of s.
func (v *vector) seal(key *[KeySize]byte, s *scratch, n int) {
	s.makeKeys(n)
	from := firstKey
	for i := n - 1; i >= 0; i-- {
		from = s.addText(from, &s.messages[i], 0)
	}
	v.xor(key, s, from, firstKey+n)
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
	s.makeKeys(n)
	m := &s.messages[0]
	ahead := (m.len + blockSize - 1) / blockSize
	if n > 1 || ahead > mostAhead {
		ahead = min(ahead, -n&(v.lanes-1))
	}
	ahead *= blockSize
	from := firstKey
	if ahead > 0 {
		from--
		s.spans[from] = span{&s.stream[0], ahead, m.nonce, 1, m.first}
	}
	v.xor(key, s, from, firstKey+n)
	v.authenticate(s, n)

	from = firstKey
	for i := n - 1; i >= 0; i-- {
		m := &s.messages[i]
		tag := m.tag()
		low, high := binary.LittleEndian.Uint64(tag[:8]), binary.LittleEndian.Uint64(tag[8:])
		if (s.tags[i][0]^low)|(s.tags[i][1]^high) != 0 {
			clear(m.plain())
			continue
		}
		authentic |= 1 << i
		done := 0
		if i == 0 && ahead > 0 {
			done, ahead = min(m.len, ahead), 0
			v.apply(m.text, &s.stream[0], done)
		}
		from = s.addText(from, m, done)
	}
	if from < firstKey {
		v.xor(key, s, from, firstKey)
	}
	s.wipe(n, ahead)
	return authentic
}
