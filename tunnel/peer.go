package tunnel

import (
	"sync"
	"sync/atomic"
	"time"

	"vpn/noise"
	"vpn/noise/cookie"
	"vpn/noise/key"
	"vpn/rekey"
	"vpn/tunnel/udp"
)

// gsoRetryTime is how long segmented sends rest on a path that refused one.
const gsoRetryTime = 60 * time.Second

// A Peer is one other end: where it is, its sessions, and the packets that wait for one. A configured peer that never talks is no more
// than this struct, of which there may be a million; talk, keypairs and drop counters are made when they are needed.
//
// What is atomic may be used from anywhere. The rest is guarded as noted.
type Peer struct {
	tunnel *Tunnel

	path    atomic.Pointer[path] // nil while nobody knows where the peer is
	machine rekey.Machine        // Sending, Sent and Received are lock-free, all else is guarded by mu
	tx, rx  atomic.Uint64        // bytes of messages
	drops   atomic.Pointer[dropCounters]
	waiting atomic.Bool // packets are staged, and go first; see begin

	heapIndex int32         // guarded by schedule.mu
	deadline  time.Duration // guarded by schedule.mu

	position        int32 // in peerTable.order; guarded by peerTable.mu
	wantsInitiation bool  // is in handshakes.wanted, or was taken from there and has not begun; guarded by handshakes.mu

	removed   bool   // guarded by mu, like all that follows
	keepalive uint16 // seconds
	mu        sync.Mutex
	remote    noise.Remote // remote.Public never changes, and may be read by anybody
	talk      *talk        // nil until the peer first talks; see talking
}

// A talk is what only a peer that has talked needs. It is guarded by Peer.mu.
type talk struct {
	cookies        cookie.Generator
	handshake      *noise.Initiator // the initiation that waits for its response
	current        *rekey.Keypair   // the session that SessionStarted was last told of
	lastTimestamp  noise.TAI64N     // the newest initiation's
	ownTimestamp   noise.TAI64N     // that of our own last initiation
	tries          int              // our own initiations in a row that had no answer
	candidates     *candidates      // nil without any
	lastInitiation time.Duration    // when it was answered
	silentSince    time.Duration    // when our first initiation went out that had no answer; zero: all had one
	lastHandshake  time.Time        // when the current session began
	staged         stagedQueue
	rekeys         uint64 // sessions that took the place of one that could still be used
	events         ring
}

// public is who the peer is. No lock is needed.
func (p *Peer) public() key.Public { return p.remote.Public }

// talking returns the peer's talk, made now if this is the first thing said. The caller holds p.mu.
func (p *Peer) talking() *talk {
	if p.talk == nil {
		p.talk = &talk{cookies: *cookie.NewGenerator(p.public())}
	}
	return p.talk
}

// A path is where a peer's messages go. It is immutable but for what is atomic; a peer that moves gets a new one.
type path struct {
	udp.Endpoint
	origin     Origin
	plainUntil atomic.Int64 // no segmented sends before this time
}

func (x *path) plain(now time.Duration) bool { return now < time.Duration(x.plainUntil.Load()) }

// move makes authenticated messages' source the peer's endpoint. The caller holds p.mu.
func (p *Peer) move(from udp.Endpoint) {
	x := p.path.Load()
	if x != nil && x.Endpoint == from {
		return
	}
	origin := Roamed
	switch {
	case x != nil && x.Addr == from.Addr:
		origin = x.origin
	case p.isCandidate(from.Addr):
		origin = Candidate
	}
	p.path.Store(&path{Endpoint: from, origin: origin})
	if x == nil || x.Addr != from.Addr {
		p.observe(EndpointMoved, nil)
	}
}

// follow is move for the packet path, which takes the lock only when the peer has moved.
func (p *Peer) follow(from udp.Endpoint) {
	if x := p.path.Load(); x != nil && x.Endpoint == from {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.move(from)
}

// clearSource forgets which local address the peer's messages came to: after silence it may be the wrong one.
func (p *Peer) clearSource() {
	if x := p.path.Load(); x != nil && x.Source.IsValid() {
		p.path.CompareAndSwap(x, &path{Endpoint: udp.Endpoint{Addr: x.Addr}, origin: x.origin})
	}
}

// sleptTime is how long after its end a session's end is noticed, at least, if the machine has slept meanwhile.
const sleptTime = 5 * time.Second

// poll does what is due for the peer. A session whose time has run out in sleep is replaced at once, as after a sleep that was announced:
// the other side may have something to say, and only our next message tells it where we are.
func (p *Peer) poll(now time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.tunnel
	t.recently.pass(now)
	was := p.machine.Current()
	p.apply(p.machine.Poll(now, t.jitter()), now)
	if was != nil && p.machine.Current() == nil && now-was.Born() >= rekey.RejectAfterTime+sleptTime && t.up.Load() {
		p.apply(p.machine.Want(now, t.jitter()), now)
	}
}

// apply carries out what the machine decided. The caller holds p.mu.
func (p *Peer) apply(r rekey.Result, now time.Duration) {
	t := p.tunnel
	for {
		for _, k := range r.Retired {
			t.index.release(k.LocalIndex())
			p.observe(SessionEnded, k)
		}
		p.noteSession()
		if r.Actions&rekey.EraseHandshake != 0 {
			p.eraseHandshake()
		}
		if r.Actions&rekey.DropStaged != 0 {
			p.giveUp()
			t.drop(p, NoAnswer, p.clearStaged())
		}
		if r.Actions&rekey.ClearSource != 0 {
			p.clearSource()
			p.doubt()
		}
		if r.Actions&rekey.SendInitiation != 0 {
			t.handshakes.want(p)
		}
		t.timers.arm(p, r.Deadline)
		if len(r.Retired) > 0 && p.machine.Idle() {
			p.remote.Forget()
		}

		sent := r.Actions&rekey.SendStaged != 0 && p.sendStaged(now)
		if !sent && r.Actions&rekey.SendKeepalive != 0 {
			sent = p.sendKeepalive(now)
		}
		if !sent {
			return
		}
		r = p.machine.Poll(now, t.jitter())
	}
}

// noteSession tells of a session that has become the current one: one that the other side began does when its first data arrives, one of
// ours when the response does. The caller holds p.mu.
func (p *Peer) noteSession() {
	k := p.machine.Current()
	if k == nil && p.talk == nil || k == p.talking().current {
		return
	}
	if p.talk.current = k; k != nil {
		p.startOver()
		p.talk.silentSince = 0
		p.talk.lastHandshake = p.tunnel.clock.Wall()
		if p.machine.Previous() != nil {
			p.talk.rekeys++
			p.tunnel.tally.rekeys.Add(1)
		}
		p.observe(SessionStarted, k)
	}
}

// eraseHandshake ends the initiation that waits for a response, if any. The caller holds p.mu.
func (p *Peer) eraseHandshake() {
	if p.talk == nil || p.talk.handshake == nil {
		return
	}
	p.tunnel.index.release(p.talk.handshake.SenderIndex())
	p.talk.handshake.Erase()
	p.talk.handshake = nil
}

// forget ends all sessions and what leads to one. The caller holds p.mu.
func (p *Peer) forget(why rekey.End, now time.Duration) {
	r := p.machine.Forget(why, now)
	if r.Actions&rekey.DropStaged != 0 {
		r.Actions &^= rekey.DropStaged // nothing was given up
		p.tunnel.drop(p, NoSession, p.clearStaged())
	}
	p.apply(r, now)
	p.startOver()
	if p.talk != nil {
		p.talk.silentSince = 0
	}
	p.remote.Forget()
}
