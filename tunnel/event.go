package tunnel

import (
	"net/netip"
	"time"

	"vpn/noise/key"
	"vpn/rekey"
)

// EventKind says what happened.
type EventKind uint8

// What happens to one peer's handshakes and sessions. An observer is told of these as far as SessionEnded, and of AttemptGivenUp,
// InitiationUnanswered and EndpointMoved; of the others nobody but who asks or follows.
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

	// InitiationReceived: an authentic initiation came; it is answered.
	InitiationReceived
	// ResponseReceived: the other side has answered our initiation.
	ResponseReceived
	// CookieReceived: the other side is under load and wants our next initiation to prove where it comes from.
	CookieReceived
	// HandshakeFailed: a handshake with this peer went no further, for Reason.
	HandshakeFailed
	// SourceRefused: a packet of this peer has a source, Address, that is not the peer's; it is Owner's, if anybody's.
	SourceRefused
	// PathRefused: a router or host, From, sent an ICMP error for a message to the peer, or the kernel knows no way.
	PathRefused

	// What happens to the interface, with nobody who can be named as the cause.

	// StrangerRefused: a handshake message from From went no further, for Reason. With UnknownPeer its sender is Peer.
	StrangerRefused
	// NobodyAt: no peer's AllowedIPs cover Address, to which From wanted to send.
	NobodyAt
	// UnderLoad: handshake messages come faster than they are worked on: cookies are demanded from now on.
	UnderLoad

	eventKinds
)

var eventNames = [eventKinds]string{
	"unknown", "initiation sent", "response sent", "session started", "session ended", "attempt given up", "initiation unanswered",
	"endpoint moved", "initiation received", "response received", "cookie received", "handshake failed", "source refused", "path refused",
	"stranger refused", "nobody at", "under load",
}

// String gives the kind in words.
func (k EventKind) String() string {
	if k < eventKinds {
		return eventNames[k]
	}
	return eventNames[0]
}

// An Event is something that happened to one peer's handshakes or sessions, or to the interface. The session's name is random and tells
// nothing about its keys. Fields that mean nothing for a kind are zero.
type Event struct {
	Kind     EventKind
	Time     time.Time
	Peer     key.Public     // zero: the interface's
	Endpoint netip.AddrPort // where the peer is; the zero value where that is not known
	Session  string         // SessionStarted, SessionEnded, ResponseSent, ResponseReceived
	Role     rekey.Role     // of this side, where there is a session
	Why      rekey.End      // SessionEnded
	Tries    int            // initiations in a row that had no answer: InitiationSent, InitiationUnanswered, AttemptGivenUp

	Sent, Received uint64 // messages of the session so far

	// First is when this happened for the first time, and Times how often: what comes again and again is kept once. They are the
	// event's own time and 1 for a follower, who is told of each.
	First time.Time
	Times int

	Reason Reason // HandshakeFailed, StrangerRefused

	Detail
}

// Detail is what only some events have.
type Detail struct {
	To      netip.AddrPort // PathRefused: where the message was to go
	From    netip.AddrPort // who sent it; without a port for PathRefused, where it is who sent the ICMP error, and for NobodyAt
	Address netip.Addr     // SourceRefused, NobodyAt
	Owner   key.Public     // SourceRefused; zero: nobody's

	// With ReplayedInitiation: the initiation's timestamp, and the newest one that was accepted. The other clock is behind if the first
	// is the earlier one by more than the network delays.
	Timestamp, Newest time.Time

	Refusal Refusal // PathRefused
}

// Refusal is what an ICMP error says, or the kernel itself where ICMP is zero.
type Refusal struct {
	Errno uint16 // as the system numbers it
	ICMP  uint8  // 4 or 6: the version; 0: the kernel found no way
	Type  uint8
	Code  uint8
	MTU   uint32 // of the hop that could not take it
}

// observe keeps what happened to the peer and tells the observer. It is called with the peer locked, so the observer must neither block
// nor call back.
func (p *Peer) observe(kind EventKind, k *rekey.Keypair) {
	e := p.note(kind, k, 0, nil)
	if p.tunnel.observer != nil {
		p.tunnel.observer(e)
	}
}

// note is observe for what the observer is not told of. The caller holds p.mu.
func (p *Peer) note(kind EventKind, k *rekey.Keypair, why Reason, d *Detail) Event {
	t := p.tunnel
	t.tally.happened[kind].Add(1)
	r := record{kind: kind, at: t.clock.Wall().UnixNano(), times: 1, reason: why, detail: d}
	if x := p.path.Load(); x != nil {
		r.endpoint = x.Addr
	}
	if p.talk != nil {
		r.tries = uint32(p.talk.tries)
	}
	if k != nil {
		r.session, r.role = k.ID(), k.Role()
		r.sent, r.received = k.SentPackets(), k.ReceivedPackets()
		if r.why, _ = k.Ended(); kind == SessionEnded {
			t.tally.ended[r.why].Add(1)
		}
	}
	r.first = r.at
	e := r.event(p.public())
	t.followers.tell(&e)
	if p.talk != nil && kind != InitiationUnanswered { // which the next InitiationSent tells as well
		p.talk.events.add(&r, maxPeerEvents)
	}
	return e
}

// fail notes that a handshake with the peer has failed, and counts it. The caller holds p.mu.
func (p *Peer) fail(why Reason, from netip.AddrPort) {
	p.tunnel.drop(p, why, 1)
	p.note(HandshakeFailed, nil, why, &Detail{From: from})
}
