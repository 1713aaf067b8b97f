package tunnel

import (
	"math/bits"
	"sync/atomic"
	"time"

	"vpn/rekey"
)

// tally counts what happens to handshakes and sessions, and how long things wait. It may be used concurrently.
type tally struct {
	happened [eventKinds]atomic.Uint64
	ended    [rekey.HandshakeLost + 1]atomic.Uint64
	rekeys   atomic.Uint64
	waits    [waits]histogram
}

// Wait is what something waits for inside of a tunnel.
type Wait uint8

// The waits.
const (
	// WaitOut is from when a batch has been read from the device until it is handed to the socket, WaitIn the way back. Of all batches one
	// in waitEvery is looked at.
	WaitOut Wait = iota
	WaitIn
	// WaitHandshake: a handshake message waits for a worker.
	WaitHandshake
	// WaitSession: the first of the packets that are staged waits for a session, which comes in the end.
	WaitSession

	waits
)

var waitNames = [waits]string{"out", "in", "handshake", "session"}

// String gives the name used in metrics.
func (w Wait) String() string { return waitNames[w] }

// waitEvery is how many batches pass for one that is timed: a reading of the clock costs as much as a tenth of a lone packet.
const waitEvery = 64

const (
	// waitShift makes 16 µs the first bound of a histogram; each further one is four times the one before it, and the last is 17 s.
	waitShift  = 14
	waitBounds = 11
)

// histogram counts durations.
type histogram struct {
	counts [waitBounds + 1]atomic.Uint64
	sum    atomic.Int64 // ns
}

func (h *histogram) add(d time.Duration) {
	d = max(d, 0)
	at := (bits.Len64(uint64(max(d-1, 0))>>waitShift) + 1) / 2
	h.counts[min(at, waitBounds)].Add(1)
	h.sum.Add(int64(d))
}

// Waited says how long something waited.
type Waited struct {
	For    Wait
	Bounds []time.Duration // what Counts are up to, inclusive
	Counts []uint64        // by bound, each without those before it; the last one is of what took longer than any
	Sum    time.Duration
}

// Count is how often something happened.
type Count[T any] struct {
	What  T
	Times uint64
}

// Tally is what happened since the Tunnel was made. What never did is not in it.
type Tally struct {
	Events []Count[EventKind]
	Ended  []Count[rekey.End] // sessions, by why
	Rekeys uint64             // sessions that took the place of one that could still be used
	Waits  []Waited
}

func (t *tally) read() Tally {
	r := Tally{Rekeys: t.rekeys.Load()}
	for i := range t.happened {
		if n := t.happened[i].Load(); n > 0 {
			r.Events = append(r.Events, Count[EventKind]{EventKind(i), n})
		}
	}
	for i := range t.ended {
		if n := t.ended[i].Load(); n > 0 {
			r.Ended = append(r.Ended, Count[rekey.End]{rekey.End(i), n})
		}
	}
	for i := range t.waits {
		h := &t.waits[i]
		w := Waited{For: Wait(i), Sum: time.Duration(h.sum.Load())}
		total := uint64(0)
		for n := range h.counts {
			w.Counts = append(w.Counts, h.counts[n].Load())
			total += w.Counts[n]
			if n < waitBounds {
				w.Bounds = append(w.Bounds, time.Duration(1)<<(waitShift+2*n))
			}
		}
		if total > 0 {
			r.Waits = append(r.Waits, w)
		}
	}
	return r
}
