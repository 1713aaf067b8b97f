package tunnel

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
)

var errEnd = errors.New("end of the queue")

// numbers is a queue of batches that are numbered in the order read and note in which order they are finished.
type numbers struct {
	next, limit int
	reading     atomic.Int32
	working     atomic.Int32
	mostWorking atomic.Int32
	finishing   atomic.Int32
	finished    []int
	size        func(n int) int
}

type numberBatch struct {
	*numbers
	n      int
	worked bool
}

func (b *numberBatch) read() error {
	if b.reading.Add(1) != 1 {
		panic("two lanes lead")
	}
	defer b.reading.Add(-1)
	if b.next == b.limit {
		return errEnd
	}
	b.n, b.worked = b.next, false
	b.next++
	return nil
}

func (b *numberBatch) plan() int { return b.size(b.n) }

func (b *numberBatch) work() {
	n := b.working.Add(1)
	defer b.working.Add(-1)
	for most := b.mostWorking.Load(); n > most && !b.mostWorking.CompareAndSwap(most, n); most = b.mostWorking.Load() {
	}
	for range rand.IntN(50) {
		runtime.Gosched()
	}
	b.worked = true
}

func (b *numberBatch) finish() {
	if b.finishing.Add(1) != 1 {
		panic("two lanes are at the head")
	}
	defer b.finishing.Add(-1)
	if !b.worked {
		panic("a batch is finished before it was worked on")
	}
	b.finished = append(b.finished, b.n)
}

func TestLineKeepsOrder(t *testing.T) {
	mixed := func(n int) int { return rand.IntN(2 * worthSharing) }
	for name, c := range map[string]struct {
		processors int32
		size       func(int) int
		most       int32
	}{
		"one lane":             {1, mixed, 1},
		"large batches":        {4, func(int) int { return worthSharing }, 4},
		"small batches":        {4, func(int) int { return worthSharing - 1 }, 1},
		"mixed":                {4, mixed, 4},
		"mixed, many lanes":    {16, mixed, 16},
		"two lanes, all large": {2, func(int) int { return 1 << 20 }, 2},
	} {
		t.Run(name, func(t *testing.T) {
			const batches = 5000
			q := &numbers{limit: batches, size: c.size}
			newLine(&lanes{processors: c.processors}, func() batch { return &numberBatch{numbers: q} }).run()
			if len(q.finished) != batches || !slices.IsSorted(q.finished) {
				t.Errorf("%d of %d batches finished, in order: %v", len(q.finished), batches, slices.IsSorted(q.finished))
			}
			if most := q.mostWorking.Load(); most > c.most {
				t.Errorf("%d lanes worked at once, want at most %d", most, c.most)
			}
		})
	}
}

// A batch that takes long must not hold up reading until the ring is full, and must still go out first.
func TestLineFollowersOvertakeWorkNotOrder(t *testing.T) {
	release := make(chan struct{})
	q := &slowFirst{numbers: numbers{limit: 4, size: func(int) int { return worthSharing }}, release: release}
	newLine(&lanes{processors: 4}, func() batch { return &slowBatch{slowFirst: q} }).run()
	if !slices.Equal(q.finished, []int{0, 1, 2, 3}) {
		t.Errorf("finished %v", q.finished)
	}
}

// slowFirst holds the first batch back until the last one was worked on.
type slowFirst struct {
	numbers
	release chan struct{}
}

type slowBatch struct {
	*slowFirst
	n int
}

func (b *slowBatch) read() error {
	nb := numberBatch{numbers: &b.numbers}
	err := nb.read()
	b.n = nb.n
	return err
}
func (b *slowBatch) plan() int { return worthSharing }
func (b *slowBatch) work() {
	switch b.n {
	case 0:
		<-b.release
	case b.limit - 1:
		close(b.release)
	}
}
func (b *slowBatch) finish() { b.finished = append(b.finished, b.n) }

func TestLineKeepsOneBatchWhileQuiet(t *testing.T) {
	made := 0
	q := &numbers{limit: 1000, size: func(int) int { return 64 }}
	newLine(&lanes{processors: 8}, func() batch { made++; return &numberBatch{numbers: q} }).run()
	if made != 1 {
		t.Errorf("%d batches were made for a quiet line, want 1: each holds more than 64 KiB", made)
	}
}
