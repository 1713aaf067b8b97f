package aead

var avx512 = &vector{name: "avx512", lanes: 16, xor: xor512, authenticate: authenticate512, apply: apply512}

// xor512 calls chacha512 once but where counters reach 2^32, or come from who doesn't know the key.
func xor512(key *[KeySize]byte, s *scratch, ms []message, keys bool) {
	for len(ms) > 0 {
		n := 1
		for n < len(ms) && ms[n].first == ms[0].first && ms[n].nonce>>32 == ms[0].nonce>>32 {
			n++
		}
		chacha512(key, &ms[0], n, keys, &s.work)
		ms = ms[n:]
	}
}

// authenticate512 makes tags of the first n messages.
func authenticate512(s *scratch, n int) {
	for from := 0; from < n; from += 8 {
		to := min(from+8, n)
		if sideBySide(s.messages[from:to]) {
			lanes512(&s.messages[from], to-from, &s.powers, &s.tags[from])
			continue
		}
		for i := from; i < to; i++ {
			m := &s.messages[i]
			if m.len < single512From {
				single256(m.key, &s.powers, &s.hashes[i], m.text, m.len, &m.last, &s.tags[i])
				continue
			}
			single512(m.key, &s.powers, m.text, m.len, &m.last, &s.tags[i])
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
	lanesCost, lanesQuadCost   = 540, 80
)

// sideBySide reports whether messages, up to eight, are better authenticated side by side than one by one: they are not too few, and not
// of very different lengths.
func sideBySide(ms []message) bool {
	longest, all := 0, 0
	for i := range ms {
		n := ms[i].len
		quads := (n + quadSize + 15) / quadSize // with the block behind the text
		longest = max(longest, quads)
		if n < single512From {
			all += shortCost + shortQuadCost*quads
		} else {
			all += singleCost + singleQuadCost*quads
		}
	}
	return all > lanesCost+lanesQuadCost*longest
}
