package tunnel

import (
	"encoding/binary"
	"net/netip"
	"time"

	"vpn/noise/erasing"
	"vpn/tun"
)

// outbound is a batch on its way from the device to the sockets:
//
//	queue.Read -> per packet allowedips.Lookup(dst) -> runs -> peer's session, or staged -> Reserve    (read, plan)
//	-> split, checksum and seal into one buffer                                                        (work)
//	-> socket.Send -> Machine.Sent                                                                     (finish)
type outbound struct {
	tunnel  *Tunnel
	queue   tun.Queue
	in      *tun.Batch
	packets []packet
	runs    []run
	out     sender
	mtu     int
	now     time.Duration
}

// newOutbound makes a batch for the line of queue number i, which sends by a socket of its own where there are several.
func newOutbound(t *Tunnel, i int) *outbound {
	return &outbound{tunnel: t, queue: t.queues[i], in: tun.NewBatch(), out: sender{line: i}}
}

func (b *outbound) read() error { return b.queue.Read(b.in) }

// plan finds out whose the packets are, and groups them into runs that have a session and counters. Packets without a session are staged,
// packets without a peer are answered.
func (b *outbound) plan() int {
	t := b.tunnel
	b.now, b.mtu = t.clock.Now(), t.mtu()
	t.recently.pass(b.now)
	b.packets, b.runs = b.packets[:0], b.runs[:0]
	if cap(b.packets) < len(b.in.Packets) {
		b.packets = make([]packet, 0, max(64, len(b.in.Packets)))
	}

	var lastDst netip.Addr
	var lastPeer *Peer
	bytes := 0
	for i := range b.in.Packets {
		raw := &b.in.Packets[i]
		b.packets = b.packets[:len(b.packets)+1]
		p := &b.packets[len(b.packets)-1]
		if !p.init(raw.Data, raw.GSO) {
			t.drop(nil, NotIP, 1)
			b.packets = b.packets[:len(b.packets)-1]
			continue
		}
		_, dst, _ := addresses(p.data)
		if dst != lastDst {
			lastPeer, _ = t.allowed.Lookup(dst)
			lastDst = dst
		}
		if !t.sendable(lastPeer, dst, p, b.now) {
			b.packets = b.packets[:len(b.packets)-1]
			continue
		}
		bytes += len(p.data)
		b.extend(lastPeer)
	}

	kept := b.runs[:0]
	for i := range b.runs {
		if r := b.runs[i]; r.begin(b.now) {
			kept = append(kept, r)
		}
	}
	clear(b.runs[len(kept):])
	b.runs = kept
	return bytes
}

// extend adds the last packet to the last run, or begins one.
func (b *outbound) extend(p *Peer) {
	n := len(b.packets)
	if last := len(b.runs) - 1; last >= 0 && b.runs[last].peer == p {
		r := &b.runs[last]
		r.packets = b.packets[n-1-len(r.packets) : n]
		return
	}
	b.runs = append(b.runs, run{peer: p, packets: b.packets[n-1 : n]})
}

// sendable reports whether a packet can go to the peer; if not, it is counted, and its sender told.
func (t *Tunnel) sendable(p *Peer, dst netip.Addr, pkt *packet, now time.Duration) bool {
	if p == nil {
		t.drop(nil, NoPeer, pkt.super.Count())
		t.noteNobody(pkt.data, dst, now)
		t.tellUnreachable(pkt.data, now)
		return false
	}
	x := p.path.Load()
	if x == nil {
		t.drop(p, NoEndpoint, pkt.super.Count())
		t.tellUnreachable(pkt.data, now)
		return false
	}
	if pkt.nestedOut || t.isOwnMessage(pkt.data, dst, x) {
		t.drop(p, RoutingLoop, pkt.super.Count())
		return false
	}
	return true
}

// isOwnMessage reports whether a packet is a message of ours on its way to the very peer that it would be sealed for: the route to the
// endpoint leads into the tunnel. Going on would feed each message back, larger every time.
func (t *Tunnel) isOwnMessage(b []byte, dst netip.Addr, x *path) bool {
	if dst != x.Addr.Addr() {
		return false
	}
	sockets := t.sockets.Load()
	_, datagram, ok := innerUDP(b)
	return ok && sockets != nil && binary.BigEndian.Uint16(datagram) == sockets.Port && binary.BigEndian.Uint16(datagram[2:]) == x.Addr.Port()
}

// begin acquires the peer's session and reserves counters. If that can't be, the packets are staged and it reports false.
func (r *run) begin(now time.Duration) bool {
	p := r.peer
	p.awaitStaged()
	k := p.machine.Sending()
	if k == nil || p.waiting.Load() || !k.Acquire(now) {
		p.stage(r.packets, now)
		return false
	}
	n := 0
	for i := range r.packets {
		n += r.packets[i].super.Count()
	}
	counter, ok := k.Reserve(n)
	if !ok {
		k.Release()
		p.stage(r.packets, now)
		return false
	}
	r.path, r.keypair, r.counter = p.path.Load(), k, counter
	return true
}

// awaitStaged returns when nobody is sending what waited: who does holds the lock until it is sent, so that nothing overtakes it.
func (p *Peer) awaitStaged() {
	if p.waiting.Load() {
		p.mu.Lock()
		defer p.mu.Unlock()
	}
}

func (b *outbound) work() {
	erasing.Do(func() {
		for i := range b.runs {
			b.out.seal(&b.runs[i], b.mtu, b.now)
		}
	})
}

func (b *outbound) finish() {
	// The machine is told before the answer can be there.
	for i := range b.runs {
		r := &b.runs[i]
		r.poll = r.peer.machine.Sent(r.keypair, true, b.now)
	}
	b.out.send(b.tunnel, wait, b.now)
	for i := range b.runs {
		r := &b.runs[i]
		r.keypair.Release()
		if r.poll {
			r.peer.poll(b.now)
		}
	}
	clear(b.runs)
}
