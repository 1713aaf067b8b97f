package rekey

import (
	"errors"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vpn/noise/aead"
)

// origin is when tests begin: not zero, which means never.
const origin = 1000 * time.Second

// newPair returns a pair with real keys out of an arena.
func newPair(t testing.TB, a *aead.Arena, role Role, born time.Duration, id uint64) *Keypair {
	t.Helper()
	keys := [2]*aead.Key{}
	for i := range keys {
		var err error
		if keys[i], err = a.NewKey(&[32]byte{byte(id), byte(i), 1}); err != nil {
			t.Fatal(err)
		}
	}
	return NewKeypair(Params{
		Role: role, Send: keys[0], Receive: keys[1], Born: born, ID: id,
		LocalIndex: uint32(id), RemoteIndex: ^uint32(id),
	})
}

func TestAcquireEdges(t *testing.T) {
	k := newPair(t, aead.NewArena(nil), Initiator, origin, 1)
	for _, c := range []struct {
		age  time.Duration
		want bool
	}{
		{0, true}, {180*time.Second - 1, true}, {180 * time.Second, false}, {180*time.Second + 1, false}, {time.Hour, false},
	} {
		if got := k.Acquire(origin + c.age); got != c.want {
			t.Errorf("at the age of %v: %v", c.age, got)
		} else if got {
			k.Release()
		}
	}
}

func TestLastHolderErases(t *testing.T) {
	a := aead.NewArena(nil)
	k := newPair(t, a, Initiator, origin, 1)
	for range 2 {
		if !k.Acquire(origin) {
			t.Fatal("a new pair can't be acquired")
		}
	}
	if why, ok := k.Ended(); ok || k.EndedAt() != 0 {
		t.Errorf("ended: %v", why)
	}
	k.Retire(Replaced, origin+7)
	k.Retire(Down, origin+8)
	if k.Acquire(origin) {
		t.Error("a retired pair was acquired")
	}
	if why, ok := k.Ended(); !ok || why != Replaced || k.EndedAt() != origin+7 {
		t.Errorf("ended: %v %v at %v", why, ok, k.EndedAt())
	}
	k.Release()
	if a.Live() != 2 {
		t.Errorf("%d keys live while one holds the pair", a.Live())
	}
	k.SendKey().Seal(make([]byte, 16), 0)
	k.Release()
	if a.Live() != 0 {
		t.Errorf("%d keys live after the last holder let go", a.Live())
	}

	unheld := newPair(t, a, Responder, origin, 2)
	if unheld.Retire(Expired, origin); a.Live() != 0 {
		t.Errorf("%d keys live after a pair was retired that nobody held", a.Live())
	}
	defer func() {
		if recover() == nil {
			t.Error("a release too many passes")
		}
	}()
	unheld.Release()
}

func TestReserveEdges(t *testing.T) {
	const limit = uint64(math.MaxUint64 - 1<<13) // 2^64 - 2^13 - 1
	for _, c := range []struct {
		sent  uint64
		n     int
		first uint64
		ok    bool
	}{
		{0, 0, 0, true},
		{0, 64, 0, true},
		{RekeyAfterMessages - 1, 64, RekeyAfterMessages - 1, true},
		{limit - 2, 1, limit - 2, true},
		{limit - 2, 2, limit - 2, true},
		{limit - 2, 3, 0, false},
		{limit - 1, 1, limit - 1, true},
		{limit - 1, 2, 0, false},
		{limit, 0, limit, true},
		{limit, 1, 0, false},
		{limit - 1, math.MaxInt, 0, false},
	} {
		k := NewKeypair(Params{Born: origin})
		k.sent.Store(c.sent)
		first, ok := k.Reserve(c.n)
		if first != c.first || ok != c.ok {
			t.Errorf("%d after %d: got %d, %v", c.n, c.sent, first, ok)
		}
		want := c.sent
		if c.ok {
			want += uint64(c.n)
		}
		if k.SentPackets() != want {
			t.Errorf("%d after %d: %d sent", c.n, c.sent, k.SentPackets())
		}
		if usable := k.usable(origin); usable != (c.ok && want < limit) {
			t.Errorf("%d after %d: usable is %v", c.n, c.sent, usable)
		}
	}
}

// check passes counters through the window one run at a time and returns the verdicts.
func check(k *Keypair, counters ...uint64) (ok []bool) {
	ms := make([]aead.Sealed, len(counters))
	for i, c := range counters {
		ms[i] = aead.Sealed{Counter: c, OK: true}
	}
	k.CheckReplay(ms)
	for _, m := range ms {
		ok = append(ok, m.OK)
	}
	return ok
}

// TestReplayWindow holds each counter against both edges of a window of 8192 bits, 8128 of them usable.
func TestReplayWindow(t *testing.T) {
	const usable = 8128
	const limit = uint64(math.MaxUint64 - 1<<13)
	for _, top := range []uint64{usable, usable + 1, usable + 63, usable + 64, 8191, 8192, 8193, 100_000, 1<<32 + 5, 1 << 60, limit - 1} {
		// The highest and the lowest counter of the window, once each.
		k := NewKeypair(Params{})
		if got := check(k, top, top, top-usable, top-usable, top-usable+1, top-1); !slices.Equal(got, []bool{true, false, true, false, true, true}) {
			t.Errorf("top %d: %v", top, got)
		}
		// What lies below the window is too old, though it was never seen.
		if top > usable {
			if got := check(k, top-usable-1); got[0] {
				t.Errorf("top %d: %d is below the window and passes", top, top-usable-1)
			}
		}
		if k.ReceivedPackets() != 4 {
			t.Errorf("top %d: %d received", top, k.ReceivedPackets())
		}
		// Going on by one moves the lower edge by one.
		if top+1 < limit {
			if got := check(k, top+1, top-usable, top-usable+2); got[0] != true || got[1] != false || got[2] != true {
				t.Errorf("top %d + 1: %v", top, got)
			}
		}
	}
	k := NewKeypair(Params{})
	if got := check(k, limit, limit+1, math.MaxUint64, limit-1, 0); !slices.Equal(got, []bool{false, false, false, true, false}) {
		t.Errorf("past the limit: %v", got)
	}
	if got := check(NewKeypair(Params{}), 0, 0, 1, 1); !slices.Equal(got, []bool{true, false, true, false}) {
		t.Errorf("the first counters: %v", got)
	}
}

// TestReplayOracle holds the window against a set of all counters seen.
func TestReplayOracle(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	k, seen, top := NewKeypair(Params{}), map[uint64]bool{}, uint64(0)
	base := uint64(0)
	for range 200_000 {
		if random.IntN(100) == 0 {
			base += random.Uint64N(3000)
		}
		c := base + random.Uint64N(9000)
		want := !seen[c] && (c > top || top-c <= 8128)
		if got := check(k, c)[0]; got != want {
			t.Fatalf("counter %d, highest %d, seen %v: %v", c, top, seen[c], got)
		}
		seen[c], top = true, max(top, c)
	}
}

func TestReplayLeavesUnauthenticatedAlone(t *testing.T) {
	k := NewKeypair(Params{})
	ms := []aead.Sealed{{Counter: 5}, {Counter: 5, OK: true}, {Counter: 1 << 40}, {Counter: 4, OK: true}}
	k.CheckReplay(ms)
	if ms[0].OK || !ms[1].OK || ms[2].OK || !ms[3].OK || k.ReceivedPackets() != 2 {
		t.Errorf("got %v, %d received", ms, k.ReceivedPackets())
	}
}

func TestAccessors(t *testing.T) {
	a := aead.NewArena(nil)
	k := newPair(t, a, Responder, origin, 0x12345678)
	if k.Role() != Responder || k.Born() != origin || k.ID() != 0x12345678 || k.LocalIndex() != 0x12345678 ||
		k.RemoteIndex() != ^uint32(0x12345678) || k.SendKey() == nil || k.ReceiveKey() == k.SendKey() {
		t.Errorf("got %+v", k)
	}
	if Initiator.String() != "initiator" || Responder.String() != "responder" || Expired.String() != "expired" ||
		HandshakeLost.String() != "handshake lost" || End(99).String() != "End(99)" {
		t.Error("a name is wrong")
	}
	if got := (SendInitiation | ClearSource).String(); got != "ClearSource|SendInitiation" {
		t.Errorf("got %s", got)
	}
}

func TestName(t *testing.T) {
	// The example of the proquint paper, 127.0.0.1.
	if got := NewKeypair(Params{ID: 0xffff_ffff_7f00_0001}).Name(); got != "lusab-babad" {
		t.Errorf("got %s", got)
	}
	form := regexp.MustCompile(`^([bdfghjklmnprstvz][aiou]){2}[bdfghjklmnprstvz]-([bdfghjklmnprstvz][aiou]){2}[bdfghjklmnprstvz]$`)
	names := map[string]bool{}
	for i := range uint32(2000) {
		n := name(i * 0x9e3779b1)
		if names[n] || !form.MatchString(n) {
			t.Fatalf("%q again, or of another form", n)
		}
		names[n] = true
	}
}

// TestConcurrentKeypair is many users of one pair that is retired under them: no counter is given twice, nobody uses an erased
// key (that would panic), and in the end the keys are gone.
func TestConcurrentKeypair(t *testing.T) {
	for round := range 8 {
		a := aead.NewArena(nil)
		k := newPair(t, a, Initiator, origin, 1)
		var started, wg sync.WaitGroup
		var counters [8][]uint64
		var fresh atomic.Uint64
		started.Add(len(counters))
		for g := range counters {
			wg.Go(func() {
				b := make([]byte, 32)
				for i := 0; k.Acquire(origin); i++ {
					if i == 1 {
						started.Done()
					}
					first, ok := k.Reserve(3)
					if !ok {
						t.Error(errors.New("no counters"))
					}
					for c := first; c < first+3; c++ {
						counters[g] = append(counters[g], c)
						clear(b)
						k.SendKey().Seal(b, c)
					}
					// All see the same few counters; each may pass once.
					ms := []aead.Sealed{{Counter: uint64(i % 100), OK: true}, {Counter: uint64(i % 7), OK: true}}
					k.CheckReplay(ms)
					for _, m := range ms {
						if m.OK {
							fresh.Add(1)
						}
					}
					k.Release()
				}
			})
		}
		started.Wait()
		var retire sync.WaitGroup
		for _, why := range []End{Replaced, Expired} {
			retire.Go(func() { k.Retire(why, origin+time.Duration(round)) })
		}
		retire.Wait()
		wg.Wait()
		all := slices.Concat(counters[:]...)
		slices.Sort(all)
		for i, c := range all {
			if c != uint64(i) {
				t.Fatalf("counter %d comes at place %d", c, i)
			}
		}
		if uint64(len(all)) != k.SentPackets() || fresh.Load() != k.ReceivedPackets() || fresh.Load() > 100 {
			t.Errorf("%d sent of %d, %d received of %d", len(all), k.SentPackets(), fresh.Load(), k.ReceivedPackets())
		}
		if _, ok := k.Ended(); !ok || a.Live() != 0 {
			t.Errorf("ended %v, %d keys live", ok, a.Live())
		}
	}
}

// TestConcurrentReserveAtLimit is many that want the last counters.
func TestConcurrentReserveAtLimit(t *testing.T) {
	k := NewKeypair(Params{})
	const left = 1000
	k.sent.Store(RejectAfterMessages - left)
	var wg sync.WaitGroup
	var got atomic.Uint64
	for range 8 {
		wg.Go(func() {
			for {
				first, ok := k.Reserve(7)
				if !ok {
					return
				}
				if first+7 > RejectAfterMessages {
					t.Errorf("%d was reserved", first+6)
				}
				got.Add(7)
			}
		})
	}
	wg.Wait()
	if got.Load() != left/7*7 {
		t.Errorf("%d reserved of %d", got.Load(), left)
	}
}
