package tunnel

import (
	"errors"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"vpn/noise"
	"vpn/noise/cookie"
	"vpn/noise/key"
	"vpn/noise/wire"
	"vpn/rekey"
	"vpn/tunnel/udp"
)

// initiationInterval is how often one peer's initiations are answered, at most.
const initiationInterval = 20 * time.Millisecond

// identity is who this interface is: replaced as a whole when its private key changes.
type identity struct {
	cookies *cookie.Checker

	mu    sync.RWMutex // held for reading while local is in use, so that it is not erased meanwhile
	local *noise.Local
}

func newIdentity(k *key.Private) *identity {
	local := noise.NewLocal(k)
	return &identity{local: local, cookies: cookie.NewChecker(local.Public())}
}

// erase ends the identity when the last handshake lets go of it. One that still comes finds an empty key, which no handshake works with.
func (id *identity) erase() {
	id.mu.Lock()
	defer id.mu.Unlock()
	id.local.Erase()
}

// initiate sends an initiation with a fresh ephemeral.
func (p *Peer) initiate() {
	t := p.tunnel
	id := t.identity.Load()
	if id != nil {
		if t.up.Load() {
			t.timestamps.prepare(id.local.Public(), t.clock.Now()) // which may take a while, so no lock is held
		}
		id.mu.RLock()
		defer id.mu.RUnlock()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	t.handshakes.begin(p) // not before: what was wanted again meanwhile is this one
	now := t.clock.Now()  // RekeyTimeout begins when the initiation goes out
	x := p.path.Load()
	if id == nil || p.removed || !t.up.Load() || t.identity.Load() != id || !p.machine.Wanted() {
		return
	}
	defer func() { p.apply(p.machine.InitiationSent(now, t.jitter()), now) }()
	if x == nil {
		return
	}
	if p.talking().handshake != nil {
		p.talk.tries++
		p.observe(InitiationUnanswered, nil)
	}
	p.eraseHandshake()
	index, err := t.index.reserve(p)
	if err != nil {
		t.complain("initiate", err)
		return
	}
	var m wire.Initiation
	p.talk.handshake, err = noise.Initiate(id.local, &p.remote, index, p.nextTimestamp(), t.rand, &m)
	if err != nil {
		// A public key of low order: it may be configured, but nothing is ever sent to it.
		t.index.release(index)
		p.fail(BadHandshake, netip.AddrPort{})
		return
	}
	if p.talk.silentSince == 0 {
		p.talk.silentSince = now
	}
	p.sendHandshake(m[:], now, p.destinations(x, now)...)
	p.observe(InitiationSent, nil)
}

// Handshake asks for a new session with a peer, also if there is one, as soon as its last initiation has had its time. It reports false if
// there is no peer with that key.
func (t *Tunnel) Handshake(public key.Public) bool {
	p := t.peers.get(public)
	if p == nil {
		return false
	}
	now := t.clock.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.removed && t.up.Load() {
		p.apply(p.machine.Renew(now, t.jitter()), now)
	}
	return true
}

// sendHandshake adds the MACs to an initiation or response, and sends one and the same to all destinations. The caller holds p.mu.
func (p *Peer) sendHandshake(m []byte, now time.Duration, to ...udp.Endpoint) {
	p.talking().cookies.AddMACs(m, now)
	for _, at := range to {
		if p.tunnel.sendTo(p, at, m) {
			p.tx.Add(uint64(len(m)))
		}
	}
}

// sendTo sends one handshake message of p, which is locked.
func (t *Tunnel) sendTo(p *Peer, to udp.Endpoint, m []byte) bool {
	out := []udp.Outgoing{{Data: m, To: &to, TOS: dscpAF41, NoWait: true}}
	socket, _ := socketFor(t.sockets.Load(), out, 0)
	if socket == nil {
		t.drop(p, LinkDown, 1)
		return false
	}
	if _, err := socket.Send(out); err != nil {
		t.drop(p, SendFailed, 1)
		t.complain("send", err)
		var errno syscall.Errno
		if errors.As(err, &errno) {
			p.note(PathRefused, nil, 0, &Detail{To: to.Addr, Refusal: Refusal{Errno: uint16(errno)}})
		}
		return false
	}
	return true
}

// consumeInitiation answers an initiation whose mac1 was good. It reports false for one that no peer has made, or that came before.
func (t *Tunnel) consumeInitiation(m *wire.Initiation, from udp.Endpoint) (genuine bool) {
	now := t.clock.Now()
	id := t.identity.Load()
	if id == nil {
		t.drop(nil, NoPrivateKey, 1)
		return true
	}
	id.mu.RLock()
	defer id.mu.RUnlock()
	accepted, err := noise.Accept(id.local, m)
	if err != nil {
		t.refuseStranger(BadHandshake, key.Public{}, from, now)
		return false
	}
	defer accepted.Erase()
	p := t.peers.get(accepted.Static())
	if p == nil {
		t.refuseStranger(UnknownPeer, accepted.Static(), from, now)
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.removed || t.identity.Load() != id || !t.up.Load() {
		return true
	}
	r, err := accepted.Authenticate(&p.remote, m)
	if err != nil {
		t.refuseStranger(BadHandshake, key.Public{}, from, now) // who claims to be the peer, without its key
		return false
	}
	defer r.Erase()
	// "The responder keeps track of the greatest timestamp received per peer and discards packets containing timestamps less than or
	// equal to it." 5.1
	talk := p.talking()
	switch {
	case !r.Timestamp().After(talk.lastTimestamp):
		t.drop(p, ReplayedInitiation, 1)
		p.note(HandshakeFailed, nil, ReplayedInitiation, &Detail{
			From: from.Addr, Timestamp: r.Timestamp().Time(), Newest: talk.lastTimestamp.Time(),
		})
		return false
	case talk.lastInitiation != 0 && now-talk.lastInitiation < initiationInterval:
		p.fail(InitiationFlood, from.Addr)
		return true
	}
	talk.lastTimestamp, talk.lastInitiation = r.Timestamp(), now
	p.move(from)
	p.rx.Add(uint64(len(m)))
	p.machine.InitiationReceived(now)
	p.note(InitiationReceived, nil, 0, nil)
	p.respond(r, now)
	return true
}

// respond sends the response and keeps the session for the initiator's first data. The caller holds p.mu.
func (p *Peer) respond(r *noise.Responder, now time.Duration) {
	t := p.tunnel
	index, err := t.index.reserve(p)
	if err != nil {
		t.complain("respond", err)
		return
	}
	var m wire.Response
	s, err := r.Respond(&p.remote, index, t.rand, &m)
	if err != nil {
		t.index.release(index)
		t.drop(p, BadHandshake, 1)
		return
	}
	defer s.Erase()
	k, ok := p.newKeypair(s, rekey.Responder, now)
	if !ok {
		t.index.release(index)
		return
	}
	p.sendHandshake(m[:], now, p.path.Load().Endpoint)
	p.observe(ResponseSent, k)
	p.apply(p.machine.Responded(k, now), now)
}

// consumeResponse ends the handshake that this side began.
func (t *Tunnel) consumeResponse(m *wire.Response, from udp.Endpoint) {
	now := t.clock.Now()
	id := t.identity.Load()
	e, ok := t.index.lookup(m.Receiver())
	if !ok || e.keypair != nil || id == nil {
		t.drop(nil, UnknownIndex, 1)
		return
	}
	p := e.peer
	id.mu.RLock()
	defer id.mu.RUnlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.talk == nil || p.talk.handshake == nil || p.talk.handshake.SenderIndex() != m.Receiver() || t.identity.Load() != id {
		t.drop(p, UnknownIndex, 1)
		return
	}
	s, err := p.talk.handshake.Finish(id.local, &p.remote, m)
	if err != nil {
		p.fail(BadHandshake, from.Addr)
		return
	}
	defer s.Erase()
	p.talk.handshake = nil // its index is the session's now
	k, ok := p.newKeypair(s, rekey.Initiator, now)
	if !ok {
		t.index.release(s.LocalIndex)
		return
	}
	p.move(from)
	p.rx.Add(uint64(len(m)))
	p.machine.InitiationReceived(now)
	p.note(ResponseReceived, k, 0, nil)
	p.apply(p.machine.Initiated(k, now), now)
}

// newKeypair moves a session's secrets into the arena. The caller holds p.mu and erases s.
func (p *Peer) newKeypair(s *noise.Session, role rekey.Role, now time.Duration) (*rekey.Keypair, bool) {
	t := p.tunnel
	send, err := t.arena.NewKey(&s.Send)
	if err == nil {
		receive, err2 := t.arena.NewKey(&s.Receive)
		if err2 == nil {
			k := rekey.NewKeypair(rekey.Params{
				Role: role, Send: send, Receive: receive,
				LocalIndex: s.LocalIndex, RemoteIndex: s.RemoteIndex,
				Born: now, ID: t.random64(),
			})
			t.index.bind(s.LocalIndex, p, k)
			return k, true
		}
		send.Erase()
		err = err2
	}
	t.drop(p, OutOfMemory, 1)
	t.complain("keep a session's keys", err)
	return nil, false
}

// consumeCookieReply keeps a cookie for the next handshake message. It never moves the endpoint: the reply says nothing about who is
// there.
func (t *Tunnel) consumeCookieReply(m *wire.CookieReply, from udp.Endpoint) {
	e, ok := t.index.lookup(m.Receiver())
	if !ok {
		t.drop(nil, UnknownIndex, 1)
		return
	}
	p := e.peer
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.talk == nil || !p.talk.cookies.Consume(m, t.clock.Now()) {
		t.drop(p, BadCookieReply, 1)
		return
	}
	p.note(CookieReceived, nil, 0, &Detail{From: from.Addr})
	p.cookieFrom(from.Addr)
}
