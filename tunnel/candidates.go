package tunnel

import (
	"net/netip"
	"slices"
	"time"

	"vpn/tunnel/udp"
)

// maxCandidates is how many of a peer's candidates count.
const maxCandidates = 32

// candidates are addresses at which a peer may be, besides its endpoint: what its names resolve to. The first initiation of an attempt goes to
// all of them, one and the same; the peer answers the copy that comes first and drops the others as replays. Retries go to one after another,
// because a peer whose answer is lost on its way would always answer the same copy. An authenticated answer makes its source the endpoint, as
// ever. Guarded by Peer.mu.
type candidates struct {
	addrs   []netip.AddrPort
	next    int  // where the next retry goes, of destinations' list
	tried   bool // an initiation has gone to all, in this attempt
	doubted bool // the session's endpoint is silent
}

// setCandidates takes the place of the candidates before. A peer without an endpoint gets the first one. The caller holds p.mu.
func (p *Peer) setCandidates(addrs []netip.AddrPort) {
	if len(addrs) == 0 {
		if p.talk != nil {
			p.talk.candidates = nil
		}
		return
	}
	var list []netip.AddrPort
	for _, a := range addrs {
		if a = unmap(a); len(list) < maxCandidates && !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	if c := p.talking().candidates; c == nil || !slices.Equal(c.addrs, list) {
		p.talk.candidates = &candidates{addrs: list, doubted: c != nil && c.doubted}
	}
	p.path.CompareAndSwap(nil, &path{Endpoint: udp.Endpoint{Addr: list[0]}, origin: Candidate})
}

// isCandidate reports whether the peer may be there, as far as was configured. The caller holds p.mu.
func (p *Peer) isCandidate(at netip.AddrPort) bool {
	return p.talk != nil && p.talk.candidates != nil && slices.Contains(p.talk.candidates.addrs, at)
}

// destinations is where the next initiation goes: to the endpoint alone when that only replaces a session; else to all candidates once, then
// to one after another. Each peer with a cookie in hand is asked alone: the cookie is good for the one that gave it. The caller holds p.mu.
func (p *Peer) destinations(x *path, now time.Duration) []udp.Endpoint {
	c := p.talk.candidates
	if c == nil || p.machine.Current() != nil && !c.doubted && p.talk.tries == 0 {
		return []udp.Endpoint{x.Endpoint}
	}
	all := c.list(x)
	if !c.tried && !p.talk.cookies.HasCookie(now) {
		c.tried = true
		return all
	}
	c.tried = true
	c.next %= len(all)
	one := all[c.next : c.next+1]
	c.next++
	return one
}

// list is the endpoint and then every candidate that is another.
func (c *candidates) list(x *path) []udp.Endpoint {
	all := []udp.Endpoint{x.Endpoint}
	for _, a := range c.addrs {
		if a != x.Addr {
			all = append(all, udp.Endpoint{Addr: a})
		}
	}
	return all
}

// cookieFrom sends the next initiation to where a cookie came from. The caller holds p.mu.
func (p *Peer) cookieFrom(at netip.AddrPort) {
	c, x := p.talk.candidates, p.path.Load()
	if c == nil || x == nil {
		return
	}
	if i := slices.IndexFunc(c.list(x), func(e udp.Endpoint) bool { return e.Addr == at }); i >= 0 {
		c.next = i
	}
}

// doubt is called when the peer is silent where it was last. The caller holds p.mu.
func (p *Peer) doubt() {
	if p.talk != nil && p.talk.candidates != nil {
		p.talk.candidates.doubted = true
	}
}

// startOver makes the next initiation the first of an attempt. The caller holds p.mu.
func (p *Peer) startOver() {
	if p.talk == nil {
		return
	}
	p.talk.tries = 0
	if c := p.talk.candidates; c != nil {
		c.next, c.tried, c.doubted = 0, false, false
	}
}

// giveUp ends an attempt without an answer. The caller holds p.mu.
func (p *Peer) giveUp() {
	if p.talk != nil {
		p.talk.tries++ // the last one
	}
	p.observe(AttemptGivenUp, nil)
	p.startOver()
}
