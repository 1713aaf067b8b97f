package sim

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"testing/synctest"
	"time"
)

// A world is nodes, a network between them, and time. It lives in a bubble, whose time is its own.
type world struct {
	seed    uint64
	random  *rand.Rand // of all that befalls the nodes
	start   time.Time
	nodes   []*node
	network network
	spy     attacker
	referee *referee
	trace   *trace  // nil: nobody reads it
	census  *census // nil: nobody counts
	agenda  agenda
	numbers uint64
	stirred chan struct{} // a node that works on its own has sent something

	stop    func() bool           // ends the play early
	twin    twin                  // what is broken on purpose
	psk     map[[2]int]([32]byte) // what a pair is to share, the lower number first
	quiet   bool                  // the end: nobody has anything to say
	flooded float64               // how probable it is that there is a flood
}

// now is the time since the world began.
func (w *world) now() time.Duration { return time.Since(w.start) }

// An entry is something that is going to happen.
type entry struct {
	at     time.Duration
	number uint64 // what is due at once happens in the order in which it was entered
	do     func()
}

type agenda []entry

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return a[i].at < a[j].at || a[i].at == a[j].at && a[i].number < a[j].number
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(entry)) }
func (a *agenda) Pop() any {
	last := len(*a) - 1
	x := (*a)[last]
	(*a)[last] = entry{}
	*a = (*a)[:last]
	return x
}

// in has something happen after d.
func (w *world) in(d time.Duration, do func()) {
	w.numbers++
	heap.Push(&w.agenda, entry{w.now() + d, w.numbers, do})
}

// run lets time pass until the time end.
func (w *world) run(end time.Duration) {
	for !w.over() {
		at, n := w.next(end)
		w.sleep(at)
		now := w.now()
		switch {
		case now < at: // stirred
		case n != nil:
			w.step(n, "tick", nil, func() { n.clock.tick() })
		case len(w.agenda) > 0 && w.agenda[0].at <= now:
			heap.Pop(&w.agenda).(entry).do()
		case now >= end:
			return
		}
	}
}

func (w *world) over() bool { return w.stop != nil && w.stop() }

// next is when something happens next, end at the latest, and the node whose timer it is, if it is one.
func (w *world) next(end time.Duration) (at time.Duration, whose *node) {
	at = end
	if len(w.agenda) > 0 && w.agenda[0].at < at {
		at = w.agenda[0].at
	}
	for _, n := range w.nodes {
		if n.asleep || n.stock != nil {
			continue
		}
		if t, ok := n.clock.next(); ok && t <= at {
			if t < at || whose == nil {
				at, whose = max(t, w.now()), n
			}
		}
	}
	return at, whose
}

// sleep lets time pass until a time, or until a node that works on its own sends something.
func (w *world) sleep(until time.Duration) {
	if d := until - w.now(); d > 0 {
		timer := time.NewTimer(d)
		select {
		case <-timer.C:
		case <-w.stirred:
			timer.Stop()
		}
	}
	w.collect()
}

// collect takes what nodes that work on their own have sent.
func (w *world) collect() {
	if w.stirred == nil {
		return
	}
	synctest.Wait()
	for _, n := range w.nodes {
		if n.stock != nil {
			w.finish(n, "by itself", nil, nil, burdened{})
		}
	}
}

// step gives a node one thing to do, waits until it is done, and hands on what came of it. in is what arrives at it, if that is what it is
// given.
func (w *world) step(n *node, what string, in arrival, do func()) {
	if n.rand != nil {
		n.rand.step()
	}
	before := lookAt(n)
	letters := w.referee.arrive(n, in)
	authentic := anyOf(letters)
	if w.twin.before != nil {
		w.twin.before(w, n, in, authentic)
	}
	do()
	synctest.Wait()
	if w.twin.after != nil && !n.dead {
		w.twin.after(w, n, in, authentic)
		synctest.Wait()
	}
	w.finish(n, what, in, letters, before)
	w.collect()
}

// finish judges what a node has done, and carries what it has sent.
func (w *world) finish(n *node, what string, in arrival, letters []*letter, before burdened) {
	w.spin(n)
	o := n.take()
	if n.stock != nil && o.empty() {
		return
	}
	w.trace.step(w.now(), n, what, in, &o)
	w.referee.judge(n, what, in, letters, before, &o)
	w.network.carry(n, o.sent)
}

// chance is true with this probability.
func (w *world) chance(p float64) bool { return w.random.Float64() < p }

// upTo is a random time.
func (w *world) upTo(d time.Duration) time.Duration {
	return time.Duration(w.random.Int64N(int64(d) + 1))
}

// pick is a random element.
func pick[T any](w *world, from ...T) T { return from[w.random.IntN(len(from))] }

// A trace is what happened, as text.
type trace struct{ lines []byte }

func (t *trace) step(now time.Duration, n *node, what string, in arrival, o *output) {
	if t == nil {
		return
	}
	b := fmt.Appendf(t.lines, "%12.6f node %d: %s\n", now.Seconds(), n.number, what)
	for _, d := range in {
		b = fmt.Appendf(b, "    in   %v -> %v %s\n", d.from, d.to, describe(d.data))
	}
	for _, d := range o.sent {
		b = fmt.Appendf(b, "    out  -> %v %s\n", d.to, describe(d.data))
	}
	for _, p := range o.delivered {
		b = fmt.Appendf(b, "    got  %d bytes %x\n", len(p), digest(p))
	}
	for _, e := range o.events {
		b = fmt.Appendf(b, "    %v %v %v %s %v %v %d %d/%d\n", e.Kind, e.Peer, e.Endpoint, e.Session, e.Role, e.Why, e.Tries, e.Sent, e.Received)
	}
	t.lines = b
}
