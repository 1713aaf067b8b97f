package rekey

import "time"

// A responder that is bound by lowered limits lets the initiator go first: it waits this long after the limit, plus up to
// RekeyTimeoutJitterMax, or for an eighth more packets, plus up to another eighth.
const responderDelay = RekeyTimeout

// Limits below these count as these.
const (
	minAfterTime    = RekeyTimeout
	minAfterPackets = 2
)

// receiveAge is how old a session is when receiving makes its initiator replace it, if limits are not lowered.
const receiveAge = RejectAfterTime - KeepaliveTimeout - RekeyTimeout

// arm makes traffic on k ask for a new session at the limits.
func (l Limits) arm(k *Keypair) {
	if l.Check() != nil {
		l = Limits{}
	}
	lowTime := l.AfterTime != 0 && l.AfterTime < RekeyAfterTime
	lowPackets := l.AfterPackets != 0 && l.AfterPackets < RekeyAfterMessages
	// The message that confirms a session must not ask for the next one, or an idle pair would shake hands for ever.
	l.AfterTime, l.AfterPackets = max(l.AfterTime, minAfterTime), max(l.AfterPackets, minAfterPackets)

	// "WireGuard will try to create a new session [...] after it has sent Rekey-After-Messages transport data messages". 6.2
	// This binds both sides.
	packets := uint64(RekeyAfterMessages)
	if lowPackets {
		packets = l.AfterPackets
	}
	send, receive := time.Duration(never), time.Duration(never)
	switch {
	case k.role == Responder:
		// "[...] if the peer is the initiator of a current secure session". 6.2
		// By time the responder is bound by lowered limits only.
		if lowTime {
			send = k.born + l.AfterTime + responderDelay + k.jitter()
			receive = send
		}
		if lowPackets {
			packets += packets/8 + k.id%(packets/8+1)
		}
	case lowTime:
		send = k.born + l.AfterTime
		receive = send
	default:
		// "[...] if after transmitting a transport data message, the current secure session is Rekey-After-Time seconds old". 6.2
		send = k.born + RekeyAfterTime
		// "[...] or if after receiving a transport data message, the current secure session is (Reject-After-Time −
		// Keepalive-Timeout − Rekey-Timeout) seconds old". 6.2
		receive = k.born + receiveAge
	}
	k.sendRekeyAt.Store(int64(send))
	k.receiveRekeyAt.Store(int64(receive))
	k.rekeyPackets.Store(packets)
}

// jitter is the pair's own, so that it is the same whenever limits are looked at.
func (k *Keypair) jitter() time.Duration {
	return time.Duration(k.id>>32) % (RekeyTimeoutJitterMax + 1)
}
