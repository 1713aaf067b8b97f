package rekey

import "time"

// Initiated is told, after InitiationReceived, that the response to this side's initiation was consumed: k is the current
// session at once.
func (m *Machine) Initiated(k *Keypair, now time.Duration) Result {
	if !m.up {
		return m.refuse(k, now)
	}
	a, r := m.confirm(nil, now)
	m.limits.arm(k)
	p := m.others()
	// "Every time a new secure session is created, the existing one rotates into the 'previous' slot, and the new one occupies
	// the 'current' slot". 6.3
	if next := p.next; next != nil {
		// Both sides initiated at once, and the other one may have its response already: then it sends on next for as long as
		// that lasts. Nothing but its first message could tell, so next takes the previous place and stays armed.
		r = p.push(r, m.current.Load(), now)
		r = p.push(r, p.previous, now)
		p.next, p.previous = nil, next
	} else {
		r = m.retreat(r, now)
	}
	m.current.Store(k)
	m.wanted, m.pending = 0, false
	// The initiator's first message is what lets the responder send (6.3): it goes at once.
	return m.result(a&^EraseHandshake|SendStaged|SendKeepalive, r)
}

// Responded is told, after InitiationReceived, that a response was sent: k receives, and becomes current with its first message.
// For RekeyTimeout after it no initiation is sent: the other side is at it.
func (m *Machine) Responded(k *Keypair, now time.Duration) Result {
	if !m.up {
		return m.refuse(k, now)
	}
	a, r := m.confirm(nil, now)
	m.limits.arm(k)
	p := m.others()
	// "[...] for the responder, the 'next' slot is used interstitially until the handshake is confirmed." 6.3
	if p.next != nil {
		r = end(r, p.next, Displaced, now)
	}
	p.next = k
	m.floor = max(m.floor, now+RekeyTimeout)
	m.passed(now)
	// The initiator may have been faster than the one who sent the response.
	b, r := m.confirm(r, now)
	return m.result(a|b, r)
}

// refuse ends a session that came too late, so that a removed peer does not come back.
func (m *Machine) refuse(k *Keypair, now time.Duration) Result {
	return m.result(0, end(nil, k, Down, now))
}

// confirm makes next the current session if something was received on it.
func (m *Machine) confirm(r []*Keypair, now time.Duration) (Actions, []*Keypair) {
	p := m.rest
	if p == nil || p.next == nil || !p.next.confirmed.Load() {
		return 0, r
	}
	// "[...] the responder cannot send transport data messages (section 5.4.6) until it has received the first transport data
	// message from the initiator." 6.3
	r = m.retreat(r, now)
	m.current.Store(p.next)
	p.next = nil
	a := SendStaged
	if m.pending {
		// This side's own initiation has lost the race, and would only lead to one more session.
		a |= EraseHandshake
	}
	m.wanted, m.pending = 0, false
	return a, r
}

// retreat moves the current session to the previous place, where it receives what is in flight.
func (m *Machine) retreat(r []*Keypair, now time.Duration) []*Keypair {
	k := m.current.Load()
	if k == nil {
		return r
	}
	p := m.rest
	k.disarm()
	r = p.push(r, p.previous, now)
	p.previous = k
	return r
}

// push gives a pair that lost its place DisplacedTime for receiving, at the cost of the one that has had most of that time.
func (p *pairs) push(r []*Keypair, k *Keypair, now time.Duration) []*Keypair {
	if k == nil {
		return r
	}
	k.disarm()
	place := &p.displaced[0]
	if other := &p.displaced[1]; place.Keypair != nil && (other.Keypair == nil || other.until < place.until) {
		place = other
	}
	r = end(r, place.Keypair, Replaced, now)
	*place = displaced{k, now + DisplacedTime}
	return r
}

// expire ends the sessions whose time is over.
func (m *Machine) expire(now time.Duration) (r []*Keypair) {
	// The paper zeroes all keys after (Reject-After-Time × 3) seconds (6.3). They are of no use after Reject-After-Time.
	if k := m.current.Load(); k != nil && k.expired(now) {
		m.wanted = max(m.wanted, time.Duration(k.asked.Load()))
		m.current.Store(nil)
		r = end(r, k, Expired, now)
	}
	p := m.rest
	if p == nil {
		return r
	}
	for _, place := range [...]**Keypair{&p.next, &p.previous, &p.displaced[0].Keypair, &p.displaced[1].Keypair} {
		if k := *place; k != nil && k.expired(now) {
			r = end(r, k, Expired, now)
			*place = nil
		}
	}
	for i := range p.displaced {
		if d := &p.displaced[i]; d.Keypair != nil && now >= d.until {
			r = end(r, d.Keypair, Replaced, now)
			*d = displaced{}
		}
	}
	if p.all() == [4]*Keypair{} {
		m.rest = nil
	}
	return r
}

// all returns the pair of each place, or nil.
func (p *pairs) all() [4]*Keypair {
	return [4]*Keypair{p.next, p.previous, p.displaced[0].Keypair, p.displaced[1].Keypair}
}

// others returns where the sessions are kept that only receive.
func (m *Machine) others() *pairs {
	if m.rest == nil {
		m.rest = new(pairs)
	}
	return m.rest
}

// end retires k, if there is one, and adds it to r.
func end(r []*Keypair, k *Keypair, why End, now time.Duration) []*Keypair {
	if k == nil {
		return r
	}
	k.Retire(why, now)
	return append(r, k)
}
