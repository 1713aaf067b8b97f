package tunnel

import (
	"bytes"
	"crypto/rand"
	"errors"
	"sync"
	"testing"
	"time"

	"vpn/noise"
	"vpn/noise/key"
	"vpn/noise/wire"
	"vpn/rekey"
	"vpn/tun"
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
		w.setFilter(lose(a.outer4(), wire.TypeData))
		b.send(b.packetTo(a)) // which nothing answers, so far
		w.sent()
		unheard, rx := b.peer(a).machine.Unheard(), b.peer(a).rx.Load()
		recorded.from = elsewhere
		w.inject(recorded)
		older := newCaller(&a.private, elsewhere, b)
		w.inject(older.initiation(recorded.at.Add(-time.Second)))
		w.inject(older.initiation(recorded.at))
		if got := w.sent(); len(got) != 0 {
			t.Errorf("%d messages follow from old initiations", len(got))
		}
		b.wantDropped(ReplayedInitiation, 3)
		if p := b.peer(a); b.endpoint(a) != a.outer4() || p.machine.Current() != session || p.machine.Next() != nil || p.machine.Unheard() != unheard || unheard == 0 || p.rx.Load() != rx {
			t.Error("an old initiation has changed something")
		}
		w.inject(older.initiation(time.Now()))
		if len(older.answers(wire.TypeResponse)) != 1 {
			t.Error("a newer initiation is not answered")
		}
	})
}

// Copies of one initiation that several workers have in hand at once: one is answered. The others are replays, as what says so is looked at
// under the lock under which it is stored.
func TestReplayedInitiationRaced(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newPair()
		for range 3 {
			b.running.Go(b.handshakes.run)
		}
		const rounds, copies = 50, 40
		c := newCaller(&a.private, elsewhere, b)
		for range rounds {
			d := c.initiation(time.Now())
			for range copies {
				b.socket4().deliver(datagram{from: d.from, to: d.to, data: bytes.Clone(d.data)})
			}
			if got := len(c.answers(wire.TypeResponse)); got != 1 {
				t.Fatalf("%d responses to one initiation", got)
			}
			w.sleep(time.Second)
		}
		b.wantDropped(ReplayedInitiation, rounds*(copies-1))
		b.wantDropped(InitiationFlood, 0)
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
		w.sleep(20*time.Millisecond - 1)
		if call() != 0 {
			t.Error("an initiation is answered within 20 ms of the last one")
		}
		w.sleep(1)
		w.inject(c.initiation(stamp)) // which was dropped, and so is no replay
		if len(c.answers(wire.TypeResponse)) != 1 {
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

// The wall clock is set back, and then the other side gets another key: it is new here, but remembers our timestamps.
func TestClockSetBackAndPeerHasNewKey(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		a.time.set.Store(int64(-24 * time.Hour))
		old := b.public()
		b.private = newPrivateKey(t)
		b.set(&uapi.Config{PrivateKey: &b.private})
		a.set(peers(uapi.PeerConfig{PublicKey: old, Remove: true}, b.asPeer(b.outer4())))
		a.deliver(b)
		b.wantDropped(ReplayedInitiation, 0)
	})
}

// A memFloor is a Floor on a disk that may fail or hang.
type memFloor struct {
	mu   sync.Mutex
	kept map[key.Public]noise.TAI64N
	asks int
	fail error
	hang chan struct{} // not nil: it answers when this is closed
}

func (f *memFloor) Reserve(public key.Public, from noise.TAI64N) (first, last noise.TAI64N, err error) {
	f.mu.Lock()
	f.asks++
	hang := f.hang
	f.mu.Unlock()
	if hang != nil {
		<-hang
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return first, last, f.fail
	}
	if f.kept == nil {
		f.kept = make(map[key.Public]noise.TAI64N)
	}
	first, last = from, from.Add(10*time.Second)
	if before := f.kept[public]; !from.After(before) {
		first = before.Next()
		last = first.Add(500 * time.Millisecond)
	}
	f.kept[public] = last
	return first, last, nil
}

// The wall clock is set back by a year across a restart: with a floor, what is sent still counts as new.
func TestClockSetBackAcrossRestart(t *testing.T) {
	const year = -365 * 24 * time.Hour
	for _, kept := range []bool{true, false} {
		inWorld(t, func(t *testing.T, w *world) {
			a, b := w.newPair()
			floor := new(memFloor)
			if kept {
				a.floor = floor
				a.restart(b.asPeer(b.outer4()))
			}
			for range 3 {
				w.exchange(a, b)
				w.sleep(rekey.RejectAfterTime)
			}
			a.time.set.Store(int64(year))
			a.restart(b.asPeer(b.outer4()))
			if !kept {
				a.send(a.packetTo(b))
				if b.dropped(ReplayedInitiation) == 0 {
					t.Error("an older initiation is taken")
				}
				return
			}
			for range 100 { // more than one range
				a.deliver(b)
				w.sleep(rekey.RejectAfterTime)
			}
			b.wantDropped(ReplayedInitiation, 0)
			ahead := time.Until(b.peer(a).talk.lastTimestamp.Time())
			if ahead > 10*time.Second {
				t.Errorf("timestamps are %v ahead of all that were used before", ahead)
			}
		})
	}
}

// slowRandom is asked between the reservation and the use of a timestamp, and takes its time.
type slowRandom struct{ clock *bubbleClock }

func (r slowRandom) Read(b []byte) (int, error) {
	r.clock.set.Add(int64(floorSlack / 2))
	return rand.Read(b)
}

// All that is sent lies in a range that was reserved before, and a range is asked for each ten seconds at most.
func TestTimestampsReserved(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newPair()
		floor := new(memFloor)
		a.floor = floor
		a.restart(b.asPeer(b.outer4()))
		a.Tunnel.index.rand = slowRandom{a.time}
		began := a.time.Wall()
		for i := range 200 {
			if i%50 == 49 { // close to the end of a range
				a.time.set.Add(int64(floor.kept[a.public()].Time().Sub(a.time.Wall()) - floorSlack/4))
			}
			a.Set(peers(uapi.PeerConfig{PublicKey: b.public(), Remove: true}))
			a.set(peers(b.asPeer(b.outer4())))
			a.deliver(b)
			if last := b.peer(a).talk.lastTimestamp; last.After(floor.kept[a.public()]) {
				t.Fatalf("%v was sent, and %v reserved", last.Time(), floor.kept[a.public()].Time())
			}
			w.sleep(rekey.RekeyTimeout + rekey.RekeyTimeoutJitterMax)
		}
		if most := int(a.time.Wall().Sub(began)/(10*time.Second-floorSlack)) + 2 + 200/50; floor.asks > most {
			t.Errorf("%d ranges were asked for, want %d at most", floor.asks, most)
		}
	})
}

// A disk that is full, or hangs, keeps nobody from shaking hands.
func TestFloorFails(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newPair()
		floor := &memFloor{fail: errors.New("no space")}
		a.floor = floor
		a.restart(b.asPeer(b.outer4()))
		a.deliver(b)
		w.sleep(rekey.RejectAfterTime)
		a.deliver(b)
		if floor.asks != 2 {
			t.Errorf("asked %d times", floor.asks)
		}
		hang := make(chan struct{})
		floor.mu.Lock()
		floor.fail, floor.hang = nil, hang
		floor.mu.Unlock()
		w.sleep(rekey.RejectAfterTime)
		p := a.packetTo(b)
		a.send(p)
		w.sleep(floorWait)
		wantPackets(t, b.received(), [][]byte{p})
		close(hang)
		w.wait()
		if floor.kept[a.public()].IsZero() {
			t.Error("what comes late is lost")
		}
	})
}

// RekeyTimeout begins when an initiation goes out, not when it began to wait for the disk.
func TestFloorDelaysInitiation(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newPair()
		b.link(tun.Down)
		hang := make(chan struct{})
		a.floor = &memFloor{hang: hang}
		a.restart(b.asPeer(b.outer4()))
		a.send(a.packetTo(b))
		w.sleep(floorWait - 1)
		close(hang)
		w.sleep(2 * rekey.RekeyTimeout)
		all := find(w.sent(), b.outer4(), wire.TypeInitiation)
		if len(all) != 2 {
			t.Fatalf("%d initiations", len(all))
		}
		if apart := all[1].at.Sub(all[0].at); apart < rekey.RekeyTimeout {
			t.Errorf("the second initiation follows after %v", apart)
		}
	})
}

// Another private key has another floor, also if the clock was set back before.
func TestFloorOfAnotherKey(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newPair()
		floor := new(memFloor)
		a.floor = floor
		a.restart(b.asPeer(b.outer4()))
		a.deliver(b)
		w.sleep(rekey.RekeyTimeout + rekey.RekeyTimeoutJitterMax)
		a.time.set.Store(int64(-24 * time.Hour))
		other := newPrivateKey(t)
		was := a.public()
		a.private = other
		b.set(peers(a.asPeer(a.outer4())))
		a.set(&uapi.Config{PrivateKey: &other})
		a.deliver(b)
		if len(floor.kept) != 2 || floor.kept[was].IsZero() {
			t.Errorf("%d keys have a floor, want two", len(floor.kept))
		}
		if last := b.peer(a).talk.lastTimestamp; last.After(floor.kept[a.public()]) {
			t.Errorf("%v was sent, and %v reserved", last.Time(), floor.kept[a.public()].Time())
		}
	})
}
