package web

import (
	"time"

	"vpn/cmd/internal/report"
	"vpn/noise/key"
)

// Session is one session of a peer, from its birth to its end.
type Session struct {
	Name     string    `json:"name,omitempty"` // none: a foreign interface told of a handshake, and of nothing else
	Role     string    `json:"role,omitempty"`
	Born     time.Time `json:"born"`
	Ended    time.Time `json:"ended,omitzero"` // zero: it is alive
	Why      string    `json:"why,omitempty"`  // as report.Event has it
	Sent     uint64    `json:"sent_messages"`
	Received uint64    `json:"received_messages"`
	Place    string    `json:"place,omitempty"` // while it is alive, as report.Session has it

	peer key.Public
}

// chain is the last sessions of all peers of an interface, a ring.
type chain struct {
	all  []Session
	next int             // where the next one goes once it is full
	at   map[session]int // where each is
}

// session names one. A foreign interface's have no name: the last one of the peer is meant.
type session struct {
	peer key.Public
	name string
}

// find returns a session of a peer, nil if it isn't known.
func (c *chain) find(peer key.Public, name string) *Session {
	if n, ok := c.at[session{peer, name}]; ok {
		return &c.all[n]
	}
	return nil
}

// add returns the place of s.
func (c *chain) add(s Session) *Session {
	if c.at == nil {
		c.at = make(map[session]int)
	}
	n := len(c.all)
	if n < maxSessions {
		c.all = append(c.all, s)
	} else {
		n, c.next = c.next, (c.next+1)%maxSessions
		if old := (session{c.all[n].peer, c.all[n].Name}); c.at[old] == n {
			delete(c.at, old)
		}
		c.all[n] = s
	}
	c.at[session{s.peer, s.Name}] = n
	return &c.all[n]
}

// happened takes note of an event, the same one any number of times.
func (c *chain) happened(e *report.Event) {
	if e.Session == "" || e.Kind != "session_started" && e.Kind != "session_ended" {
		return
	}
	s := c.find(e.Peer, e.Session)
	switch {
	case s == nil && e.Kind == "session_started":
		c.add(Session{Name: e.Session, Role: e.Role, Born: e.Time, peer: e.Peer})
	case s != nil && e.Kind == "session_ended" && s.Ended.IsZero():
		s.Ended, s.Why, s.Place, s.Sent, s.Received = e.Time, e.Why, "", e.SentMessages, e.ReceivedMessages
	}
}

// alive takes note of what a peer has now.
func (c *chain) alive(p *report.Peer) {
	for n := range p.Sessions {
		now := &p.Sessions[n]
		s := c.find(p.PublicKey, now.Name)
		if s == nil {
			s = c.add(Session{Name: now.Name, peer: p.PublicKey})
		}
		s.Role, s.Place, s.Born, s.Sent, s.Received = now.Role, now.Place, now.Born, now.SentMessages, now.ReceivedMessages
	}
}

// foreignLife is how long a session can last that nobody has told the end of.
const foreignLife = 3 * time.Minute

// shook takes note of a handshake of a foreign interface, which ends what was before it.
func (c *chain) shook(peer key.Public, at time.Time) {
	if s := c.find(peer, ""); s != nil && at.Before(s.Ended) {
		s.Ended = at
	}
	c.add(Session{Born: at, Ended: at.Add(foreignLife), peer: peer})
}

// lost ends the sessions of an interface whose engine has ended: nobody has told of it.
func (c *chain) lost(at time.Time) {
	for n := range c.all {
		if s := &c.all[n]; s.Ended.IsZero() && s.Born.Before(at) {
			s.Ended, s.Why, s.Place = at, "engine_ended", ""
		}
	}
}

// of returns the sessions of a peer that lived after a time, in the order of their birth.
func (c *chain) of(peer key.Public, after time.Time) []Session {
	mine := []Session{}
	for n := range c.all {
		s := &c.all[(c.next+n)%len(c.all)]
		if s.peer == peer && (s.Ended.IsZero() || s.Ended.After(after)) {
			mine = append(mine, *s)
		}
	}
	return mine
}
