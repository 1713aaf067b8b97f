package tunnel

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// worthSharing is the work, in bytes to seal or open, from which waking another lane pays.
const worthSharing = 16 << 10

// MaxLines is the most that Lines says.
const MaxLines = 4

// Lines is how many queues of a device, and sockets of each family, are worth having on the processors that this program may use.
func Lines() int { return linesOn(runtime.GOMAXPROCS(0)) }

// linesOn is one line for each two processors, since a line fills two by itself, one reading while a follower seals or opens. Up to three
// processors that is one, and nothing is shared out that needs no sharing.
func linesOn(processors int) int { return min(max(processors/2, 1), MaxLines) }

// A batch is what one lane takes from a queue at a time, with the buffers it is worked on in.
type batch interface {
	// read blocks until there is something, and takes all that can be had without waiting.
	read() error
	// plan does what has to happen in the order read, such as reserving counters. It returns the bytes of work to do.
	plan() int
	// work seals or opens. Batches of one line may be worked on at once.
	work()
	// finish hands the results on, in the order read.
	finish()
}

// lanes counts, for all lines of a tunnel, who is at work: a batch is shared out only while a processor is free.
type lanes struct {
	processors int32
	busy       atomic.Int32
}

// A line takes batches from one queue. One lane leads: it reads a batch and works on that very batch to the end. If the batch is worth
// it and a processor is free, the leader first hands the lead to a follower, which is parked on lead and not in a read.
//
// Order is kept by a ring of slots in the order read: a lane that is done with a batch leaves it in its slot, and whoever finds the head
// ready finishes all that is. Nobody waits for a turn.
type line struct {
	lanes    *lanes
	newBatch func() batch
	lead     chan struct{} // holds one token: the right to read

	clock Clock      // nil: nobody wants to know
	waits *histogram // how long batches took, of one in waitEvery
	turns uint       // guarded by the lead

	mu         sync.Mutex
	slots      []slot
	head, tail uint64 // slots from head up to tail are at work or ready
	finishing  bool   // somebody is at the head
	freed      sync.Cond
}

type slot struct {
	batch batch
	ready bool
	since time.Duration // when it was read; zero: it is not timed
}

func newLine(l *lanes, newBatch func() batch) *line {
	x := &line{lanes: l, newBatch: newBatch, lead: make(chan struct{}, 1), slots: make([]slot, 2*l.processors)}
	x.freed.L = &x.mu
	x.lead <- struct{}{}
	return x
}

// timed has the line tell how long batches take.
func (l *line) timed(c Clock, h *histogram) *line {
	l.clock, l.waits = c, h
	return l
}

// begin starts the watch for a batch that has been read, if it is one to be timed.
func (l *line) begin(s *slot) {
	if l.turns++; l.clock != nil && l.turns%waitEvery == 1 {
		s.since = l.clock.Now()
	}
}

// finish hands on what is in a slot.
func (l *line) finish(s *slot) {
	s.batch.finish()
	if s.since != 0 {
		l.waits.add(l.clock.Now() - s.since)
		s.since = 0
	}
}

// run starts the lanes and returns when all have ended, which they do when read fails.
func (l *line) run() {
	var wg sync.WaitGroup
	for range l.lanes.processors {
		wg.Go(func() {
			for {
				<-l.lead
				if l.leading() != nil {
					l.lead <- struct{}{} // the next lane finds the same end
					return
				}
			}
		})
	}
	wg.Wait()
}

// leading reads and works until the lead is given away (nil), or until the queue ends.
func (l *line) leading() error {
	for {
		s := l.next()
		if err := s.batch.read(); err != nil {
			return err
		}
		l.begin(s)
		bytes := s.batch.plan()
		busy := l.lanes.busy.Add(1)
		share := bytes >= worthSharing && busy < l.lanes.processors
		switch {
		case share:
			l.take()
			l.lead <- struct{}{}
			s.batch.work()
			l.done(s)
		case l.alone():
			s.batch.work()
			l.finish(s)
		default:
			l.take()
			s.batch.work()
			l.done(s)
		}
		l.lanes.busy.Add(-1)
		if share {
			return nil
		}
	}
}

// next returns the slot that the leader reads into, once it is free.
func (l *line) next() *slot {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.tail-l.head == uint64(len(l.slots)) {
		l.freed.Wait()
	}
	s := &l.slots[l.tail%uint64(len(l.slots))]
	if s.batch == nil {
		s.batch = l.newBatch()
	}
	return s
}

// alone reports whether no other batch is at work. Only the leader asks, so none can begin.
func (l *line) alone() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.head == l.tail && !l.finishing
}

// take enters the leader's slot into the ring.
func (l *line) take() {
	l.mu.Lock()
	l.tail++
	l.mu.Unlock()
}

// done marks a slot ready and, if nobody else is at the head, finishes all that is ready there.
func (l *line) done(s *slot) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.ready = true
	if l.finishing {
		return
	}
	l.finishing = true
	for l.head != l.tail {
		first := &l.slots[l.head%uint64(len(l.slots))]
		if !first.ready {
			break
		}
		l.mu.Unlock()
		l.finish(first)
		l.mu.Lock()
		first.ready = false
		l.head++
		l.freed.Signal()
	}
	l.finishing = false
}
