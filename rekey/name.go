package rekey

const (
	consonants = "bdfghjklmnprstvz"
	vowels     = "aiou"
)

// name writes 32 bits as two words of five letters, consonants and vowels by turns: pronounceable, and short enough to compare
// by eye ("lusab-babad"). The scheme is that of proquints (Wilkerson, arXiv:0901.4016).
func name(id uint32) string {
	b := make([]byte, 0, 11)
	for i, half := range [...]uint32{id >> 16, id & 0xffff} {
		if i > 0 {
			b = append(b, '-')
		}
		b = append(b,
			consonants[half>>12&15], vowels[half>>10&3],
			consonants[half>>6&15], vowels[half>>4&3],
			consonants[half&15])
	}
	return string(b)
}
