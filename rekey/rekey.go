// Package rekey decides when session keys are made, used, replaced and forgotten.
//
// A Keypair is one session: two keys, the send counter and the replay window. A Machine is one peer's: it holds the peer's
// keypairs and knows when to shake hands, keep alive and forget. It does nothing by itself. Events go in, one method each, with
// the time of the event; what to do comes out, as a set of Actions and one deadline at which Poll has to be called:
//
//	k := m.Sending()                     // any goroutine, no lock
//	if k == nil || !k.Acquire(now) {
//		m.Want(now, jitter)              // under the peer's lock
//	}
//	first, ok := k.Reserve(n)            // seal n messages with k.SendKey(), send them
//	poll := m.Sent(k, true, now)
//	k.Release()
//	if poll {
//		m.Poll(now, jitter)              // under the peer's lock
//	}
//
// All times are time.Duration on one clock that counts sleep and never goes back; zero means never. A deadline may be noticed
// late: whatever is due is derived from the times of events, so late is as good as in time, and never early.
//
// The rules are those of the WireGuard paper ("WireGuard: Next Generation Kernel Network Tunnel", sections 5 and 6), quoted
// where they are done. Three things are stricter or kinder than there, and none is visible to a stock peer: keys are erased as
// soon as they can't be used any more, limits may be lower and then bind the responder too, and a pair that is pushed out of
// its place can still receive what is in flight.
package rekey

import (
	"fmt"
	"time"
)

// The constants of the paper, section 6.1, and of the kernel's implementation (jitter).
const (
	RekeyAfterMessages    = 1 << 60
	RejectAfterMessages   = 1<<64 - 1<<13 - 1 // counters are below this
	RekeyAfterTime        = 120 * time.Second
	RejectAfterTime       = 180 * time.Second
	RekeyAttemptTime      = 90 * time.Second
	RekeyTimeout          = 5 * time.Second
	RekeyTimeoutJitterMax = 333 * time.Millisecond
	KeepaliveTimeout      = 10 * time.Second

	// DisplacedTime is how long a pair that lost its place may still receive what was sent before the other side knew.
	DisplacedTime = 10 * time.Second
)

// Role is a side's part in the handshake that made a session.
type Role uint8

// The roles. The initiator of a session is the one to replace it.
const (
	Initiator Role = iota
	Responder
)

func (r Role) String() string {
	if r == Initiator {
		return "initiator"
	}
	return "responder"
}

// Limits are when a session is to be replaced. Zero means the protocol's own limit; higher ones can't be had.
//
// Lower limits bind whoever made the session: the initiator asks for a new one with the first message past the limit, the
// responder somewhat later, if the initiator has not. Initiations stay RekeyTimeout apart, and the old session goes on until
// the new one is there.
type Limits struct {
	AfterTime    time.Duration // since the session began; at most RekeyAfterTime, and less than RekeyTimeout counts as that
	AfterPackets uint64        // sent, or received, on the session; at most RekeyAfterMessages, and 1 counts as 2
}

// Check reports limits that are negative or higher than the protocol's.
func (l Limits) Check() error {
	if l.AfterTime < 0 || l.AfterTime > RekeyAfterTime {
		return fmt.Errorf("rekey after %v: must be between 0 and %v", l.AfterTime, RekeyAfterTime)
	}
	if l.AfterPackets > RekeyAfterMessages {
		return fmt.Errorf("rekey after %d packets: must be at most %d", l.AfterPackets, uint64(RekeyAfterMessages))
	}
	return nil
}

// Settings are what a peer's owner may choose.
type Settings struct {
	Limits    Limits        // limits that don't pass Check count as the protocol's own
	Keepalive time.Duration // persistent keepalive interval; zero or less: off
}

// Actions are what the caller of a Machine has to do now, under the peer's lock.
type Actions uint16

// The actions. They are best done in the order that they have here.
const (
	// EraseHandshake: erase the initiation that waits for its response, if there is one.
	EraseHandshake Actions = 1 << iota
	// DropStaged: drop the packets that wait for a session.
	DropStaged
	// ClearSource: forget from which local address the peer was reached; it may be the cause of the silence.
	ClearSource
	// SendInitiation: send an initiation with a new ephemeral (erasing one that waits) and call InitiationSent. If it can't be
	// sent, let it be: the machine asks again after RekeyTimeout.
	SendInitiation
	// SendStaged: send the packets that wait, on Sending.
	SendStaged
	// SendKeepalive: send an empty message on Sending. Together with SendStaged: only if nothing was staged.
	SendKeepalive
)

var actionNames = [...]string{"EraseHandshake", "DropStaged", "ClearSource", "SendInitiation", "SendStaged", "SendKeepalive"}

// String returns the names of the actions with a | between, for tests and debugging.
func (a Actions) String() string {
	s := ""
	for i, name := range actionNames {
		if a&(1<<i) == 0 {
			continue
		}
		if s != "" {
			s += "|"
		}
		s += name
	}
	if s == "" {
		return "nothing"
	}
	return s
}

// Result is what follows from an event.
type Result struct {
	Actions  Actions
	Deadline time.Duration // when Poll must be called, if not earlier for another reason; zero: not at all
	Retired  []*Keypair    // pairs that have ended, to be taken out of the index table; the slice is the caller's
}

// End is why a session ended.
type End uint8

// The ends of a session. The zero End means that it has not ended.
const (
	_             End = iota
	Replaced          // a newer session took its place, and its time for receiving is over
	Expired           // RejectAfterTime has passed
	Displaced         // a newer handshake took its place before it was confirmed
	PeerRemoved       // the peer was removed
	Down              // the device went down
	KeyChanged        // a private or preshared key changed
	Suspended         // the machine was about to sleep
	HandshakeLost     // the handshake message that leads to it could not be sent
)

var endNames = [...]string{
	"not ended", "replaced", "expired", "displaced", "peer removed", "device down", "key changed", "suspended", "handshake lost",
}

func (e End) String() string {
	if int(e) < len(endNames) {
		return endNames[e]
	}
	return fmt.Sprintf("End(%d)", uint8(e))
}
