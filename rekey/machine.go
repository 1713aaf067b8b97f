package rekey

import (
	"sync/atomic"
	"time"
)

// A Machine is when one peer shakes hands, keeps alive and forgets. The zero value is down: it wants nothing and keeps no
// session until Up.
//
// Sending, Sent and Received may be called from any goroutine without a lock. All else is called under one lock, the peer's;
// whoever holds it carries out the Result before letting go.
type Machine struct {
	current atomic.Pointer[Keypair] // sends and receives; changed under the lock
	rest    *pairs                  // guarded by the lock; nil while there are none

	// Times that traffic writes without the lock. Zero: it has not happened.
	heard     atomic.Int64 // the first data received since anything was sent: it warrants a reply
	unheard   atomic.Int64 // the first data sent since anything was received: it awaits one
	traffic   atomic.Int64 // the last authenticated message, either way; kept up only for a persistent keepalive
	keepalive atomic.Int64 // persistent keepalive interval; zero: off

	deadline atomic.Int64 // what Result.Deadline said last

	// Guarded by the lock.
	limits  Limits
	wanted  time.Duration // when a session was last asked for; zero: nobody waits for one
	floor   time.Duration // no initiation before this time
	pending bool          // an initiation was asked for and neither answered nor given up
	up      bool
}

// pairs are the sessions that only receive.
type pairs struct {
	next      *Keypair     // made as responder, and nothing was received on it so far
	previous  *Keypair     // was current, or is what the other side sends on when both initiated at once
	displaced [2]displaced // were pushed out of current or previous; two, since crossing handshakes push both out at once
}

// displaced is a pair that receives what is in flight, for a while. Without a pair it is a free place.
type displaced struct {
	*Keypair
	until time.Duration
}

// Sending returns the pair to send on, or nil. It may be retired by the time it is acquired. Any goroutine may call it.
func (m *Machine) Sending() *Keypair { return m.current.Load() }

// Sent is told that a run of messages was sent on k: data, or a keepalive. When it reports true, Poll has to be called now,
// which is rare. Any goroutine may call it.
func (m *Machine) Sent(k *Keypair, data bool, now time.Duration) (poll bool) {
	if k.isRetired() {
		return false
	}
	m.passed(now)
	if m.heard.Load() != 0 {
		m.heard.Store(0)
	}
	// "Because every transport data message sent warrants a reply of some kind [...] we can determine if the secure session is
	// broken or disconnected if a transport data message has not been received for (Keepalive-Timeout + Rekey-Timeout)
	// seconds". 6.5. A keepalive warrants none.
	if data && m.unheard.Load() == 0 && m.unheard.CompareAndSwap(0, int64(now)) {
		poll = m.earlier(now + KeepaliveTimeout + RekeyTimeout)
	}
	// The question is put to the pair. Once that is replaced nobody sees it, so that a message that was late does not lead to a
	// second handshake after the first was answered.
	if k.dueAfterSending(now) && k.ask(now) {
		poll = true
	}
	return poll
}

// Received is told that a run of messages was authenticated with k and passed its window: at least one of them data, or only
// keepalives. When it reports true, Poll has to be called now, which is rare. Any goroutine may call it.
func (m *Machine) Received(k *Keypair, data bool, now time.Duration) (poll bool) {
	if k.isRetired() {
		return false
	}
	m.passed(now)
	if m.unheard.Load() != 0 {
		m.unheard.Store(0)
	}
	// "If a peer has received a validly-authenticated transport data message (section 5.4.6), but does not have any packets
	// itself to send back for Keepalive-Timeout seconds, it sends a keepalive message." 6.5. A keepalive asks for none, or two
	// idle peers would answer each other for ever. What is sent back must be a transport data message: a response does not
	// count, because the other side may have given up the initiation that it answers.
	if data && m.heard.Load() == 0 && m.heard.CompareAndSwap(0, int64(now)) {
		poll = m.earlier(now + KeepaliveTimeout)
	}
	if k.role == Responder && !k.confirmed.Load() && k.confirmed.CompareAndSwap(false, true) {
		poll = true
	}
	// current is read before k's limits: whoever replaces it first disarms k. So k's old limits ask nothing of a new session.
	if c := m.current.Load(); c != nil && (c.dueAfterReceiving(now) || k != c && k.dueAfterReceiving(now)) && c.ask(now) {
		poll = true
	}
	return poll
}

// passed notes authenticated traffic, which puts off the persistent keepalive.
func (m *Machine) passed(now time.Duration) {
	if m.keepalive.Load() != 0 && m.traffic.Load() < int64(now) {
		m.traffic.Store(int64(now))
	}
}

// earlier reports whether t comes before the deadline that the caller knows.
func (m *Machine) earlier(t time.Duration) bool {
	d := time.Duration(m.deadline.Load())
	return d == 0 || t < d
}

// InitiationReceived is told of an authenticated initiation or response.
func (m *Machine) InitiationReceived(now time.Duration) {
	m.passed(now)
	m.unheard.Store(0)
}

// Up starts the machine: the device is up, and messages can be sent.
func (m *Machine) Up(now time.Duration) Result {
	if m.up {
		return m.result(0, nil)
	}
	m.up = true
	// Messages that were under way when the machine went down mean nothing now.
	m.heard.Store(0)
	m.unheard.Store(0)
	var a Actions
	if m.keepalive.Load() != 0 {
		a = m.keepAlive(now) | m.handshake(now, 0)
	}
	return m.result(a, nil)
}

// Down ends all sessions and stops the machine.
func (m *Machine) Down(now time.Duration) Result { return m.Forget(Down, now) }

// Forget ends all sessions and stops a handshake that is under way. With PeerRemoved and Down the machine stops until Up;
// otherwise it goes on, and shakes hands when the next packet wants it, or the persistent keepalive, whose time runs anew.
// After Suspended the caller calls Want for those that had a session, once the machine is awake.
func (m *Machine) Forget(why End, now time.Duration) Result {
	if why == PeerRemoved || why == Down {
		m.up = false
	}
	var r []*Keypair
	if k := m.current.Swap(nil); k != nil {
		r = end(r, k, why, now)
	}
	if m.rest != nil {
		for _, k := range m.rest.all() {
			r = end(r, k, why, now)
		}
		m.rest = nil
	}
	m.heard.Store(0)
	m.unheard.Store(0)
	m.traffic.Store(int64(now))
	m.wanted, m.pending = 0, false
	return m.result(DropStaged|EraseHandshake, r)
}

// Configure sets what the peer's owner chose. Limits hold for sessions that are there already, from their next message on.
func (m *Machine) Configure(s Settings, now time.Duration) Result {
	m.limits = s.Limits
	if k := m.current.Load(); k != nil {
		m.limits.arm(k)
	}
	if p := m.rest; p != nil {
		if p.next != nil {
			m.limits.arm(p.next)
		}
		if p.previous != nil && p.previous.armed() {
			m.limits.arm(p.previous)
		}
	}
	was := m.keepalive.Swap(int64(max(s.Keepalive, 0)))
	var a Actions
	if was == 0 && m.keepalive.Load() != 0 && m.up {
		a = m.keepAlive(now) | m.handshake(now, 0)
	}
	return m.result(a, nil)
}

// Floor is the time before which there is no initiation.
func (m *Machine) Floor() time.Duration { return m.floor }

// SetFloor keeps a machine that is down from initiating before t: a peer that was removed and added again is still the same to the other
// side.
func (m *Machine) SetFloor(t time.Duration) { m.floor = max(m.floor, t) }

// Current returns the pair that sends, or nil.
func (m *Machine) Current() *Keypair { return m.current.Load() }

// Next returns the pair that was made as responder and waits for its first message, or nil.
func (m *Machine) Next() *Keypair {
	if m.rest == nil {
		return nil
	}
	return m.rest.next
}

// Previous returns the pair that only receives, or nil.
func (m *Machine) Previous() *Keypair {
	if m.rest == nil {
		return nil
	}
	return m.rest.previous
}

// Idle reports whether the peer has no session and wants none.
func (m *Machine) Idle() bool {
	return m.current.Load() == nil && m.rest == nil && m.wanted == 0 && !m.pending
}

// Wanted reports whether a handshake is wanted. An initiation that was asked for and is not sent yet need not be sent any more
// when it is not.
func (m *Machine) Wanted() bool {
	k := m.current.Load()
	return m.wanted != 0 || k != nil && k.asked.Load() != 0
}
