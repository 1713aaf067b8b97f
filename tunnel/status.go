package tunnel

import (
	"iter"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"vpn/noise/key"
	"vpn/rekey"
	"vpn/tunnel/udp"
)

// Status is how the interface is, without its peers.
type Status struct {
	Now       time.Time
	Since     time.Time // when the Tunnel was made
	PublicKey key.Public
	Port      uint16
	Mark      uint32
	Limits    rekey.Limits
	MTU       int
	LinkUp    bool
	Listening bool // there are sockets
	Asleep    bool // between Suspend and Resume
	UnderLoad bool
	Peers     int

	HandshakesWaiting int // messages and initiations
	StagedBytes       int64
	Sockets           udp.Counters
	Drops             []Dropped
	Tally             Tally
	Events            []Event // that no peer can be named for, oldest first
}

// Dropped counts what was dropped for one reason, and says when last, to about a tenth of a second.
type Dropped struct {
	Reason Reason
	Count  uint64
	Last   time.Time
}

// PeerStatus is how a peer is.
type PeerStatus struct {
	PublicKey     key.Public
	HasPreshared  bool
	Endpoint      udp.Endpoint // no Addr: nobody knows where it is
	Origin        Origin       // of Endpoint
	Candidates    []netip.AddrPort
	AllowedIPs    []netip.Prefix // as they are stored; not to be changed
	Keepalive     uint16         // seconds
	LastHandshake time.Time
	Rx, Tx        uint64 // bytes

	Sessions []Session
	Rekeys   uint64 // sessions that took the place of one that could still be used

	Wanted         bool      // a handshake is
	Unanswered     int       // initiations in a row
	NextInitiation time.Time // not before then
	HasCookie      bool

	SilentSince  time.Time // when the first initiation went out that nobody has answered
	UnheardSince time.Time // when the first data went out that nothing has come back for

	Staged int // packets
	Drops  []Dropped
	Events []Event // the last that were asked for, oldest first
}

// Session is a session that is alive.
type Session struct {
	Name           string
	Place          Place
	Role           rekey.Role
	Confirmed      bool
	Born           time.Time
	ReplacedAt     time.Time // by this side, when it sends something then; zero: it is for the other side to do
	Expires        time.Time
	Sent, Received uint64 // messages
}

// Place is what a session is used for.
type Place uint8

// The places.
const (
	Current   Place = iota // sends and receives
	Next                   // waits for the initiator's first message
	Previous               // receives only
	Displaced              // receives what is in flight, for a few seconds
)

// Origin is how an endpoint came to be known.
type Origin uint8

// The origins.
const (
	Configured Origin = iota // by Set
	Candidate                // one of several, by Set
	Roamed                   // an authentic message came from there
)

// times turns readings of the tunnel's clock into times of day.
type times struct {
	now  time.Duration
	wall time.Time
}

func (x times) of(at time.Duration) time.Time {
	if at == 0 {
		return time.Time{}
	}
	return x.wall.Add(at - x.now)
}

func (t *Tunnel) times() times { return times{t.clock.Now(), t.clock.Wall()} }

// Status returns how the interface is. It takes about as long as a Set waits for: it locks what that locks.
func (t *Tunnel) Status() Status {
	x := t.times()
	t.config.mu.Lock()
	s := Status{
		Port: t.config.port, Mark: t.config.mark, Limits: t.config.limits, LinkUp: t.config.linkUp, Asleep: t.config.asleep,
	}
	t.config.mu.Unlock()
	s.Now, s.Since = x.wall, x.of(t.started)
	if id := t.identity.Load(); id != nil {
		s.PublicKey = id.local.Public()
	}
	if sockets := t.sockets.Load(); sockets != nil {
		s.Listening, s.Sockets = true, sockets.Counters()
	}
	s.MTU, s.Peers = t.mtu(), t.peers.len()
	s.HandshakesWaiting, s.UnderLoad = t.handshakes.load(x.now)
	s.StagedBytes = t.stagedBytes.Load()
	s.Drops, s.Events, s.Tally = t.drops.list(x), t.strangers.events(), t.tally.read()
	return s
}

// Peers yields how each peer is, in the order they were added, with the last events of each. With active it passes over those that have
// not talked since they were added. It locks one peer at a time and nothing while it yields; what it yields is the caller's.
func (t *Tunnel) Peers(active bool, events int) iter.Seq[PeerStatus] {
	return func(yield func(PeerStatus) bool) {
		for _, p := range t.peers.all() {
			if s, ok := p.status(t.times(), active, events); ok && !yield(s) {
				return
			}
		}
	}
}

// PeerStatus returns how one peer is. It reports false if there is none with that key.
func (t *Tunnel) PeerStatus(public key.Public, events int) (s PeerStatus, ok bool) {
	p := t.peers.get(public)
	if p == nil {
		return s, false
	}
	return p.status(t.times(), false, events)
}

func (p *Peer) status(x times, active bool, events int) (s PeerStatus, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.removed || active && p.talk == nil {
		return s, false
	}
	preshared := p.remote.Preshared()
	s = PeerStatus{
		PublicKey: p.public(), HasPreshared: !preshared.IsZero(), Keepalive: p.keepalive, Rx: p.rx.Load(), Tx: p.tx.Load(),
		AllowedIPs: p.tunnel.allowed.Prefixes(p), UnheardSince: x.of(p.machine.Unheard()),
	}
	if at := p.path.Load(); at != nil {
		s.Endpoint, s.Origin = at.Endpoint, at.origin
	}
	if c := p.drops.Load(); c != nil {
		s.Drops = c.list(x)
	}
	var next time.Duration
	if s.Wanted, next = p.machine.Attempt(); s.Wanted {
		s.NextInitiation = x.of(next)
	}
	s.Sessions = p.sessions(x)
	if p.talk == nil {
		return s, true
	}
	s.LastHandshake, s.Unanswered, s.SilentSince = p.talk.lastHandshake, p.talk.tries, x.of(p.talk.silentSince)
	s.Rekeys = p.talk.rekeys
	s.HasCookie = p.talk.cookies.HasCookie(x.now)
	s.Staged = p.talk.staged.segments
	if c := p.talk.candidates; c != nil {
		s.Candidates = slices.Clone(c.addrs)
	}
	s.Events = p.talk.events.events(p.public(), events)
	return s, true
}

// sessions lists those that are alive, the one that sends first. The caller holds p.mu.
func (p *Peer) sessions(x times) (all []Session) {
	add := func(k *rekey.Keypair, place Place) {
		if k == nil {
			return
		}
		if _, ended := k.Ended(); ended || x.now-k.Born() >= rekey.RejectAfterTime {
			return
		}
		s := Session{
			Name: k.Name(), Place: place, Role: k.Role(), Confirmed: k.Confirmed(), Born: x.of(k.Born()),
			Expires: x.of(k.Born() + rekey.RejectAfterTime), Sent: k.SentPackets(), Received: k.ReceivedPackets(),
		}
		sending, _ := k.RekeyAt()
		s.ReplacedAt = x.of(sending)
		all = append(all, s)
	}
	add(p.machine.Current(), Current)
	add(p.machine.Next(), Next)
	add(p.machine.Previous(), Previous)
	p.machine.Displaced(func(k *rekey.Keypair) { add(k, Displaced) })
	return all
}

// list is what was dropped, and when last.
func (c *dropCounters) list(x times) (all []Dropped) {
	for i := range c.counts {
		if n := c.counts[i].Load(); n > 0 {
			all = append(all, Dropped{Reason(i), n, x.of(time.Duration(c.last[i].Load()))})
		}
	}
	return all
}

// recently is a clock that costs nothing to read: what the packet paths saw on theirs last, to recentStep. It is never ahead.
type recently struct{ at atomic.Int64 }

const recentStep = 100 * time.Millisecond

// pass is told the time. Traffic that comes more often than recentStep only reads.
func (r *recently) pass(now time.Duration) {
	if int64(now)-r.at.Load() >= int64(recentStep) {
		r.at.Store(int64(now))
	}
}
