package sim

import (
	"hash/maphash"
	"net/netip"
	"slices"

	"vpn/noise/cookie"
	"vpn/noise/key"
	"vpn/noise/wire"
)

// What is in this file knows a message again, whose it was, and whether it still means something to whom it comes to.

// essence is what a message is known by: its length, and two hashes of it. A mac2 is looked at only by who demands cookies; another one makes no other message.
type essence struct {
	length        int
	first, second uint64
}

var essenceSeeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

func essenceOf(b []byte) essence {
	length := len(b)
	if kind, ok := wire.Classify(b); ok && (kind == wire.TypeInitiation || kind == wire.TypeResponse) {
		b = b[:len(b)-macLen]
	}
	return essence{length, maphash.Bytes(essenceSeeds[0], b), maphash.Bytes(essenceSeeds[1], b)}
}

// macLen is the length of a mac1 or a mac2.
const macLen = 16

// sentFrom is where the sender of a datagram is now seen by whom it is for; the zero value if no node has sent it.
func (r *referee) sentFrom(d datagram) netip.AddrPort {
	l := r.letters[essenceOf(d.data)]
	if l == nil {
		return netip.AddrPort{}
	}
	return r.w.nodes[l.from].source(d.to)
}

// arrive is told of what a node is about to get. It returns, for each datagram, the letter if that is a message of another node for this one,
// as it was sent, which this one has not taken yet; else nil.
func (r *referee) arrive(n *node, in arrival) (letters []*letter) {
	for _, d := range in {
		letters = append(letters, r.arrives(n, d))
	}
	return letters
}

func (r *referee) arrives(n *node, d datagram) *letter {
	l := r.letters[essenceOf(d.data)]
	if l == nil || l.from == n.number {
		return nil
	}
	switch kind, _ := wire.Classify(d.data); kind {
	case wire.TypeInitiation: // one that was not answered, as in a flood, may be answered when it comes again
		if r.meantFor(d.data, n.public) && l.number > r.answered[call{n.number, l.static}] {
			return l
		}
	case wire.TypeResponse: // one that could not be read, for want of the right preshared key, may be read when it comes again
		if s := r.answers(n, d.data); s != nil && l.seen>>n.number&1 == 0 {
			return l
		}
	case wire.TypeData:
		if l.seen>>n.number&1 != 0 {
			return nil
		}
		l.seen |= 1 << n.number
		s := r.sessions[half{l.from, wire.DataReceiver(d.data)}]
		if s == nil || n.number != s.initiator && n.number != s.responder {
			return nil
		}
		if n.number == s.responder {
			s.confirmed = true
		}
		return l
	}
	return nil
}

// anyOf reports whether a letter is among what has arrived.
func anyOf(letters []*letter) bool {
	return slices.ContainsFunc(letters, func(l *letter) bool { return l != nil })
}

// answers is the session that a response would make of an initiation of a node, or nil.
func (r *referee) answers(n *node, response []byte) *session {
	m := wire.AsResponse(response)
	s := r.sessions[half{n.number, m.Sender()}]
	if s == nil || s.initiator != n.number || s.x != m.Receiver() {
		return nil
	}
	return s
}

// meantFor reports whether a handshake message is for the owner of a public key.
func (r *referee) meantFor(m []byte, public key.Public) bool {
	c := r.checkers[public]
	if c == nil {
		c = cookie.NewChecker(public)
		r.checkers[public] = c
	}
	return c.CheckMAC1(m)
}
