package sim

import (
	"errors"
	"slices"
	"sync"
	"time"

	"vpn/noise"
	"vpn/noise/key"
	"vpn/tun"
	"vpn/tunnel/uapi"
)

// A disk keeps how far the timestamps of a node's initiations have gone, and is all that is left of it when it starts anew. It implements
// tunnel.Floor; what writes real files is held to the same by its own tests.
type disk struct {
	mu     sync.Mutex
	floors map[key.Public]noise.TAI64N
	slow   time.Duration // how long a write takes
	writes []*write      // that wait to be seen by the world
}

// A write is on its way to the disk.
type write struct {
	public key.Public
	last   noise.TAI64N
	done   chan struct{} // closed when it is over
	failed bool
}

func newDisk() *disk { return &disk{floors: make(map[key.Public]noise.TAI64N)} }

var errCrash = errors.New("the machine is off")

// How far a range goes beyond the time of day, and beyond the floor where that is later.
const (
	ahead       = 10 * time.Second
	behindAhead = 500 * time.Millisecond
)

// Reserve implements tunnel.Floor.
func (d *disk) Reserve(public key.Public, from noise.TAI64N) (first, last noise.TAI64N, err error) {
	d.mu.Lock()
	first, last = from, from.Add(ahead)
	if floor := d.floors[public]; !from.After(floor) {
		first, last = floor.Next(), floor.Add(behindAhead)
	}
	x := &write{public: public, last: last, done: make(chan struct{})}
	if d.slow == 0 {
		d.floors[public] = last
		close(x.done)
	} else {
		d.writes = append(d.writes, x)
	}
	d.mu.Unlock()
	<-x.done
	if x.failed {
		err = errCrash
	}
	return first, last, err
}

// end ends a write: it is on the disk if kept says so, and who waits for it learns of that unless it failed.
func (d *disk) end(x *write, kept, failed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if x.failed = failed; kept {
		d.floors[x.public] = x.last
	}
	close(x.done)
}

// spin has the writes that a node has begun end in their time.
func (w *world) spin(n *node) {
	d := n.disk
	if d == nil {
		return
	}
	d.mu.Lock()
	begun := d.writes
	d.writes = nil
	d.mu.Unlock()
	for _, x := range begun {
		n.writing = append(n.writing, x)
		w.in(1+w.upTo(d.slow), func() { w.written(n, x) })
	}
}

// written ends a write, unless the node sleeps: then when it doesn't any more.
func (w *world) written(n *node, x *write) {
	if !slices.Contains(n.writing, x) {
		return // the process was killed meanwhile
	}
	if n.asleep {
		return // it ends on waking
	}
	n.writing = slices.DeleteFunc(n.writing, func(y *write) bool { return y == x })
	w.step(n, "disk", nil, func() { n.disk.end(x, true, false) })
}

// held are handshake messages that a node has taken, and can't work on before its disk has answered.
type held struct {
	in      arrival
	letters []*letter
}

// hold adds what was held to what has arrived, and holds it as long as the disk is busy.
func (n *node) hold(in arrival, letters []*letter) (arrival, []*letter) {
	if len(n.held.in) == 0 && len(n.writing) == 0 {
		return in, letters
	}
	all := held{append(n.held.in, in...), append(n.held.letters, letters...)}
	if n.held = (held{}); len(n.writing) > 0 {
		n.w.saw(diskAwaited)
		n.held = held{slices.Clip(all.in), slices.Clip(all.letters)}
	}
	return all.in, all.letters
}

// slowDisk has a node's disk take its time, for a while. It is never so slow that initiations go out without it.
func (w *world) slowDisk(n *node, _ int) {
	n.disk.slow = 400 * time.Millisecond
	w.in(w.upTo(100*time.Second), func() { n.disk.slow = 0 })
}

// restart ends a node's process in the midst of things. It comes back after a while, knows what its files say, and may have another time of day.
func (w *world) restart(n *node, _ int) {
	w.step(n, "killed", nil, func() {
		for _, x := range n.writing {
			n.disk.end(x, w.chance(0.5), true)
		}
		n.writing = nil
		n.Close()
		n.dead, n.asleep, n.suspended, n.up = true, true, false, false
	})
	n.held = held{}
	w.referee.erased(n)
	w.in(w.upTo(20*time.Second), func() { w.awake(n) })
}

// boot starts a node that was killed.
func (n *node) boot() {
	w := n.w
	step := pick(w, 0, 0, -time.Minute, -72*time.Hour, time.Hour)
	n.clock.setWall(step)
	if w.saw(bornAnew); step < 0 {
		w.saw(bornInThePast)
	}
	n.dead, n.asleep = false, false
	n.clock.forget()
	clear(n.owner)
	w.referee.newborn(n)
	n.start()
	n.set("private key", &uapi.Config{PrivateKey: &n.private})
	for m, t := range n.told {
		if t != nil && t.present {
			n.learn(w.nodes[m])
		}
	}
	n.link(tun.Up)
}
