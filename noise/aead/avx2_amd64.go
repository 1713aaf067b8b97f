package aead

import (
	"sync"
	"unsafe"
)

var avx2 = &vector{name: "avx2", seal: seal256, open: open256}

// seal256 seals the first n messages of s. The one-time keys are made first, so that what is encrypted is hashed while the rest is.
func seal256(key *[KeySize]byte, s *scratch, n int) {
	spans := s.addSections(n)
	for i := range n {
		spans = s.addTail(spans, &s.messages[i], &s.tails[i])
	}
	s.run256(key, spans, s.sections[:n])
	for i := range n {
		s.takeTail(&s.messages[i], &s.tails[i])
		s.finish256(i)
		s.writeTag(i)
	}
	s.wipe(s.keys[:n])
}

// longStreams are for key stream that is made ahead of a long message's verdict. They are zero.
var longStreams = sync.Pool{New: func() any { return new([longestStream]byte) }}

// longestStream is what the longest message takes that UDP carries.
const longestStream = 1 << 16

// open256 opens messages group by group.
func open256(key *[KeySize]byte, s *scratch, ms []Sealed) {
	for len(ms) > 0 {
		group := s.take(ms)
		ms = ms[len(group):]
		var authentic uint32
		if first := &s.messages[0]; len(group) == 1 && first.len > len(s.stream) {
			authentic = s.openLong256(key)
		} else {
			authentic = s.openGroup256(key, len(group))
		}
		for i := range group {
			group[i].OK = group[i].OK && authentic>>i&1 != 0
		}
	}
}

// openLong256 opens the first message of s. Nothing is behind it, so there is room for more key stream.
func (s *scratch) openLong256(key *[KeySize]byte) (authentic uint32) {
	long := longStreams.Get().(*[longestStream]byte)
	s.ahead = long[:]
	authentic = s.openGroup256(key, 1)
	s.ahead = s.stream[:]
	longStreams.Put(long)
	return authentic
}

// openGroup256 opens the first n messages of s, and sets bit i of the result if message i is authentic. While the next one is not known
// to be authentic, key stream is made for it, and it is hashed meanwhile. Hashing gets ahead of that, because a pass hashes more than it
// makes: then what is known is decrypted at once, and what is behind it is hashed meanwhile.
func (s *scratch) openGroup256(key *[KeySize]byte, n int) (authentic uint32) {
	first := &s.messages[0]
	ahead := min(blocksOf(first.len), -n&7) // what lanes that keys leave idle can make
	s.run256(key, s.addSpan(s.addKeys(s.messages[:n]), first, &s.ahead[0], 0, ahead), nil)
	for i := range n {
		s.sections[i].set(&s.messages[i], -s.messages[i].len)
	}
	known := 0 // messages that have their verdict
	for from := 0; from < n; {
		if from == known {
			known = s.makeAhead(key, from, n, ahead)
			ahead = 0
			authentic |= s.applyAhead(from, known)
		}
		s.decrypt256(key, from, known, n)
		from = known
		for ; known < n && s.sections[known].quads == 0; known++ {
			authentic |= s.verdict256(known)
		}
	}
	s.wipe(s.keys[:n])
	return authentic
}

// makeAhead makes key stream for messages from a number on, less what there is of the first, and hashes meanwhile up to n. It returns
// the number of the first message that it makes nothing for.
func (s *scratch) makeAhead(key *[KeySize]byte, from, n, done int) (to int) {
	spans, used := 0, 0
	for to = from; to < n; to++ {
		m := &s.messages[to]
		blocks := min(blocksOf(m.len), len(s.ahead)/blockSize)
		if used+blocks > len(s.ahead)/blockSize {
			break
		}
		if blocks > done {
			spans = s.addSpan(spans, m, &s.ahead[(used+done)*blockSize], done, blocks-done)
		}
		used, done = used+blocks, 0
	}
	s.run256(key, spans, s.sections[from:n])
	return to
}

// applyAhead decrypts with key stream what is authentic of some messages, and leaves what there was none for.
func (s *scratch) applyAhead(from, to int) (authentic uint32) {
	used := 0
	for i := from; i < to; i++ {
		m := &s.messages[i]
		n := min(m.len, len(s.ahead))
		stream := s.ahead[used : used+blocksOf(n)*blockSize]
		used += len(stream)
		verdict := s.verdict256(i)
		authentic |= verdict
		switch {
		case verdict == 0:
			clear(stream)
		case n > 0:
			apply256(m.text, &stream[0], n)
			m.text, m.len = (*byte)(unsafe.Add(unsafe.Pointer(m.text), n)), m.len-n
			m.block += uint32(n / blockSize)
		}
	}
	return authentic
}

// decrypt256 decrypts what is left of some messages, and hashes meanwhile those behind them up to n.
func (s *scratch) decrypt256(key *[KeySize]byte, from, to, n int) {
	ms := s.messages[from:to]
	s.run256(key, s.addTexts(0, ms), s.sections[to:n])
	for i := range ms {
		m := &ms[i]
		s.takeTail(m, &s.tails[i])
		m.len, m.block = 0, 1
	}
}

// verdict256 returns bit i if message i is authentic. What is not is zeroed, and nothing of it is left to be done.
func (s *scratch) verdict256(i int) uint32 {
	s.finish256(i)
	if s.hasTag(i) {
		return 1 << i
	}
	m := &s.messages[i]
	clear(m.plain())
	m.len = 0
	return 0
}

// finish256 makes the tag of message i, of which a section may have been hashed.
func (s *scratch) finish256(i int) {
	m, x := &s.messages[i], &s.sections[i]
	single256(m.key, &s.powers, x.hash, x.text, x.quads*quadSize+m.len%quadSize, &m.last, &s.tags[i])
	x.quads, *x.hash = 0, hash{}
}

// set makes a section of whole blocks of a text that nothing has been hashed of.
func (x *section) set(m *message, from int) {
	x.text, x.quads, x.from = m.text, m.len/quadSize, from
}

// run256 makes spans, and hashes sections as far as there is time.
func (s *scratch) run256(key *[KeySize]byte, spans int, sections []section) {
	if spans > 0 {
		chacha256(key, &s.spans[0], spans, unsafe.SliceData(sections), len(sections))
		clear(s.spans[:spans])
	}
}

// addSpan adds some blocks of a message to the spans, and returns how many these are.
func (s *scratch) addSpan(spans int, m *message, text *byte, from, blocks int) int {
	if blocks == 0 {
		return spans
	}
	x := &s.spans[spans] // field by field: what is written in other pieces than it is read in can't be read at once
	x.text, x.len = text, blocks*blockSize
	x.nonce, x.block, x.first = m.nonce, m.block+uint32(from), m.first
	return spans + 1
}

// addKeys adds messages' blocks 0, before all other spans. RFC 8439, 2.6
func (s *scratch) addKeys(ms []message) int {
	for i := range ms {
		m, x := &ms[i], &s.spans[i]
		x.text, x.len = &m.key[0], blockSize
		x.nonce, x.block, x.first = m.nonce, 0, m.first
	}
	return len(ms)
}

// addSections adds the first n messages' blocks 0, and then their whole blocks, of which it makes sections that follow their encryption.
func (s *scratch) addSections(n int) (spans int) {
	spans, lanes := s.addKeys(s.messages[:n]), n
	for i := range n {
		m, x := &s.messages[i], &s.sections[i]
		x.set(m, lanes)
		spans = s.addSpan(spans, m, m.text, 0, x.quads)
		lanes += x.quads
	}
	return spans
}

// addTexts adds whole texts, of which the kernel makes the tails beside them.
func (s *scratch) addTexts(spans int, ms []message) int {
	for i := range ms {
		m := &ms[i]
		spans = s.addSpan(spans, m, m.text, 0, m.len/blockSize)
		spans = s.addTail(spans, m, &s.tails[i])
	}
	return spans
}

// addTail adds a copy of what a text has beyond whole blocks.
func (s *scratch) addTail(spans int, m *message, tail *[blockSize]byte) int {
	rest := m.len % blockSize
	if rest == 0 {
		return spans
	}
	copy(tail[:], m.plain()[m.len-rest:])
	return s.addSpan(spans, m, &tail[0], m.len/blockSize, 1)
}

// takeTail puts it back.
func (s *scratch) takeTail(m *message, tail *[blockSize]byte) {
	if rest := m.len % blockSize; rest > 0 {
		copy(m.plain()[m.len-rest:], tail[:])
		*tail = [blockSize]byte{}
	}
}
