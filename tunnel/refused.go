package tunnel

import (
	"net/netip"
	"time"

	"vpn/noise/key"
	"vpn/noise/wire"
	"vpn/tunnel/udp"
)

const (
	// refusalQueueLen bounds the ICMP errors that wait to be matched with peers, refusalLimit how many are a second: anybody may send them.
	refusalQueueLen = 16
	refusalLimit    = 20
	// searchLimit is how many a second may have their peer searched for among many, which takes a look at each.
	searchLimit = 1
	searchMany  = 4096
)

// refused is told of ICMP errors by whoever uses a socket, perhaps with a peer locked. It never waits.
func (t *Tunnel) refused(r udp.Refusal) {
	select {
	case t.refusals <- r:
	default:
	}
}

// noteRefusals finds out whom ICMP errors are about, until the end.
func (t *Tunnel) noteRefusals() {
	var limit, search tokenBucket
	for {
		select {
		case <-t.stop:
			return
		case r := <-t.refusals:
			now := t.clock.Now()
			if !limit.allow(now, refusalLimit) {
				continue
			}
			if p := t.refusedPeer(&r, &search, now); p != nil {
				p.noteRefusal(&r)
			}
		}
	}
}

// refusedPeer is the peer whose message was refused: our index in it says so, if so much was quoted, or else where it was sent to.
func (t *Tunnel) refusedPeer(r *udp.Refusal, search *tokenBucket, now time.Duration) *Peer {
	if sender, ok := wire.QuotedSender(r.Quoted); ok {
		if e, known := t.index.lookup(sender); known {
			return e.peer
		}
	}
	if t.peers.len() > searchMany && !search.allow(now, searchLimit) {
		return nil
	}
	for _, p := range t.peers.all() {
		if x := p.path.Load(); x != nil && x.Addr == r.To {
			return p
		}
	}
	return nil
}

// noteRefusal keeps an ICMP error among the peer's events, unless it has never talked.
func (p *Peer) noteRefusal(r *udp.Refusal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.note(PathRefused, nil, 0, &Detail{
		To: r.To, From: netip.AddrPortFrom(r.From, 0),
		Refusal: Refusal{Errno: uint16(r.Errno), ICMP: r.ICMP, Type: r.Type, Code: r.Code, MTU: r.MTU},
	})
}

// sourceLimit bounds the packets a second whose source is looked at once more to say whose it is.
const sourceLimit = 10

// noteSource notes that the peer has sent a packet that is not its to send.
func (p *Peer) noteSource(packet []byte, now time.Duration) {
	t := p.tunnel
	if !t.sources.allow(now, sourceLimit) {
		return
	}
	src, _, ok := addresses(packet)
	if !ok {
		return
	}
	d := &Detail{Address: src}
	if owner, ok := t.allowed.Lookup(src); ok && owner != nil {
		d.Owner = owner.public()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.note(SourceRefused, nil, 0, d)
}

// noteNobody notes that a packet has nowhere to go.
func (t *Tunnel) noteNobody(packet []byte, dst netip.Addr, now time.Duration) {
	src, _, ok := addresses(packet)
	if !ok || dst.IsMulticast() {
		return // what a host sends to all is for nobody here
	}
	t.stranger(NobodyAt, 0, key.Public{}, now, Detail{From: netip.AddrPortFrom(src, 0), Address: dst})
}
