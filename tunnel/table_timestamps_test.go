package tunnel

import (
	"testing"
	"time"

	"vpn/noise/wire"
	"vpn/rekey"
	"vpn/tunnel/uapi"
)

// Rows of the table about timestamps of initiations.

func TestReplayedInitiation(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newPair()
		a.deliver(b)
		recorded := find(w.sent(), b.outer4(), wire.TypeInitiation)[0]
		session := b.peer(a).machine.Current()
		w.sleep(time.Minute)
		w.sent()
		recorded.from = elsewhere
		w.inject(recorded)
		older := newCaller(&a.private, elsewhere, b)
		w.inject(older.initiation(recorded.at.Add(-time.Second)))
		w.inject(older.initiation(recorded.at))
		if got := w.sent(); len(got) != 0 {
			t.Errorf("%d messages follow from old initiations", len(got))
		}
		b.wantDropped(ReplayedInitiation, 3)
		if p := b.peer(a); b.endpoint(a) != a.outer4() || p.machine.Current() != session || p.machine.Next() != nil {
			t.Error("an old initiation has changed something")
		}
		w.inject(older.initiation(time.Now()))
		if len(older.answers(wire.TypeResponse)) != 1 {
			t.Error("a newer initiation is not answered")
		}
	})
}

func TestInitiationFlood(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newPair()
		c := newCaller(&a.private, elsewhere, b)
		stamp := time.Now()
		call := func() int {
			stamp = stamp.Add(time.Second)
			w.inject(c.initiation(stamp))
			return len(c.answers(wire.TypeResponse))
		}
		if call() != 1 || call() != 0 {
			t.Error("two initiations at once: want one answer")
		}
		w.sleep(initiationInterval - 1)
		if call() != 0 {
			t.Error("an initiation is answered within 20 ms of the last one")
		}
		w.sleep(1)
		if call() != 1 {
			t.Error("an initiation is not answered 20 ms after the last one")
		}
		b.wantDropped(InitiationFlood, 2)
	})
}

// The wall clock is set back while the engine runs: what it sends still counts as new.
func TestClockSetBack(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		a.time.set.Store(int64(-24 * time.Hour))
		for range 3 {
			w.sleep(rekey.RejectAfterTime)
			a.deliver(b)
		}
		b.wantDropped(ReplayedInitiation, 0)
		a.set(peers(uapi.PeerConfig{PublicKey: b.public(), Remove: true}))
		a.set(peers(b.asPeer(b.outer4()))) // its floor is kept, too
		w.sleep(rekey.RejectAfterTime)
		a.deliver(b)
		a.time.set.Store(0)
		w.sleep(rekey.RejectAfterTime)
		a.deliver(b)
	})
}
