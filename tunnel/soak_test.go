package tunnel

import (
	"slices"
	"testing"
	"time"

	"vpn/noise/wire"
	"vpn/rekey"
	"vpn/tunnel/uapi"
)

// TestFewOfManyTalk has a host with a hundred thousand peers, a thousand of which talk in one way or another: every deadline of theirs is
// kept, to the nanosecond, and nobody else hears anything.
func TestFewOfManyTalk(t *testing.T) {
	const silent, talking, lost, kept = 99_000, 800, 100, 100
	inWorld(t, func(t *testing.T, w *world) {
		h := w.newHost()
		h.set(manyPeers(silent))
		c := newCrowd(h, talking+lost+kept)
		talkers, losers, keepers := c.members[:talking], c.members[talking:talking+lost], c.members[talking+lost:]
		for _, m := range slices.Concat(talkers, keepers) {
			m.call()
			c.hear() // at this rate nobody has to bring a cookie
		}
		c.hear()
		wantKnown(c, talkers)
		h.received()
		start := time.Now()

		// Who sent data gets a keepalive KeepaliveTimeout later, and no other.
		for i, m := range talkers {
			m.say(m.packet(false))
			if i%10 == 9 {
				w.sleep(time.Millisecond)
			}
		}
		if got := len(h.received()); got != talking {
			t.Errorf("%d of %d packets arrived", got, talking)
		}
		w.sleep(rekey.KeepaliveTimeout)
		heard := make(map[*member]int)
		for _, d := range c.hear() {
			m := c.at[d.to]
			heard[m]++
			i := 0
			for talkers[i] != m {
				i++
			}
			if late := d.at.Sub(start) - time.Duration(i/10)*time.Millisecond - rekey.KeepaliveTimeout; late != 0 || len(d.data) != wire.MinSizeData {
				t.Errorf("talker %d got %v, %v too late", i, d, late)
			}
		}
		if len(heard) != talking {
			t.Errorf("%d of %d talkers got a keepalive", len(heard), talking)
		}

		// Who is not there is called every RekeyTimeout until RekeyAttemptTime is over; who has a persistent keepalive gets one each interval.
		const interval = 25
		seconds := uint16(interval)
		config := new(uapi.Config)
		for _, m := range keepers {
			config.Peers = append(config.Peers, uapi.PeerConfig{PublicKey: m.local.Public(), UpdateOnly: true, Keepalive: &seconds})
		}
		start = time.Now()
		h.set(config)
		for _, m := range losers {
			h.put(m.packet(true))
		}
		w.sleep(rekey.RekeyAttemptTime)
		calls := make(map[*member][]time.Time)
		for _, d := range w.sent() {
			m := c.at[d.to]
			if m == nil {
				t.Fatalf("a silent peer got %v", d)
			}
			calls[m] = append(calls[m], d.at)
		}
		for _, m := range keepers {
			if got := calls[m]; len(got) != 4 {
				t.Fatalf("%d keepalives in %v", len(got), rekey.RekeyAttemptTime)
			}
			for i, at := range calls[m] {
				if at.Sub(start) != time.Duration(i)*interval*time.Second {
					t.Errorf("keepalive %d after %v", i, at.Sub(start))
				}
			}
		}
		for _, m := range losers {
			if got := len(calls[m]); got < 17 || got > 18 {
				t.Errorf("%d initiations in %v", got, rekey.RekeyAttemptTime)
			}
			for i, at := range calls[m][1:] {
				if gap := at.Sub(calls[m][i]); gap < rekey.RekeyTimeout || gap > rekey.RekeyTimeout+rekey.RekeyTimeoutJitterMax {
					t.Errorf("initiations %v apart", gap)
				}
			}
			delete(calls, m)
		}
		if len(calls) != kept {
			t.Errorf("%d members were sent to, who are neither lost nor kept", len(calls)-kept)
		}
		h.wantDropped(NoAnswer, lost)

		// Nobody sends data any more, and the keepers' keepalives stop: then all is forgotten.
		seconds = 0
		h.set(config)
		w.sleep(rekey.RejectAfterTime)
		if keys, indices := h.arena.Live(), h.index.len(); keys != 0 || indices != 0 {
			t.Errorf("%d keys and %d indices are left", keys, indices)
		}
		if n := len(h.timers.due); n != 0 {
			t.Errorf("%d deadlines are left", n)
		}
		if got := h.stagedBytes.Load(); got != 0 {
			t.Errorf("%d bytes are staged", got)
		}
	})
}
