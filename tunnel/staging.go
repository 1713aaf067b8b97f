package tunnel

import (
	"time"

	"vpn/noise/erasing"
	"vpn/tun/offload"
)

// Bounds of what waits for a session. The oldest packets of the same peer go first; what doesn't fit even then is dropped itself.
const (
	maxStagedSegments = 128       // of one peer
	maxStagedBytes    = 256 << 10 // of one peer
	maxStagedInAll    = 8 << 20   // of all peers together, in bytes
)

// A stagedQueue holds copies of packets that wait for a session, oldest first. Guarded by Peer.mu.
type stagedQueue struct {
	packets  []stagedPacket
	segments int
	bytes    int
	since    time.Duration // when the first one came of those that wait
}

type stagedPacket struct {
	data     []byte
	gso      offload.GSO
	segments int
}

// push keeps a copy of the packet and returns how many segments were dropped for it, or of it.
func (q *stagedQueue) push(p *Peer, data []byte, gso offload.GSO, segments int) (dropped int) {
	for len(q.packets) > 0 && (q.segments+segments > maxStagedSegments || q.bytes+len(data) > maxStagedBytes) {
		dropped += q.pop(p)
	}
	if p.tunnel.stagedBytes.Add(int64(len(data))) > maxStagedInAll {
		p.tunnel.stagedBytes.Add(-int64(len(data)))
		p.waiting.Store(len(q.packets) > 0)
		return dropped + segments
	}
	q.packets = append(q.packets, stagedPacket{append([]byte(nil), data...), gso, segments})
	q.segments += segments
	q.bytes += len(data)
	p.waiting.Store(true)
	return dropped
}

// pop drops the oldest packet and returns its segments.
func (q *stagedQueue) pop(p *Peer) int {
	first := q.packets[0]
	q.packets[0] = stagedPacket{}
	q.packets = q.packets[1:]
	q.segments -= first.segments
	q.bytes -= len(first.data)
	p.tunnel.stagedBytes.Add(-int64(len(first.data)))
	return first.segments
}

// clear drops everything and returns how many segments that were.
func (q *stagedQueue) clear(p *Peer) int {
	n := q.segments
	p.tunnel.stagedBytes.Add(-int64(q.bytes))
	*q = stagedQueue{}
	p.waiting.Store(false)
	return n
}

// clearStaged drops what waits and returns how many segments that were. The caller holds p.mu.
func (p *Peer) clearStaged() int {
	if p.talk == nil {
		return 0
	}
	return p.talk.staged.clear(p)
}

// stage keeps copies of a run's packets until there is a session, and asks for one.
func (p *Peer) stage(packets []packet, now time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.tunnel
	for i := range packets {
		n := packets[i].super.Count()
		if p.removed || !t.up.Load() {
			t.drop(p, NoSession, n)
			continue
		}
		staged := &p.talking().staged
		if len(staged.packets) == 0 {
			staged.since = now
		}
		t.drop(p, StagingFull, staged.push(p, packets[i].data, packets[i].gso, n))
	}
	if p.sendStaged(now) { // the session came while we waited for the lock
		p.apply(p.machine.Poll(now, t.jitter()), now)
		return
	}
	if !p.removed && t.up.Load() { // also if nothing could be kept: the next packets will need it
		p.apply(p.machine.Want(now, t.jitter()), now)
	}
}

// sendStaged sends what waits, and reports whether it did: not without a session, and not if nothing waits. The caller holds p.mu, and
// the data path holds back while anything waits, so that nothing overtakes it.
func (p *Peer) sendStaged(now time.Duration) bool {
	k := p.machine.Sending()
	if k == nil || !p.waiting.Load() || !k.Acquire(now) {
		return false
	}
	defer k.Release()
	staged := &p.talk.staged
	packets := make([]packet, len(staged.packets))
	for i := range staged.packets {
		s := &staged.packets[i]
		if !packets[i].init(s.data, s.gso) {
			panic("tunnel: a staged packet was checked before and is broken now")
		}
	}
	counter, ok := k.Reserve(staged.segments)
	if !ok {
		return false
	}
	t := p.tunnel
	s := t.senders.Get().(*sender)
	defer t.senders.Put(s)
	r := &run{peer: p, path: p.path.Load(), keypair: k, counter: counter, packets: packets}
	erasing.Do(func() { s.seal(r, t.mtu(), now) })
	p.machine.Sent(k, true, now)
	s.send(t, noWait, now)
	t.tally.waits[WaitSession].add(now - staged.since)
	staged.clear(p)
	return true
}

// sendKeepalive sends an empty message on the current session, and reports whether there was one. The caller holds p.mu.
func (p *Peer) sendKeepalive(now time.Duration) bool {
	k := p.machine.Sending()
	x := p.path.Load()
	if k == nil || x == nil || !k.Acquire(now) {
		return false
	}
	defer k.Release()
	counter, ok := k.Reserve(1)
	if !ok {
		return false
	}
	t := p.tunnel
	s := t.senders.Get().(*sender)
	defer t.senders.Put(s)
	r := &run{peer: p, path: x, keypair: k, counter: counter}
	erasing.Do(func() { s.keepalive(r) })
	p.machine.Sent(k, false, now)
	s.send(t, noWait, now)
	return true
}
