package tunnel

import (
	"bytes"
	"testing"
)

// Receiver indices are what randomness gives, but for those in use: nobody who has seen some can tell others.
func TestIndicesAreRandom(t *testing.T) {
	given := []byte{4, 3, 2, 1, 4, 3, 2, 1, 0, 0, 0, 0, 1, 0, 0, 0x80, 0, 0, 0, 0, 9, 0, 0, 0}
	x := indexTable{rand: bytes.NewReader(given), entries: make(map[uint32]indexEntry)}
	for _, want := range []uint32{0x01020304, 0, 0x80000001, 9} { // the second of each pair is passed over
		if got, err := x.reserve(new(Peer)); err != nil || got != want {
			t.Errorf("got %#x, %v, want %#x", got, err, want)
		}
	}
	if _, err := x.reserve(new(Peer)); err == nil {
		t.Error("an index without randomness")
	}
	x.release(9)
	if x.len() != 3 {
		t.Errorf("%d indices are in use", x.len())
	}
}
