package tunnel

import (
	"net/netip"
	"time"

	"vpn/noise/key"
	"vpn/rekey"
)

// EventKind says what happened to a peer's handshakes and sessions.
type EventKind uint8

const (
	// InitiationSent: this side asked for a new session.
	InitiationSent EventKind = iota + 1
	// ResponseSent: this side answered an initiation; the session waits for the initiator's first data.
	ResponseSent
	// SessionStarted: packets are now sealed with a new session's key.
	SessionStarted
	// SessionEnded: a session's keys can be used no more and are erased as soon as the last packet in work lets go of them.
	SessionEnded
	// AttemptGivenUp: no answer within RekeyAttemptTime; packets that waited are dropped.
	AttemptGivenUp
	// InitiationUnanswered: an initiation has had its time, and the next one is on its way.
	InitiationUnanswered
	// EndpointMoved: the peer's messages go to another address from now on. Nothing tells of the endpoint that a new peer is given.
	EndpointMoved
)

// String gives the kind in words.
func (k EventKind) String() string {
	switch k {
	case InitiationSent:
		return "initiation sent"
	case ResponseSent:
		return "response sent"
	case SessionStarted:
		return "session started"
	case SessionEnded:
		return "session ended"
	case AttemptGivenUp:
		return "attempt given up"
	case InitiationUnanswered:
		return "initiation unanswered"
	case EndpointMoved:
		return "endpoint moved"
	}
	return "unknown"
}

// An Event is something that happened to one peer's handshakes or sessions. The session's name is random and tells nothing about its
// keys.
type Event struct {
	Kind     EventKind
	Time     time.Time
	Peer     key.Public
	Endpoint netip.AddrPort // where the peer is; the zero value where that is not known
	Session  string         // SessionStarted, SessionEnded
	Role     rekey.Role     // of this side, SessionStarted and SessionEnded
	Why      rekey.End      // SessionEnded
	Tries    int            // initiations in a row that had no answer: InitiationUnanswered, AttemptGivenUp

	Sent, Received uint64 // messages of the session so far
}

// observe tells the observer. It is called with the peer locked, so the observer must neither block nor call back.
func (p *Peer) observe(kind EventKind, k *rekey.Keypair) {
	t := p.tunnel
	if t.observer == nil {
		return
	}
	e := Event{Kind: kind, Time: t.clock.Wall(), Peer: p.public()}
	if x := p.path.Load(); x != nil {
		e.Endpoint = x.Addr
	}
	if p.talk != nil {
		e.Tries = p.talk.tries
	}
	if k != nil {
		e.Session, e.Role = k.Name(), k.Role()
		e.Sent, e.Received = k.SentPackets(), k.ReceivedPackets()
		e.Why, _ = k.Ended()
	}
	t.observer(e)
}
