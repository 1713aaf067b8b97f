package aead

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"unsafe"

	"vpn/noise/aead/internal/registers"
)

// TestKernelsLeaveNothing calls each kernel with one secret and with another, and all else alike. Then nothing differs in registers, on
// the stack, and in the memory that it works with.
func TestKernelsLeaveNothing(t *testing.T) {
	for _, v := range vectors() {
		for _, k := range kernels[v.name] {
			for _, sizes := range k.sizes {
				was, is := k.run(v, sizes, 1), k.run(v, sizes, 2)
				for was.SP != is.SP { // the stack was moved in between, and addresses in it are others
					was, is = k.run(v, sizes, 1), k.run(v, sizes, 2)
				}
				for _, what := range was.differences(is) {
					t.Errorf("%s, messages of %d bytes: something is left in %s", k.name, sizes, what)
				}
			}
		}
	}
}

// A kernel is one to call for the first n messages of s, which have some sizes.
type kernel struct {
	name      string
	function  any
	secrets   func(s *scratch) []byte // what makes the difference, or nil if it is the key
	sizes     [][]int
	arguments func(s *scratch, key *[KeySize]byte, n int) []uintptr
}

func oneTimeKeys(s *scratch) []byte { return unsafe.Slice(&s.keys[0][0], len(s.keys)*blockSize) }
func keyStream(s *scratch) []byte   { return s.stream[:blocksOf(s.messages[0].len)*blockSize] }

var (
	alone   = [][]int{{0}, {1}, {63}, {64}, {1420}, {5000}}
	several = [][]int{{0, 0, 0}, {1, 0, 700, 64}, {1420, 1420}, slices.Repeat([]int{300}, 8), slices.Repeat([]int{0}, 12)}
)

var kernels = map[string][]kernel{
	"avx512": {
		{"chacha512", chacha512, nil, slices.Concat(alone, several), func(s *scratch, key *[KeySize]byte, n int) []uintptr {
			return []uintptr{word(key), word(&s.messages), uintptr(n), 1, word(&s.work)}
		}},
		{"abreast512", abreast512, nil, groupsOf(0, 50, 500), func(s *scratch, key *[KeySize]byte, _ int) []uintptr {
			return []uintptr{word(key), word(&s.messages), 1, word(&s.work)}
		}},
		{"keys512", keys512, nil, [][]int{nil}, func(s *scratch, key *[KeySize]byte, _ int) []uintptr {
			return []uintptr{word(key), word(&workedOn.sealed), 2, word(&s.early), word(&s.work)}
		}},
		{"lanes512", lanes512, oneTimeKeys, slices.Concat(alone, several[:4]), func(s *scratch, _ *[KeySize]byte, n int) []uintptr {
			shortest, longest, _ := sideBySide(s.messages[:n])
			return []uintptr{word(&s.keys), word(&s.messages), uintptr(n), uintptr(shortest), uintptr(longest), word(&s.powers), word(&s.tags)}
		}},
		{"single512", single512, oneTimeKeys, [][]int{{160}, {500}, {1420}}, func(s *scratch, _ *[KeySize]byte, _ int) []uintptr {
			m := &s.messages[0]
			return []uintptr{word(&s.keys), word(&s.powers), word(m.text), uintptr(m.len), word(&m.last), word(&s.tags)}
		}},
		{"apply512", apply512, keyStream, alone, applyArguments},
	},
	"avx2": {
		{"chacha256", chacha256, nil, slices.Concat(alone, several), func(s *scratch, key *[KeySize]byte, n int) []uintptr {
			spans := s.addSections(n)
			return []uintptr{word(key), word(&s.spans), uintptr(spans), word(&s.sections), uintptr(n)}
		}},
		{"single256", single256, oneTimeKeys, append(alone[:6:6], []int{16}, []int{30}, []int{500}), func(s *scratch, _ *[KeySize]byte, _ int) []uintptr {
			m, r := &s.messages[0], s.keys[1] // as random as what a section has for its hash
			s.hashes[0] = hash{binary.LittleEndian.Uint64(r[:]), binary.LittleEndian.Uint64(r[8:]), uint64(r[16] % 5)}
			return []uintptr{word(&s.keys), word(&s.powers), word(&s.hashes), word(m.text), uintptr(m.len), word(&m.last), word(&s.tags)}
		}},
		{"apply256", apply256, keyStream, alone, applyArguments},
	},
}

// groupsOf are groups of messages of some sizes.
func groupsOf(sizes ...int) (groups [][]int) {
	for _, size := range sizes {
		groups = append(groups, slices.Repeat([]int{size}, groupSize))
	}
	return groups
}

func applyArguments(s *scratch, _ *[KeySize]byte, _ int) []uintptr {
	return []uintptr{word(s.messages[0].text), word(&s.stream[0]), uintptr(s.messages[0].len)}
}

func word[T any](p *T) uintptr { return uintptr(unsafe.Pointer(p)) }

// workedOn lies where it does for good.
var workedOn struct {
	scratch *scratch
	key     [KeySize]byte
	texts   [16 << 10]byte
	sealed  [2 * groupSize]Sealed
}

// run calls a kernel with secrets that are made of a seed.
func (k *kernel) run(v *vector, sizes []int, seed byte) *left {
	if workedOn.scratch == nil {
		workedOn.scratch = scratches.New().(*scratch)
	}
	s, texts := workedOn.scratch, workedOn.texts[:]
	*s.secrets = secrets{}
	clear(texts)
	for i, size := range sizes {
		s.messages[i].set(texts[:size+Overhead], uint64(i))
		texts = texts[size+Overhead:]
	}
	secret := workedOn.key[:]
	if k.secrets != nil {
		secret = k.secrets(s)
	}
	newChance(seed).fill.Read(secret)
	l := new(left)
	registers.After(k.function, v == avx512, &l.State, k.arguments(s, &workedOn.key, len(sizes))...)
	l.work, l.powers, l.stream = *(*[len(l.work)]byte)(unsafe.Pointer(&s.work)), s.powers, s.stream
	return l
}

// left is what a kernel leaves, but for what it is there for.
type left struct {
	registers.State
	work   [unsafe.Sizeof(work512{})]byte
	powers powers
	stream [ahead256 * blockSize]byte
}

func (l *left) differences(o *left) (where []string) {
	names := []string{"AX", "BX", "CX", "DX", "SI", "DI", "R8", "R9", "R10", "R11", "R12", "R13", "R14", "R15"}
	for i := range l.General {
		if l.General[i] != o.General[i] {
			where = append(where, names[i])
		}
	}
	for i := range l.Vectors {
		if l.Vectors[i] != o.Vectors[i] {
			where = append(where, fmt.Sprint("vector ", i))
		}
	}
	for i := range l.Masks {
		if l.Masks[i] != o.Masks[i] {
			where = append(where, fmt.Sprint("mask ", i))
		}
	}
	for name, differ := range map[string]bool{
		"the stack": l.Stack != o.Stack, "work": l.work != o.work, "powers": l.powers != o.powers, "key stream": l.stream != o.stream,
	} {
		if differ {
			where = append(where, name)
		}
	}
	return where
}
