package rekey

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vpn/noise/aead"
)

// TestConcurrentMachine is traffic in many goroutines while sessions come and go under the lock. The race detector watches, and
// an erased key would panic. In the end nothing is left.
func TestConcurrentMachine(t *testing.T) {
	arena := aead.NewArena(nil)
	var m Machine
	var mu sync.Mutex // the peer's lock
	var clock atomic.Int64
	clock.Store(int64(origin))
	now := func() time.Duration { return time.Duration(clock.Load()) }
	m.Configure(Settings{Keepalive: time.Second, Limits: Limits{AfterPackets: 500}}, origin)
	m.Up(origin)

	poll := func() {
		mu.Lock()
		defer mu.Unlock()
		m.Poll(now(), 0)
	}
	var others [4]atomic.Pointer[Keypair] // what an index table would hold
	done := make(chan struct{})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			b := make([]byte, 64)
			for {
				select {
				case <-done:
					return
				default:
				}
				if k := m.Sending(); k != nil && k.Acquire(now()) {
					if first, ok := k.Reserve(2); ok {
						k.SendKey().SealBatch(b, 32, 16, first)
					}
					asks := m.Sent(k, g%2 == 0, now())
					k.Release()
					if asks {
						poll()
					}
				} else {
					mu.Lock()
					m.Want(now(), 0)
					mu.Unlock()
				}
				if k := others[g].Load(); k != nil && k.Acquire(now()) {
					k.ReceiveKey().Open(b[:32], 1)
					asks := m.Received(k, g%2 == 1, now())
					k.Release()
					if asks {
						poll()
					}
				}
			}
		})
	}
	for i := range uint64(3000) {
		clock.Add(int64(700 * time.Millisecond))
		mu.Lock()
		k := newPair(t, arena, Role(i%2), now(), i)
		others[i%4].Store(k)
		switch {
		case i%50 == 49:
			k.Retire(HandshakeLost, now())
			m.Forget(Suspended, now())
		case i%2 == 0:
			m.InitiationReceived(now())
			m.Initiated(k, now())
		default:
			m.InitiationReceived(now())
			m.Responded(k, now())
		}
		mu.Unlock()
		poll()
	}
	close(done)
	wg.Wait()
	m.Down(now())
	if arena.Live() != 0 || !m.Idle() {
		t.Errorf("%d keys live, idle is %v", arena.Live(), m.Idle())
	}
}

// TestNoDeadlineIsMissed is traffic that arms a timer while a poll works out the deadline: either the one sees the other's
// deadline and asks for a poll, or the other sees the timer.
func TestNoDeadlineIsMissed(t *testing.T) {
	for i := range 3000 {
		m := new(Machine)
		m.Up(origin)
		k := NewKeypair(Params{Role: Initiator, Born: origin})
		m.Initiated(k, origin)
		now := origin + time.Duration(i)
		var wg sync.WaitGroup
		var sent, received bool
		var last Result
		wg.Go(func() { sent = m.Sent(k, true, now) })
		wg.Go(func() { last = m.Poll(now, 0) })
		wg.Wait()
		if due := now + KeepaliveTimeout + RekeyTimeout; !sent && last.Deadline > due {
			t.Fatalf("round %d: silence is due at %v, the deadline is %v, and no poll", i, due, last.Deadline)
		}
		wg.Go(func() { received = m.Received(k, true, now) })
		wg.Go(func() { last = m.Poll(now, 0) })
		wg.Wait()
		if due := now + KeepaliveTimeout; !received && last.Deadline > due {
			t.Fatalf("round %d: a keepalive is due at %v, the deadline is %v, and no poll", i, due, last.Deadline)
		}
	}
}

func BenchmarkSendRun(b *testing.B) {
	m := new(Machine)
	m.Up(origin)
	k := NewKeypair(Params{Role: Initiator, Born: origin})
	m.Initiated(k, origin)
	for b.Loop() {
		k := m.Sending()
		k.Acquire(origin)
		k.Reserve(64)
		m.Sent(k, true, origin)
		k.Release()
	}
}
