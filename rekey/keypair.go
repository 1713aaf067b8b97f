package rekey

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"golang.zx2c4.com/wireguard/replay"

	"vpn/noise/aead"
)

// A Keypair is one session. Whoever uses its keys holds it for that time, by Acquire and Release; the Machine that it was given
// to retires it, and the last to let go of a retired pair erases both keys. So no message is ever sealed with an erased key.
// All methods may be called from any goroutine, without a lock.
type Keypair struct {
	holds    atomic.Uint64 // how many hold the pair, and the bit retired
	sent     atomic.Uint64 // the next counter
	received atomic.Uint64 // messages that passed the replay window

	// When traffic on this pair is to ask for a new session. The Machine sets them; never, once the pair is replaced.
	sendRekeyAt    atomic.Int64  // when sending
	receiveRekeyAt atomic.Int64  // when receiving
	rekeyPackets   atomic.Uint64 // when so many were sent, or received

	asked     atomic.Int64 // when traffic last asked for a new session, since the last attempt ended; zero: it has not
	spent     atomic.Bool  // there are fewer counters left than were asked for
	confirmed atomic.Bool  // of a responder's pair: the initiator has sent a message on it

	send, receive *aead.Key
	localIndex    uint32
	remoteIndex   uint32
	id            uint64
	born          time.Duration
	role          Role

	end   End           // written before retired is set in holds, read after
	ended time.Duration // likewise

	mu     sync.Mutex
	window replay.Filter // guarded by mu
}

// retired in Keypair.holds: nobody may take hold of the pair any more.
const retired = 1 << 63

// never is a time that doesn't come.
const never = math.MaxInt64

// Params are what a Keypair is made of.
type Params struct {
	Role                    Role
	Send, Receive           *aead.Key // the pair's from now on, which erases them
	LocalIndex, RemoteIndex uint32
	Born                    time.Duration // when the handshake completed on this side
	ID                      uint64        // random; Name comes from it
}

// NewKeypair returns the session of a completed handshake. It is to be given to Machine.Initiated or Responded, or retired.
func NewKeypair(p Params) *Keypair {
	k := &Keypair{
		send: p.Send, receive: p.Receive,
		localIndex: p.LocalIndex, remoteIndex: p.RemoteIndex,
		id: p.ID, born: p.Born, role: p.Role,
	}
	k.disarm()
	return k
}

// Acquire takes hold of the pair for use in either direction. It reports false if the pair is retired or RejectAfterTime old;
// then its keys must not be touched.
func (k *Keypair) Acquire(now time.Duration) bool {
	// "After [...] the current secure session is Reject-After-Time seconds old, [...] WireGuard will refuse to send or receive
	// any more transport data messages using the current secure session". 6.2
	if k.expired(now) {
		return false
	}
	for {
		n := k.holds.Load()
		if n&retired != 0 {
			return false
		}
		if k.holds.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Release ends a hold. The last one of a retired pair erases both keys.
func (k *Keypair) Release() {
	switch n := k.holds.Add(^uint64(0)); {
	case n == retired:
		k.erase()
	case n&(retired-1) == retired-1:
		panic("rekey: a keypair was released more often than acquired")
	}
}

// Retire ends the session: nobody can acquire it any more, and its keys are erased as soon as nobody holds them. Only the first
// call counts. The Machine retires what it was given; only a pair that never came so far is for others to retire.
func (k *Keypair) Retire(why End, now time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.isRetired() {
		return
	}
	k.end, k.ended = why, now
	if k.holds.Or(retired) == 0 {
		k.erase()
	}
}

func (k *Keypair) erase() {
	if k.send != nil {
		k.send.Erase()
	}
	if k.receive != nil {
		k.receive.Erase()
	}
}

// Reserve takes n consecutive counters for sending, all or none: first, first+1, and so on. It reports false when they would go
// past RejectAfterMessages. The caller holds the pair.
func (k *Keypair) Reserve(n int) (first uint64, ok bool) {
	if n < 0 {
		panic("rekey: a negative number of counters")
	}
	for {
		first := k.sent.Load()
		// "After Reject-After-Messages transport data messages [...] WireGuard will refuse to send [...] any more". 6.2
		if first > RejectAfterMessages || uint64(n) > RejectAfterMessages-first {
			k.spent.Store(true)
			return 0, false
		}
		if k.sent.CompareAndSwap(first, first+uint64(n)) {
			return first, true
		}
	}
}

// CheckReplay passes a run of messages through the replay window. Those that are OK on entry have been authenticated; OK is
// taken from the ones that are replayed, too old for the window, or past RejectAfterMessages. The others are not looked at.
// The window is 8192 bits wide: it tells apart the last 8128 counters before the highest one.
func (k *Keypair) CheckReplay(ms []aead.Sealed) {
	fresh := uint64(0)
	k.mu.Lock()
	for i := range ms {
		if m := &ms[i]; m.OK {
			if m.OK = k.window.ValidateCounter(m.Counter, RejectAfterMessages); m.OK {
				fresh++
			}
		}
	}
	k.mu.Unlock()
	if fresh > 0 {
		k.received.Add(fresh)
	}
}

// SendKey returns the key to seal with. It may be used only while the pair is held.
func (k *Keypair) SendKey() *aead.Key { return k.send }

// ReceiveKey returns the key to open with. It may be used only while the pair is held.
func (k *Keypair) ReceiveKey() *aead.Key { return k.receive }

// LocalIndex returns the index that messages to this side carry.
func (k *Keypair) LocalIndex() uint32 { return k.localIndex }

// RemoteIndex returns the index that messages to the other side carry.
func (k *Keypair) RemoteIndex() uint32 { return k.remoteIndex }

// Role returns this side's role in the handshake.
func (k *Keypair) Role() Role { return k.role }

// Born returns when the session began.
func (k *Keypair) Born() time.Duration { return k.born }

// ID returns the session's random number.
func (k *Keypair) ID() uint64 { return k.id }

// Name returns the session's name for people. It comes from ID, so it is random and says nothing about keys.
func (k *Keypair) Name() string { return name(uint32(k.id)) }

// SentPackets returns how many counters were reserved for sending.
func (k *Keypair) SentPackets() uint64 { return k.sent.Load() }

// ReceivedPackets returns how many messages passed the replay window.
func (k *Keypair) ReceivedPackets() uint64 { return k.received.Load() }

// Ended reports whether the session has ended, and why.
func (k *Keypair) Ended() (why End, ok bool) {
	if !k.isRetired() {
		return 0, false
	}
	return k.end, true
}

// EndedAt returns when the session ended, or zero.
func (k *Keypair) EndedAt() time.Duration {
	if !k.isRetired() {
		return 0
	}
	return k.ended
}

func (k *Keypair) isRetired() bool { return k.holds.Load()&retired != 0 }

func (k *Keypair) expired(now time.Duration) bool { return now-k.born >= RejectAfterTime }

// usable reports whether messages can be sealed with the pair, as far as age and counters go.
func (k *Keypair) usable(now time.Duration) bool {
	return k != nil && !k.expired(now) && !k.spent.Load() && k.sent.Load() < RejectAfterMessages
}

// ask records that traffic wants a new session in place of this one, and reports whether that is news.
func (k *Keypair) ask(now time.Duration) bool { return k.asked.Swap(int64(now)) == 0 }

// dueAfterSending reports whether the message just sent is past a limit.
func (k *Keypair) dueAfterSending(now time.Duration) bool {
	return int64(now) >= k.sendRekeyAt.Load() || k.sent.Load() >= k.rekeyPackets.Load()
}

// dueAfterReceiving reports whether the message just received is past a limit.
func (k *Keypair) dueAfterReceiving(now time.Duration) bool {
	return int64(now) >= k.receiveRekeyAt.Load() || k.received.Load() >= k.rekeyPackets.Load()
}

// disarm makes traffic on the pair ask for nothing any more.
func (k *Keypair) disarm() {
	k.sendRekeyAt.Store(never)
	k.receiveRekeyAt.Store(never)
	k.rekeyPackets.Store(math.MaxUint64)
}

func (k *Keypair) armed() bool { return k.rekeyPackets.Load() != math.MaxUint64 }
