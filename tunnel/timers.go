package tunnel

import (
	"bytes"
	"container/heap"
	"sync"
	"time"
)

// schedule holds the next deadline of every peer that has one: one structure and one goroutine for all of them.
// Peers that are silent have no deadline and cost nothing.
type schedule struct {
	clock Clock
	timer Timer

	mu  sync.Mutex
	due deadlines
	set time.Duration // what timer is armed for; 0 if it is not
}

func newSchedule(c Clock) *schedule { return &schedule{clock: c, timer: c.NewTimer()} }

// arm sets p's deadline, replacing the one before; 0 takes it away.
func (x *schedule) arm(p *Peer, at time.Duration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case at == p.deadline:
		return
	case at == 0:
		heap.Remove(&x.due, int(p.heapIndex))
		p.deadline = 0
	case p.deadline == 0:
		p.deadline = at
		heap.Push(&x.due, p)
	default:
		p.deadline = at
		heap.Fix(&x.due, int(p.heapIndex))
	}
	x.rearm()
}

// rearm sets the timer to the first deadline. A timer that is set too early is left: it ticks once for nothing, and moving it for every
// deadline that traffic pushes back would cost a system call each.
func (x *schedule) rearm() {
	if len(x.due) == 0 {
		return
	}
	if first := x.due[0].deadline; x.set == 0 || first < x.set {
		x.set = first
		x.timer.Set(first)
	}
}

// take returns up to len(buf) peers whose deadline has come, and arms the timer for the rest when there are no more.
func (x *schedule) take(now time.Duration, buf []*Peer) []*Peer {
	x.mu.Lock()
	defer x.mu.Unlock()
	buf = buf[:0]
	for len(x.due) > 0 && x.due[0].deadline <= now && len(buf) < cap(buf) {
		p := heap.Pop(&x.due).(*Peer)
		p.deadline = 0
		buf = append(buf, p)
	}
	if len(buf) == 0 {
		x.set = 0
		x.rearm()
	}
	return buf
}

// run polls peers whose deadline has come until stop is closed.
func (x *schedule) run(stop <-chan struct{}) {
	defer x.timer.Stop()
	buf := make([]*Peer, 0, 64)
	for {
		select {
		case <-stop:
			return
		case <-x.timer.C():
		}
		for {
			now := x.clock.Now()
			due := x.take(now, buf)
			if len(due) == 0 {
				break
			}
			for _, p := range due {
				p.poll(now)
			}
			clear(due)
		}
	}
}

// deadlines is a heap of peers, the earliest deadline first. Those of the same time come in the order of their keys: what happens does not
// depend on who was armed first.
type deadlines []*Peer

func (d deadlines) Len() int { return len(d) }
func (d deadlines) Less(i, j int) bool {
	if a, b := d[i].deadline, d[j].deadline; a != b {
		return a < b
	}
	return bytes.Compare(d[i].remote.Public[:], d[j].remote.Public[:]) < 0
}
func (d deadlines) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].heapIndex, d[j].heapIndex = int32(i), int32(j)
}
func (d *deadlines) Push(x any) {
	p := x.(*Peer)
	p.heapIndex = int32(len(*d))
	*d = append(*d, p)
}
func (d *deadlines) Pop() any {
	old := *d
	p := old[len(old)-1]
	old[len(old)-1] = nil
	*d = old[:len(old)-1]
	return p
}
