package aead

import "unsafe"

var avx512 = &vector{name: "avx512", seal: seal512, open: open512}

// seal512 seals the first n messages of s.
func seal512(key *[KeySize]byte, s *scratch, n int) {
	xor512(key, s, s.messages[:n], true)
	authenticate512(s, n)
	for i := range n {
		s.writeTag(i)
	}
	s.wipe(n, 0)
}

// open512 opens the first n messages of s. The lanes that the one-time keys leave idle make key stream for the first message. For a
// message alone all of it is made then, unless it is long.
func open512(key *[KeySize]byte, s *scratch, n int) (authentic uint32) {
	for i := range n {
		s.keyed[i].nonce = s.messages[i].nonce
	}
	first := &s.messages[0]
	ahead := (first.len + blockSize - 1) / blockSize
	if n > 1 || ahead > ahead512 {
		ahead = min(ahead, -n&15)
	}
	ahead *= blockSize
	s.keyed[0].len = ahead
	xor512(key, s, s.keyed[:n], true)
	authenticate512(s, n)

	left := 0
	for i := range s.messages[:n] {
		m := &s.messages[i]
		if !s.hasTag(i) {
			clear(m.plain())
			m.len = 0
			continue
		}
		authentic |= 1 << i
		if i == 0 && ahead > 0 {
			done := min(m.len, ahead)
			apply512(m.text, &s.stream[0], done)
			m.text, m.len = (*byte)(unsafe.Add(unsafe.Pointer(m.text), done)), m.len-done
			m.block += uint32(done / blockSize)
			ahead = 0
		}
		left += m.len
	}
	if left > 0 {
		xor512(key, s, s.messages[:n], false)
	}
	first.block = 1
	s.wipe(n, ahead)
	return authentic
}

// xor512 XORs messages with their key stream. It does so with one call but where counters reach 2^32, or come from who doesn't know the key.
func xor512(key *[KeySize]byte, s *scratch, ms []message, keys bool) {
	if len(ms) == 16 && alike(ms) {
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

// authenticate512 makes tags of the first n messages.
func authenticate512(s *scratch, n int) {
	for from := 0; from < n; from += 8 {
		ms, tags := s.messages[from:min(from+8, n)], s.tags[from:]
		if shortest, longest, ok := sideBySide(ms); ok {
			lanes512(&ms[0], len(ms), shortest, longest, &s.powers, &tags[0])
			continue
		}
		for i := range ms {
			m := &ms[i]
			if m.len < single512From {
				single256(m.key, &s.powers, &s.hashes[0], m.text, m.len, &m.last, &tags[i])
				continue
			}
			single512(m.key, &s.powers, m.text, m.len, &m.last, &tags[i])
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
