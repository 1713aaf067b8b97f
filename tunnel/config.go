package tunnel

import (
	"fmt"
	"iter"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"vpn/noise"
	"vpn/noise/key"
	"vpn/rekey"
	"vpn/tunnel/allowedips"
	"vpn/tunnel/uapi"
	"vpn/tunnel/udp"
)

// settings is what was configured, and whether the link is up. mu is held for a whole change.
type settings struct {
	mu         sync.Mutex
	closed     bool
	linkUp     bool
	asleep     bool    // between Suspend and Resume
	awaited    []*Peer // that had a session when sleep came
	port       uint16
	mark       uint32
	limits     rekey.Limits
	privateKey key.Private
}

// Set applies a change that package uapi has parsed. What can fail is tried first, so that a refused change has changed nothing.
func (t *Tunnel) Set(c *uapi.Config) error {
	t.config.mu.Lock()
	defer t.config.mu.Unlock()
	if t.config.closed {
		return syscall.ENODEV
	}
	limits, err := t.newLimits(c)
	if err != nil {
		return err
	}
	if err := t.setSockets(c); err != nil {
		return err
	}
	now := t.clock.Now()
	if c.PrivateKey != nil {
		t.setPrivateKey(c.PrivateKey, now)
	}
	if limits != t.config.limits {
		t.config.limits = limits
		for _, p := range t.peers.all() {
			p.mu.Lock()
			p.configure(now)
			p.mu.Unlock()
		}
	}
	t.setPeers(c, now)
	t.wake()
	return nil
}

// newLimits is what the change makes of the limits on a session.
func (t *Tunnel) newLimits(c *uapi.Config) (rekey.Limits, error) {
	limits := t.config.limits
	if c.RekeyAfterTime != nil {
		limits.AfterTime = *c.RekeyAfterTime
	}
	if c.RekeyAfterPackets != nil {
		limits.AfterPackets = *c.RekeyAfterPackets
	}
	if err := limits.Check(); err != nil {
		return limits, fmt.Errorf("%w: %w", err, syscall.EINVAL)
	}
	return limits, nil
}

// setSockets changes port and mark. Sockets that are open stay as they are if it fails.
func (t *Tunnel) setSockets(c *uapi.Config) error {
	port, mark := t.config.port, t.config.mark
	if c.ListenPort != nil {
		port = *c.ListenPort
	}
	if c.FwMark != nil {
		mark = *c.FwMark
	}
	samePort := c.ListenPort == nil || (port == t.config.port && port != 0)
	sockets := t.sockets.Load()
	switch {
	case !t.config.linkUp:
		t.config.port, t.config.mark = port, mark
		return nil
	case c.ListenPort == nil && c.FwMark == nil:
		return nil
	case sockets == nil || !samePort:
		return t.openSockets(port, mark)
	case mark == t.config.mark:
		return nil
	}
	if err := t.setMark(sockets, mark); err != nil {
		return err
	}
	t.config.mark = mark
	return nil
}

// setMark changes the mark of the sockets, or nothing.
func (t *Tunnel) setMark(sockets *udp.Sockets, mark uint32) error {
	if m, ok := t.opener.(udp.Marker); ok {
		return m.SetMark(mark)
	}
	err := sockets.SetMark(mark)
	if err != nil {
		_ = sockets.SetMark(t.config.mark) // what was there before worked before
	}
	return err
}

// setPrivateKey makes this interface somebody else: all sessions end, and each peer shakes hands at its next packet, not all at once.
func (t *Tunnel) setPrivateKey(k *key.Private, now time.Duration) {
	clamped := k.Clone()
	clamped.Clamp() // as wg keeps it, and shows it
	if clamped.Equal(&t.config.privateKey) {
		clamped.Erase()
		return
	}
	t.config.privateKey.Erase()
	t.config.privateKey = clamped
	var id *identity
	if clamped.IsZero() {
		t.rest()
	} else {
		id = newIdentity(&clamped)
		t.timestamps.begin(id.local.Public(), now)
	}
	old := t.identity.Swap(id)
	var self *Peer
	for _, p := range t.peers.all() {
		p.mu.Lock() // handshakes under way hold it, and look at the identity again once they have it
		p.forget(rekey.KeyChanged, now)
		p.mu.Unlock()
		if id != nil && p.public() == id.local.Public() {
			self = p
		}
	}
	if old != nil {
		old.erase()
	}
	if self != nil {
		t.allowed.Update(func(e *allowedips.Edit[*Peer]) { t.removePeer(self, e, now) })
	}
}

// setPeers applies the peers in order. All changes of allowed-ips are published at once, so that no packet meets a state in between.
func (t *Tunnel) setPeers(c *uapi.Config, now time.Duration) {
	if len(c.Peers) == 0 && !c.ReplacePeers {
		return
	}
	var changed []*Peer
	t.allowed.Update(func(e *allowedips.Edit[*Peer]) {
		if c.ReplacePeers {
			for _, p := range t.peers.all() {
				t.removePeer(p, e, now)
			}
		}
		for i := range c.Peers {
			if p := t.setPeer(&c.Peers[i], e, now); p != nil {
				changed = append(changed, p)
			}
		}
	})
	for _, p := range changed { // now that its prefixes are in force, a peer may speak
		p.mu.Lock()
		if !p.removed {
			p.configure(now)
		}
		p.mu.Unlock()
	}
}

// setPeer applies one peer's change, and returns the peer if it is still there.
func (t *Tunnel) setPeer(c *uapi.PeerConfig, e *allowedips.Edit[*Peer], now time.Duration) *Peer {
	if id := t.identity.Load(); id != nil && id.local.Public() == c.PublicKey {
		return nil // a peer with our own key is ignored
	}
	p := t.peers.get(c.PublicKey)
	known := p != nil
	switch {
	case c.Remove:
		if p != nil {
			t.removePeer(p, e, now)
		}
		return nil
	case p == nil && c.UpdateOnly:
		return nil
	case p == nil:
		p = t.addPeer(c.PublicKey, now)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.Preshared != nil {
		p.remote.SetPreshared(c.Preshared)
	}
	if c.Endpoint.IsValid() {
		p.place(unmap(c.Endpoint), known, now)
	}
	if c.Candidates != nil {
		p.setCandidates(c.Candidates)
	}
	if c.Keepalive != nil {
		p.keepalive = *c.Keepalive
	}
	if c.ReplaceAllowedIPs {
		e.RemoveAll(p)
	}
	for _, a := range c.AllowedIPs {
		if a.Remove {
			e.Remove(a.Prefix, p)
		} else {
			e.Insert(a.Prefix, p)
		}
	}
	return p
}

// place says where the peer is. What a new one is told with is no news. The caller holds p.mu, and calls configure.
func (p *Peer) place(at netip.AddrPort, known bool, now time.Duration) {
	x := p.path.Load()
	if x == nil {
		p.machine.Unsent(now)
	}
	p.path.Store(&path{Endpoint: udp.Endpoint{Addr: at}})
	if known && (x == nil || x.Addr != at) {
		p.observe(EndpointMoved, nil)
	}
}

// unmap turns an IPv4 address in IPv6 clothes into what it is.
func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

func (t *Tunnel) addPeer(public key.Public, now time.Duration) *Peer {
	p := &Peer{tunnel: t, remote: *noise.NewRemote(public)}
	p.mu.Lock()
	defer p.mu.Unlock()
	if g := t.peers.add(p); g != (grave{}) {
		p.talking().lastTimestamp, p.talk.ownTimestamp = g.lastTimestamp, g.ownTimestamp
		p.machine.SetFloor(g.floor)
	}
	if t.up.Load() {
		p.apply(p.machine.Up(now), now)
	}
	return p
}

// configure tells the machine what is configured. The caller holds p.mu and config.mu.
func (p *Peer) configure(now time.Duration) {
	s := rekey.Settings{Limits: p.tunnel.config.limits, Keepalive: time.Duration(p.keepalive) * time.Second}
	p.apply(p.machine.Configure(s, now), now)
}

// removePeer ends a peer. A handshake under way finds it removed when it gets the lock.
func (t *Tunnel) removePeer(p *Peer, e *allowedips.Edit[*Peer], now time.Duration) {
	e.RemoveAll(p)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.removed = true
	p.forget(rekey.PeerRemoved, now)
	p.remote.Erase()
	var g grave
	if p.talk != nil {
		p.talk.cookies.Erase()
		g = grave{p.talk.lastTimestamp, p.talk.ownTimestamp, p.machine.Floor()}
	}
	t.peers.remove(p, g)
}

// Get returns the interface and its peers, in the order they were added. The sequence locks one peer at a time and nothing while it
// yields. The keys are copies: a peer's is erased when the next peer is asked for, the interface's when the sequence ends.
func (t *Tunnel) Get() (uapi.Device, iter.Seq[uapi.Peer]) {
	t.config.mu.Lock()
	defer t.config.mu.Unlock()
	d := uapi.Device{
		PrivateKey: t.config.privateKey.Clone(), ListenPort: t.config.port, FwMark: t.config.mark,
		RekeyAfterTime: t.config.limits.AfterTime, RekeyAfterPackets: t.config.limits.AfterPackets,
	}
	if id := t.identity.Load(); id != nil {
		d.PublicKey = id.local.Public()
	}
	peers := t.peers.all()
	return d, func(yield func(uapi.Peer) bool) {
		defer d.PrivateKey.Erase()
		for _, p := range peers {
			s := p.state()
			more := yield(s)
			s.Preshared.Erase()
			if !more {
				return
			}
		}
	}
}

// state is what a get request tells of a peer.
func (p *Peer) state() uapi.Peer {
	s := uapi.Peer{
		PublicKey: p.public(), Rx: p.rx.Load(), Tx: p.tx.Load(),
		AllowedIPs: p.tunnel.allowed.Prefixes(p),
	}
	if x := p.path.Load(); x != nil {
		s.Endpoint = x.Addr
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	preshared := p.remote.Preshared()
	s.Preshared = preshared.Clone()
	s.Keepalive = p.keepalive
	if p.talk != nil {
		s.LastHandshake = p.talk.lastHandshake
	}
	return s
}
