package tunnel

import "sync/atomic"

// A Reason says why a packet or a message went no further. Every drop has one.
type Reason uint8

// Reasons on the way out come first, then those of handshakes, then those on the way in.
const (
	// NotIP: the device handed out bytes that are no whole IPv4 or IPv6 packet.
	NotIP Reason = iota
	// NoPeer: no peer's AllowedIPs cover the destination.
	NoPeer
	// NoEndpoint: the peer is known, where it is isn't.
	NoEndpoint
	// StagingFull: more packets waited for a session than may wait; the oldest went.
	StagingFull
	// NoAnswer: packets waited for a session that did not come within RekeyAttemptTime.
	NoAnswer
	// NoSession: packets waited for a session when the peer was removed, the link went down or the key changed.
	NoSession
	// RoutingLoop: the packet is a message of ours, or one nested too often.
	RoutingLoop
	// SendFailed: the kernel refused the message.
	SendFailed
	// LinkDown: there is no socket to send from.
	LinkDown

	// NotAMessage: the type or the length is none of the protocol's.
	NotAMessage
	// BadMAC1: whoever sent the handshake message has another public key for us.
	BadMAC1
	// CookieDemanded: a handshake message under load, answered with a cookie.
	CookieDemanded
	// RateLimited: one source sent too many handshake messages under load.
	RateLimited
	// HandshakeQueueFull: handshake messages came faster than they could be worked on.
	HandshakeQueueFull
	// BadHandshake: a handshake message failed authentication; a response also does with another preshared key.
	BadHandshake
	// UnknownPeer: an initiation of a static key that is not configured here.
	UnknownPeer
	// ReplayedInitiation: the initiation's timestamp is not newer than the last one's.
	ReplayedInitiation
	// InitiationFlood: initiations of one peer came within 20 ms of each other.
	InitiationFlood
	// BadCookieReply: a cookie reply that nobody asked for, or that failed authentication.
	BadCookieReply
	// NoPrivateKey: a handshake message arrived before the interface had a key.
	NoPrivateKey

	// UnknownIndex: no session or handshake here has the receiver index.
	UnknownIndex
	// KeyExpired: the session is over.
	KeyExpired
	// BadTag: a data message failed authentication.
	BadTag
	// ReplayedCounter: the counter was seen before, or is behind the window.
	ReplayedCounter
	// BadInnerPacket: the decrypted bytes are no whole IP packet.
	BadInnerPacket
	// SourceNotAllowed: the inner source belongs to another peer, or to none.
	SourceNotAllowed
	// Congested: the outer packet was marked CE and the inner one can't carry the mark (RFC 6040).
	Congested
	// DeviceRefused: the device did not take the packet.
	DeviceRefused
	// OutOfMemory: there was no memory for the session's keys.
	OutOfMemory

	reasons
)

var reasonNames = [reasons]string{
	NotIP: "not_ip", NoPeer: "no_peer", NoEndpoint: "no_endpoint", StagingFull: "staging_full", NoAnswer: "no_answer", NoSession: "no_session",
	RoutingLoop: "routing_loop", SendFailed: "send_failed", LinkDown: "link_down",
	NotAMessage: "not_a_message", BadMAC1: "bad_mac1", CookieDemanded: "cookie_demanded", RateLimited: "rate_limited",
	HandshakeQueueFull: "handshake_queue_full", BadHandshake: "bad_handshake", UnknownPeer: "unknown_peer",
	ReplayedInitiation: "replayed_initiation", InitiationFlood: "initiation_flood", BadCookieReply: "bad_cookie_reply", NoPrivateKey: "no_private_key",
	UnknownIndex: "unknown_index", KeyExpired: "key_expired", BadTag: "bad_tag", ReplayedCounter: "replayed_counter",
	BadInnerPacket: "bad_inner_packet", SourceNotAllowed: "source_not_allowed", Congested: "congested", DeviceRefused: "device_refused",
	OutOfMemory: "out_of_memory",
}

// String gives the name used in status output and metrics.
func (r Reason) String() string { return reasonNames[r] }

// Reasons lists all there are.
func Reasons() (all []Reason) {
	for r := range reasons {
		all = append(all, r)
	}
	return all
}

// Drops counts what was dropped, by reason.
type Drops [reasons]uint64

// dropCounters is the live form of Drops, with the reading of recently at the last of each.
type dropCounters struct {
	counts [reasons]atomic.Uint64
	last   [reasons]atomic.Int64
}

func (c *dropCounters) read() (d Drops) {
	for i := range c.counts {
		d[i] = c.counts[i].Load()
	}
	return d
}

// add counts n packets or messages that were dropped at some time.
func (c *dropCounters) add(why Reason, n int, at int64) {
	c.counts[why].Add(uint64(n))
	if c.last[why].Load() != at {
		c.last[why].Store(at)
	}
}

// drop counts n packets or messages for the interface and, where it is known, for the peer.
func (t *Tunnel) drop(p *Peer, why Reason, n int) {
	if n == 0 {
		return
	}
	at := t.recently.at.Load()
	t.drops.add(why, n, at)
	if p == nil {
		return
	}
	c := p.drops.Load()
	if c == nil { // most peers never drop anything
		p.drops.CompareAndSwap(nil, new(dropCounters))
		c = p.drops.Load()
	}
	c.add(why, n, at)
}
