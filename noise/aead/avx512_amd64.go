package aead

import "unsafe"

var avx512 = &vector{name: "avx512", seal: seal512, open: open512}

// seal512 seals the first n messages of s.
func seal512(key *[KeySize]byte, s *scratch, n int) {
	xor512(key, s, s.messages[:n], true)
	authenticate512(s, s.keys[:n])
	for i := range n {
		s.writeTag(i)
	}
	s.wipe(s.keys[:n])
}

// open512 opens messages. Groups of sixteen have their one-time keys made ahead of them, for several in one call.
func open512(key *[KeySize]byte, s *scratch, ms []Sealed) {
	var early []oneTimeKey // of the next messages
	for len(ms) > 0 {
		if len(early) == 0 && len(ms) >= groupSize {
			early = s.makeEarly512(key, ms)
		}
		group := s.take(ms)
		ms = ms[len(group):]
		var keys []oneTimeKey
		ahead := 0
		if len(early) > 0 {
			keys, early = early[:len(group)], early[len(group):]
		} else {
			keys, ahead = s.makeKeys512(key, len(group))
		}
		authenticate512(s, keys)
		s.decrypt512(key, group, ahead)
		s.wipe(keys)
	}
}

// makeEarly512 makes the one-time keys of as many whole groups as there is room for. It makes none where nonces differ in their last four
// bytes.
func (s *scratch) makeEarly512(key *[KeySize]byte, ms []Sealed) []oneTimeKey {
	n := min(len(ms), len(s.early)) / groupSize * groupSize
	differ := uint64(0)
	for i := range ms[:n] {
		differ |= ms[i].Counter ^ ms[0].Counter
	}
	if differ>>32 != 0 {
		return nil
	}
	keys512(key, &ms[0], n/groupSize, &s.early[0], &s.work)
	return s.early[:n]
}

// makeKeys512 makes the one-time keys of the first n messages. The lanes that these leave idle make key stream for the first message: it
// returns how many bytes. For a message alone all of it is made, unless it is long.
func (s *scratch) makeKeys512(key *[KeySize]byte, n int) (keys []oneTimeKey, ahead int) {
	for i := range n {
		s.keyed[i].nonce = s.messages[i].nonce
	}
	blocks := blocksOf(s.messages[0].len)
	if n > 1 || blocks > ahead512 {
		blocks = min(blocks, -n&15)
	}
	ahead = blocks * blockSize
	s.keyed[0].len = ahead
	xor512(key, s, s.keyed[:n], true)
	return s.keys[:n], ahead
}

// decrypt512 decrypts what is authentic of a group, of which there are ahead bytes of key stream already.
func (s *scratch) decrypt512(key *[KeySize]byte, group []Sealed, ahead int) {
	left := 0
	for i := range group {
		m := &s.messages[i]
		if !group[i].OK || !s.hasTag(i) {
			group[i].OK = false
			clear(m.plain())
			m.len = 0
			continue
		}
		if i == 0 && ahead > 0 {
			done := min(m.len, ahead)
			apply512(m.text, &s.stream[0], done)
			m.text, m.len = (*byte)(unsafe.Add(unsafe.Pointer(m.text), done)), m.len-done
			m.block += uint32(done / blockSize)
			ahead = 0
		}
		left += m.len
	}
	clear(s.stream[:ahead])
	if left > 0 {
		xor512(key, s, s.messages[:len(group)], false)
	}
	s.messages[0].block = 1
}

// xor512 XORs messages with their key stream. It does so with one call but where counters reach 2^32, or come from who doesn't know the key.
func xor512(key *[KeySize]byte, s *scratch, ms []message, keys bool) {
	if len(ms) == groupSize && alike(ms) {
		abreast512(key, &ms[0], keys, &s.work)
		return
	}
	for len(ms) > 0 {
		n := 1
		for n < len(ms) && (ms[n].nonce^ms[0].nonce)>>32 == 0 {
			n++
		}
		chacha512(key, &ms[0], n, keys, &s.work)
		ms = ms[n:]
	}
}

// alike reports whether messages have the same number of blocks, and the same last four bytes of the nonce.
func alike(ms []message) bool {
	differ := 0
	for i := range ms {
		differ |= blocksOf(ms[i].len) ^ blocksOf(ms[0].len) | int((ms[i].nonce^ms[0].nonce)>>32)
	}
	return differ == 0
}

// authenticate512 makes tags of the first messages, for which there are keys.
func authenticate512(s *scratch, keys []oneTimeKey) {
	for from := 0; from < len(keys); from += 8 {
		to := min(from+8, len(keys))
		ms, keys, tags := s.messages[from:to], keys[from:to], s.tags[from:]
		if shortest, longest, ok := sideBySide(ms); ok {
			lanes512(&keys[0], &ms[0], len(ms), shortest, longest, &s.powers, &tags[0])
			continue
		}
		for i := range ms {
			m := &ms[i]
			if m.len < single512From {
				single256(&keys[i], &s.powers, &s.hashes[0], m.text, m.len, &m.last, &tags[i])
				continue
			}
			single512(&keys[i], &s.powers, m.text, m.len, &m.last, &tags[i])
		}
	}
}

// single512From is the length from which on eight powers of r are worth their while.
const single512From = 160

// What the kernels of Poly1305 take, in about a quarter of a nanosecond: for a message that is short or isn't, for four of its blocks; and
// for eight messages, for four blocks of the longest.
const (
	shortCost, shortQuadCost   = 10, 60
	singleCost, singleQuadCost = 350, 12
	lanesCost, lanesQuadCost   = 455, 75
)

// sideBySide reports whether messages, up to eight, are better authenticated side by side than one by one: they are not too few, and not
// of very different lengths.
func sideBySide(ms []message) (shortest, longest int, ok bool) {
	shortest = ms[0].len
	cost := 0
	for i := range ms {
		n := ms[i].len
		shortest, longest = min(shortest, n), max(longest, n)
		if n < single512From {
			cost += shortCost + shortQuadCost*quadsOf(n)
		} else {
			cost += singleCost + singleQuadCost*quadsOf(n)
		}
	}
	return shortest, longest, cost > lanesCost+lanesQuadCost*quadsOf(longest)
}

// quadsOf is how many times Poly1305 has four blocks, for n bytes and the block behind them.
func quadsOf(n int) int { return (n + quadSize + 15) / quadSize }
