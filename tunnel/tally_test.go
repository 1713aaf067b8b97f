package tunnel

import (
	"slices"
	"testing"
	"time"

	"vpn/rekey"
	"vpn/tun"
)

// howOften is how often something was counted.
func howOften[T comparable](all []Count[T], what T) uint64 {
	for _, c := range all {
		if c.What == what {
			return c.Times
		}
	}
	return 0
}

// TestTally counts what a session and its rekey do, and the end of both.
func TestTally(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newPair()
		a.deliver(b)
		b.deliver(a)
		w.sleep(rekey.RekeyAfterTime)
		a.deliver(b)
		w.wait()
		for _, h := range []*host{a, b} {
			tally := h.Status().Tally
			other := b
			if h == b {
				other = a
			}
			p, ok := h.PeerStatus(other.public(), 0)
			if started := howOften(tally.Events, SessionStarted); started != 2 || tally.Rekeys != 1 || !ok || p.Rekeys != 1 {
				t.Errorf("host %d: %d sessions, %d rekeys, %d of its peer", h.number, started, tally.Rekeys, p.Rekeys)
			}
			waited := map[Wait]uint64{}
			for _, x := range tally.Waits {
				for n, count := range x.Counts {
					if waited[x.For] += count; count > 0 && n > 0 && x.Sum <= x.Bounds[n-1] {
						t.Errorf("host %d: %d waited for %v longer than %v, and %v in all", h.number, count, x.For, x.Bounds[n-1], x.Sum)
					}
				}
			}
			// Two initiations or two responses; the first packet of the initiator. Of a few batches the first is timed.
			if waited[WaitHandshake] != 2 || waited[WaitSession] != map[*host]uint64{a: 1}[h] || waited[WaitOut] != 1 || waited[WaitIn] == 0 {
				t.Errorf("host %d: waits are %v", h.number, waited)
			}
		}
		a.link(tun.Down)
		w.wait()
		if n := howOften(a.Status().Tally.Ended, rekey.Down); n != 2 {
			t.Errorf("%d sessions ended with the link", n)
		}
	})
}

// TestHistogram holds the bounds against a search for the first that is not less.
func TestHistogram(t *testing.T) {
	var x tally
	bounds := func() []time.Duration {
		x.waits[0].add(0)
		return x.read().Waits[0].Bounds
	}()
	if len(bounds) != waitBounds || bounds[0] != 16384 || !slices.IsSorted(bounds) {
		t.Fatalf("bounds are %v", bounds)
	}
	for _, b := range append(bounds, 0, time.Hour) {
		for _, d := range []time.Duration{b - 1, b, b + 1} {
			var h histogram
			h.add(d)
			want, _ := slices.BinarySearch(bounds, d)
			if h.counts[want].Load() != 1 {
				t.Errorf("%v is not counted at bound %d", d, want)
			}
		}
	}
}
