package aead

var avx512 = &vector{name: "avx512", lanes: 16, xor: xor512, authenticate: authenticate512, apply: apply512}

// xor512 calls chacha512 once but where counters reach 2^32, or come from who doesn't know the key.
func xor512(key *[KeySize]byte, s *scratch, from, to int) {
	for from < to {
		spans := s.spans[from:to]
		n := 1
		for n < len(spans) && spans[n].first == spans[0].first && spans[n].nonce>>32 == spans[0].nonce>>32 {
			n++
		}
		chacha512(key, &spans[0], n, &s.work)
		from += n
	}
}

// authenticate512 makes tags of the first n messages.
func authenticate512(s *scratch, n int) {
	for from := 0; from < n; from += 8 {
		to := min(from+8, n)
		if !s.sideBySide(from, to) {
			for i := from; i < to; i++ {
				m := &s.messages[i]
				if m.len < single512From {
					single256(&s.keys[i], &s.powers, &s.hashes[i], m.text, m.len, &m.last, &s.tags[i])
					continue
				}
				single512(&s.keys[i], &s.powers, m.text, m.len, &m.last, &s.tags[i])
			}
			continue
		}
		lanes512(&s.keys[from], &s.lanes, &s.powers)
		for i := range to - from {
			s.tags[from+i] = [2]uint64{s.lanes.tag[0][i], s.lanes.tag[1][i]}
		}
		s.lanes.tag = [2][8]uint64{}
	}
}

// single512From is the length from which on eight powers of r are worth their while.
const single512From = 160

// What the kernels of Poly1305 take, in about a quarter of a nanosecond: for a message that is short or isn't, for four of its blocks; and
// for eight messages, for four blocks of the longest.
const (
	shortCost, shortQuadCost   = 10, 60
	singleCost, singleQuadCost = 350, 12
	lanesCost, lanesQuadCost   = 540, 80
)

// sideBySide sets up lanes for messages from to to-1, up to eight; it reports false where they are better done one by one, because
// they are few or of very different lengths.
func (s *scratch) sideBySide(from, to int) bool {
	longest, all := 0, 0
	for i := from; i < to; i++ {
		quads := quadsOf(s.messages[i].len)
		longest = max(longest, quads)
		if s.messages[i].len < single512From {
			all += shortCost + shortQuadCost*quads
		} else {
			all += singleCost + singleQuadCost*quads
		}
	}
	if all <= lanesCost+lanesQuadCost*longest {
		return false
	}
	l := &s.lanes
	l.quads, l.full = uint64(longest), 0
	for i := range l.text {
		j := from
		if from+i < to {
			j += i
		}
		m := &s.messages[j]
		l.text[i], l.len[i], l.skip[i] = m.text, uint64(m.len), 4*l.quads-uint64(blocksOf(m.len))
		l.last[0][i], l.last[1][i] = m.last[0], m.last[1]
		l.full = max(l.full, (l.skip[i]+3)/4)
	}
	return true
}

// blocksOf is how many blocks Poly1305 has for a text of n bytes.
func blocksOf(n int) int { return (n+15)/16 + 1 }

func quadsOf(n int) int { return (blocksOf(n) + 3) / 4 }
