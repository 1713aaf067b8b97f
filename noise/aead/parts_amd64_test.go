package aead

import "testing"

// What seal and open are made of, for tests that want a nonce or a one-time key that no message has.
func init() {
	partsOf["avx512"] = parts{xor512, func(s *scratch, n int) { authenticate512(s, s.keys[:n]) }}
	partsOf["avx2"] = parts{xor256, authenticate256}
}

func xor256(key *[KeySize]byte, s *scratch, ms []message, keys bool) {
	spans := 0
	if keys {
		spans = s.addKeys(ms)
	}
	s.run256(key, s.addTexts(spans, ms), nil)
	for i := range ms {
		s.takeTail(&ms[i], &s.tails[i])
	}
}

// authenticate256 has some of the texts hashed beside key stream, in passes of eight lanes and in one of fewer, and the rest on its own.
func authenticate256(s *scratch, n int) {
	quads := 0
	for i := range n {
		s.sections[i].set(&s.messages[i], -s.messages[i].len)
		quads += s.sections[i].quads
	}
	unused := message{text: &s.stream[0]}
	s.run256(new([KeySize]byte), s.addSpan(0, &unused, unused.text, 0, min((quads+1)/2, ahead256)), s.sections[:n])
	for i := range n {
		s.finish256(i)
	}
}

func TestLongStreamIsWiped(t *testing.T) {
	c := newChance(9)
	key := [KeySize]byte(c.bytes(KeySize))
	for _, forged := range []bool{false, true} {
		s := scratches.New().(*scratch)
		text := c.bytes(20000 + Overhead)
		s.messages[0].set(text, 0)
		seal256(&key, s, 1)
		if forged {
			text[19999] ^= 1
		}
		long := new([longestStream]byte)
		s.ahead = long[:]
		s.messages[0].set(text, 0)
		if got := s.openGroup256(&key, 1); got == 1 == forged {
			t.Errorf("forged %v: authentic are %b", forged, got)
		}
		if *long != [longestStream]byte{} {
			t.Errorf("forged %v: key stream is left", forged)
		}
	}
}
