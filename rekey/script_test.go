package rekey

import (
	"slices"
	"testing"
	"time"

	"vpn/noise/aead"
)

// A script drives one machine by steps, and checks after each what never changes.
type script struct {
	t      *testing.T
	m      Machine
	arena  *aead.Arena
	now    time.Duration
	last   Result
	ids    uint64
	jitter time.Duration

	initiated time.Duration // when an initiation was last asked for
}

// newScript returns a machine that is up, at origin.
func newScript(t *testing.T, s Settings) *script {
	x := &script{t: t, arena: aead.NewArena(nil), now: origin}
	x.result(x.m.Configure(s, x.now))
	x.result(x.m.Up(x.now))
	return x
}

func (x *script) result(r Result) Result {
	x.t.Helper()
	x.last = r
	if r.Actions&SendInitiation != 0 {
		if x.initiated != 0 && x.now-x.initiated < RekeyTimeout {
			x.t.Errorf("at %v: the last initiation was %v ago", x.now-origin, x.now-x.initiated)
		}
		x.initiated = x.now
	}
	for _, k := range r.Retired {
		if _, ok := k.Ended(); !ok {
			x.t.Errorf("at %v: %s is said to have ended, and has not", x.now-origin, k.Name())
		}
	}
	return r
}

// at lets time pass without anyone looking.
func (x *script) at(t time.Duration) { x.now = origin + t }

func (x *script) wait(d time.Duration) { x.now += d }

// want checks what the last step asked for.
func (x *script) want(a Actions) {
	x.t.Helper()
	if x.last.Actions != a {
		x.t.Errorf("at %v: got %v, want %v", x.now-origin, x.last.Actions, a)
	}
}

// wantDeadline checks the last deadline, given since origin; negative means none.
func (x *script) wantDeadline(d time.Duration) {
	x.t.Helper()
	if d < 0 && x.last.Deadline == 0 {
		return
	}
	if x.last.Deadline != origin+d {
		x.t.Errorf("at %v: the deadline is %v, want %v", x.now-origin, x.last.Deadline-origin, d)
	}
}

// wantEnded checks which pairs the last step ended, and why all of them did.
func (x *script) wantEnded(why End, ks ...*Keypair) {
	x.t.Helper()
	if len(x.last.Retired) != len(ks) {
		x.t.Errorf("at %v: %d pairs ended, want %d", x.now-origin, len(x.last.Retired), len(ks))
		return
	}
	for _, k := range ks {
		got, _ := k.Ended()
		if got != why || !slices.Contains(x.last.Retired, k) || k.EndedAt() != x.now {
			x.t.Errorf("at %v: %s ended: %v at %v, want %v", x.now-origin, k.Name(), got, k.EndedAt()-origin, why)
		}
	}
}

// wantPairs checks which pair is where.
func (x *script) wantPairs(current, next, previous *Keypair) {
	x.t.Helper()
	if x.m.Current() != current || x.m.Sending() != current || x.m.Next() != next || x.m.Previous() != previous {
		x.t.Errorf("at %v: current %p, next %p, previous %p; want %p, %p, %p", x.now-origin,
			x.m.Current(), x.m.Next(), x.m.Previous(), current, next, previous)
	}
}

func (x *script) poll() Result {
	x.t.Helper()
	return x.result(x.m.Poll(x.now, x.jitter))
}

// due goes to t, where the deadline must be: nothing happens one tick before, and what happens then is a.
func (x *script) due(t time.Duration, a Actions) {
	x.t.Helper()
	x.wantDeadline(t)
	x.at(t - 1)
	x.poll()
	x.want(0)
	x.wantDeadline(t)
	x.at(t)
	x.poll()
	x.want(a)
}

func (x *script) packetWaits() { x.t.Helper(); x.result(x.m.Want(x.now, x.jitter)) }
func (x *script) initiate()    { x.t.Helper(); x.result(x.m.InitiationSent(x.now, x.jitter)) }

func (x *script) pair(role Role) *Keypair {
	x.ids++
	return newPair(x.t, x.arena, role, x.now, x.ids)
}

// initiated is a response that came: this side began.
func (x *script) answered() *Keypair {
	x.t.Helper()
	k := x.pair(Initiator)
	x.m.InitiationReceived(x.now)
	x.result(x.m.Initiated(k, x.now))
	return k
}

// responds is an initiation that came, and was answered.
func (x *script) responds() *Keypair {
	x.t.Helper()
	k := x.pair(Responder)
	x.m.InitiationReceived(x.now)
	x.result(x.m.Responded(k, x.now))
	return k
}

// sends sends one message on the current pair, and polls if the machine says so.
func (x *script) sends(data bool) (polled bool) {
	x.t.Helper()
	k := x.m.Sending()
	if k == nil || !k.Acquire(x.now) {
		x.t.Fatalf("at %v: nothing to send on", x.now-origin)
	}
	if _, ok := k.Reserve(1); !ok {
		x.t.Fatalf("at %v: no counter", x.now-origin)
	}
	polled = x.m.Sent(k, data, x.now)
	k.Release()
	return x.pollIf(polled)
}

// receives receives one message on k, and polls if the machine says so.
func (x *script) receives(k *Keypair, data bool) (polled bool) {
	x.t.Helper()
	if !k.Acquire(x.now) {
		x.t.Fatalf("at %v: %s can't be used", x.now-origin, k.Name())
	}
	k.CheckReplay([]aead.Sealed{{Counter: k.received.Load(), OK: true}})
	polled = x.m.Received(k, data, x.now)
	k.Release()
	return x.pollIf(polled)
}

func (x *script) pollIf(polled bool) bool {
	x.t.Helper()
	x.last.Actions, x.last.Retired = 0, nil
	if polled {
		x.poll()
	}
	return polled
}

// session is a fresh machine with one session whose first message has gone through, and nothing owed.
func (x *script) session(role Role) *Keypair {
	x.t.Helper()
	if role == Initiator {
		k := x.answered()
		x.sends(false)
		return k
	}
	k := x.responds()
	x.receives(k, false)
	return k
}

const (
	data      = true
	keepalive = false
	tick      = time.Duration(1)
	confirm   = SendStaged | SendKeepalive
)

// eachEdge runs a script that ends with Poll one tick before something is due, at that moment, one tick after, and late.
func eachEdge(t *testing.T, f func(t *testing.T, late time.Duration)) {
	for _, late := range []time.Duration{-tick, 0, tick, 700 * time.Millisecond} {
		t.Run(late.String(), func(t *testing.T) { f(t, late) })
	}
}
