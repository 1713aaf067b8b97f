package tunnel

import (
	"sync"
	"time"

	"vpn/noise/key"
	"vpn/noise/wire"
	"vpn/tunnel/udp"
)

const (
	// handshakeQueueLen is how many handshake messages may wait. The queue is their own: data can't take their place.
	handshakeQueueLen = 4096
	// underLoadLen is the length from which cookies are demanded, underLoadTime how long they still are once it is shorter.
	underLoadLen  = handshakeQueueLen / 8
	underLoadTime = time.Second
	// wastedLimit is how many handshake messages a second may turn out to be worth nothing before cookies are demanded too: forged or
	// replayed ones, which come to a tenth of a processor at most. The queue alone would not tell: a worker that keeps up with a flood
	// takes the processor from packets. Cookies are demanded for as long as so many messages come without one.
	wastedLimit = underLoadLen
)

// handshakes is where Diffie-Hellman is done: messages that arrived and initiations that are wanted wait here for a few workers, so
// that neither the packet paths nor the timers ever wait for a handshake.
type handshakes struct {
	tunnel *Tunnel

	mu       sync.Mutex
	work     sync.Cond
	closed   bool
	arrived  []handshakeMessage // a ring: count messages from first
	first    int
	count    int
	wanted   []*Peer // whose initiation is to be sent, in order
	loadedAt time.Duration
	waste    tokenBucket // holds wastedLimit
}

// handshakeMessage is an initiation, a response or a cookie reply that arrived.
type handshakeMessage struct {
	kind  wire.Type
	from  udp.Endpoint
	at    time.Duration // when it arrived
	bytes [wire.SizeInitiation]byte
}

func newHandshakes(t *Tunnel) *handshakes {
	h := &handshakes{tunnel: t}
	h.work.L = &h.mu
	return h
}

// receive takes a handshake message off the packet path: mac1, under load also mac2 and the limiter, then the queue. m is copied.
// Cookies that are demanded go to replies.
func (h *handshakes) receive(kind wire.Type, m []byte, from udp.Endpoint, replies *cookieReplies, now time.Duration) {
	t := h.tunnel
	id := t.identity.Load()
	switch {
	case id == nil:
		t.drop(nil, NoPrivateKey, 1)
		return
	case kind == wire.TypeCookieReply:
		if _, known := t.index.lookup(wire.AsCookieReply(m).Receiver()); !known {
			t.drop(nil, UnknownIndex, 1)
			return
		}
	case !id.cookies.CheckMAC1(m):
		t.refuseStranger(BadMAC1, key.Public{}, from, now)
		return
	case h.underLoad(now):
		// Only who has a good mac1, and so knows our public key, is told that anybody is here (section 5.3).
		if !id.cookies.CheckMAC2(m, from.Addr, now) {
			t.refuseStranger(CookieDemanded, key.Public{}, from, now)
			h.wasted(now) // so that load lasts as long as the flood
			replies.add(t, id, m, from, now)
			return
		}
		if !t.limiter.Allow(from.Addr.Addr(), now) {
			t.refuseStranger(RateLimited, key.Public{}, from, now)
			return
		}
	}
	if !h.push(kind, m, from, now) {
		t.drop(nil, HandshakeQueueFull, 1)
	}
}

// underLoad reports whether cookies are to be demanded, and remembers it for underLoadTime.
func (h *handshakes) underLoad(now time.Duration) bool {
	h.mu.Lock()
	was := h.loadedAt != 0 && now-h.loadedAt < underLoadTime
	under := h.count >= underLoadLen
	if under {
		h.loadedAt = now
	}
	h.mu.Unlock()
	if under && !was {
		h.tunnel.stranger(UnderLoad, 0, key.Public{}, now, Detail{})
	}
	return under || was
}

// load is how many messages and initiations wait, and whether cookies are demanded.
func (h *handshakes) load(now time.Duration) (waiting int, under bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.count + len(h.wanted), h.count >= underLoadLen || h.loadedAt != 0 && now-h.loadedAt < underLoadTime
}

// wasted notes that the work on a message was for nothing, or that it was not worked on as it brought no cookie.
func (h *handshakes) wasted(now time.Duration) {
	if h.waste.allow(now, wastedLimit) {
		return
	}
	h.mu.Lock()
	h.loadedAt = now
	h.mu.Unlock()
}

// push copies m into the queue; it reports false if that is full.
func (h *handshakes) push(kind wire.Type, m []byte, from udp.Endpoint, now time.Duration) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.count == len(h.arrived) {
		if h.count == handshakeQueueLen {
			return false
		}
		h.grow()
	}
	x := &h.arrived[(h.first+h.count)%len(h.arrived)]
	x.kind, x.from, x.at = kind, from, now
	copy(x.bytes[:], m)
	h.count++
	h.work.Signal()
	return true
}

// grow doubles the ring. The caller holds h.mu.
func (h *handshakes) grow() {
	ring := make([]handshakeMessage, max(16, 2*len(h.arrived)))
	for i := range h.count {
		ring[i] = h.arrived[(h.first+i)%len(h.arrived)]
	}
	h.arrived, h.first = ring, 0
}

// want asks for an initiation to the peer, which is locked; asking twice changes nothing.
func (h *handshakes) want(p *Peer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p.wantsInitiation {
		return
	}
	p.wantsInitiation = true
	h.wanted = append(h.wanted, p)
	h.work.Signal()
}

// begin notes that the initiation to a peer is being made, which is locked: whoever wants one from now on wants another.
func (h *handshakes) begin(p *Peer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p.wantsInitiation = false
}

// next waits for work: a message, copied to m (peer is nil), or a peer that wants an initiation. Both take turns. ok is false at
// the end.
func (h *handshakes) next(m *handshakeMessage, messagesFirst bool) (peer *Peer, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for !h.closed && h.count == 0 && len(h.wanted) == 0 {
		h.work.Wait()
	}
	switch {
	case h.closed:
		return nil, false
	case len(h.wanted) > 0 && !(messagesFirst && h.count > 0):
		peer = h.wanted[0]
		h.wanted[0] = nil
		if h.wanted = h.wanted[1:]; len(h.wanted) == 0 {
			h.wanted = nil
		}
		return peer, true
	}
	*m = h.arrived[h.first]
	h.first = (h.first + 1) % len(h.arrived)
	if h.count--; h.count == 0 && len(h.arrived) > underLoadLen {
		h.arrived, h.first = nil, 0 // a flood is over: give its memory back
	}
	return nil, true
}

// run is one worker; it returns after close.
func (h *handshakes) run() {
	var m handshakeMessage
	t := h.tunnel
	for messagesFirst := true; ; messagesFirst = !messagesFirst {
		p, ok := h.next(&m, messagesFirst)
		if !ok {
			return
		}
		if p != nil {
			p.initiate()
			continue
		}
		t.tally.waits[WaitHandshake].add(t.clock.Now() - m.at)
		switch m.kind {
		case wire.TypeInitiation:
			if !t.consumeInitiation(wire.AsInitiation(m.bytes[:wire.SizeInitiation]), m.from) {
				h.wasted(t.clock.Now())
			}
		case wire.TypeResponse:
			t.consumeResponse(wire.AsResponse(m.bytes[:wire.SizeResponse]), m.from)
		case wire.TypeCookieReply:
			t.consumeCookieReply(wire.AsCookieReply(m.bytes[:wire.SizeCookieReply]), m.from)
		}
	}
}

func (h *handshakes) close() {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.work.Broadcast()
}
