package tunnel

import (
	"time"

	"vpn/noise/aead"
	"vpn/noise/wire"
	"vpn/rekey"
	"vpn/tun/offload"
	"vpn/tunnel/udp"
)

// A packet is one inner packet or superpacket on its way out. Its bytes lie in the buffer it was read into.
type packet struct {
	data  []byte
	gso   offload.GSO
	super offload.Superpacket
	ttl   byte // of the outer packet; 0 is the system's own

	nestedOut bool // is a data message that was nested too often
}

// init makes p a view of data; it reports false if the bytes are no whole packet.
func (p *packet) init(data []byte, gso offload.GSO) bool {
	p.data, p.gso, p.ttl, p.nestedOut = data, gso, 0, false
	if ipVersion(data) == 0 || p.super.Init(data, gso) != nil {
		return false
	}
	if ttl, datagram, ok := innerUDP(data); ok && isDataMessage(datagram) {
		p.ttl = nestedTTL(ttl)
		p.nestedOut = p.ttl == 0
	}
	return true
}

// A run is consecutive packets of one batch for one peer, with the session that was acquired and the counters that were reserved
// for them.
type run struct {
	peer    *Peer
	path    *path
	keypair *rekey.Keypair
	counter uint64 // of the first message
	packets []packet
	poll    bool // the machine wants to be asked
}

// A sender splits packets, seals the segments one behind the other into one buffer, and sends runs of equal-size messages with one
// system call for as many as the kernel takes. It is used by one goroutine at a time.
type sender struct {
	buf      []byte
	used     int
	messages []udp.Outgoing
	owners   []owner // of messages
	line     int     // of this number, which decides between several sockets

	// The segmented send being built: messages of one size, the last perhaps shorter, at buf[start:used].
	start, stride int
	counter       uint64
	short         bool
}

// owner is whose an Outgoing is.
type owner struct {
	peer *Peer
	path *path
}

func (s *sender) reset() {
	s.used, s.start, s.stride = 0, 0, 0
	clear(s.messages)
	s.messages = s.messages[:0]
	clear(s.owners)
	s.owners = s.owners[:0]
}

// reserve makes room for n more bytes. Messages that were sealed before stay where they are.
func (s *sender) reserve(n int) {
	if s.used+n <= len(s.buf) {
		return
	}
	buf := make([]byte, max(senderBufferLen, 2*len(s.buf), n+s.used-s.start))
	s.used = copy(buf, s.buf[s.start:s.used])
	s.start = 0
	s.buf = buf
}

// senderBufferLen holds a superpacket of 64 KiB in messages of a usual MTU.
const senderBufferLen = 72 << 10

// seal lays out and seals a run's packets.
func (s *sender) seal(r *run, mtu int, now time.Duration) {
	plain := r.path.plain(now)
	counter := r.counter
	for i := range r.packets {
		p := &r.packets[i]
		tos := outerTOS(trafficClass(p.data))
		for j := range p.super.Count() {
			n := p.super.SegmentLen(j)
			padded := paddedLen(n, mtu)
			size := wire.SizeDataHeader + padded + aead.Overhead
			s.reserve(size)
			if !s.extends(size, tos, p.ttl) {
				s.close(r)
				s.open(r, counter, size, tos, p.ttl, plain)
			}
			b := s.buf[s.used : s.used+size]
			wire.PutDataHeader(b, r.keypair.RemoteIndex(), counter)
			text := b[wire.SizeDataHeader:]
			p.super.Segment(j, text[:n])
			clear(text[n:padded])
			s.used += size
			s.short = size < s.stride
			counter++
		}
	}
	s.close(r)
}

// keepalive seals an empty message.
func (s *sender) keepalive(r *run) {
	const size = wire.SizeDataHeader + aead.Overhead
	s.reserve(size)
	s.open(r, r.counter, size, 0, 0, false)
	wire.PutDataHeader(s.buf[s.used:s.used+size], r.keypair.RemoteIndex(), r.counter)
	s.used += size
	s.close(r)
}

// extends reports whether a message can go into the segmented send being built. It ends at a shorter message, another TOS, and
// what one system call can carry.
func (s *sender) extends(size int, tos, ttl byte) bool {
	if s.stride == 0 || s.short || size > s.stride {
		return false
	}
	m := &s.messages[len(s.messages)-1]
	bytes := s.used - s.start
	return m.TOS == tos && m.TTL == ttl && bytes+size <= udp.MaxBytes && bytes < udp.MaxSegments*s.stride
}

// open begins a segmented send.
func (s *sender) open(r *run, counter uint64, size int, tos, ttl byte, plain bool) {
	s.start, s.stride, s.counter, s.short = s.used, size, counter, false
	s.messages = append(s.messages, udp.Outgoing{To: &r.path.Endpoint, TOS: tos, TTL: ttl, Plain: plain})
	s.owners = append(s.owners, owner{r.peer, r.path})
}

// close seals the segmented send being built.
func (s *sender) close(r *run) {
	if s.stride == 0 {
		return
	}
	b := s.buf[s.start:s.used]
	r.keypair.SendKey().SealBatch(b, s.stride, wire.SizeDataHeader, s.counter)
	m := &s.messages[len(s.messages)-1]
	m.Data = b
	if len(b) > s.stride {
		m.Segment = s.stride
	}
	s.start, s.stride = s.used, 0
}

// What is sent with a lock held, or by those who serve all peers, doesn't wait for room in the kernel's send buffer; lanes do, so that a
// fast device is held back rather than its packets dropped.
const (
	wait   = false
	noWait = true
)

// send sends all that was sealed, and lets go of it. What the kernel refuses is counted; nothing is returned, since no caller could do more about it:
// the timers go on as if the message had been lost on the way.
func (s *sender) send(t *Tunnel, noWait bool, now time.Duration) {
	defer s.reset()
	sockets := t.sockets.Load()
	for i := range s.messages {
		s.messages[i].NoWait = noWait
	}
	for i := 0; i < len(s.messages); {
		socket, n := socketFor(sockets, s.messages[i:], s.line)
		if socket == nil {
			t.drop(s.owners[i].peer, LinkDown, datagrams(&s.messages[i]))
			i++
			continue
		}
		sent, err := socket.Send(s.messages[i : i+n])
		for j := i; j < i+sent; j++ {
			s.owners[j].peer.tx.Add(uint64(len(s.messages[j].Data)))
			if s.messages[j].SourceRefused {
				s.owners[j].peer.clearSource()
			}
		}
		i += sent
		if err == nil || sent == n {
			continue
		}
		if m := &s.messages[i]; m.Segment != 0 && !m.Plain && udp.SegmentRefused(err) {
			s.unsegment(i, now)
			continue
		}
		t.drop(s.owners[i].peer, SendFailed, datagrams(&s.messages[i]))
		t.complain("send", err)
		i++
	}
}

// unsegment makes message i, and all later ones on its path, go out one datagram at a time; so will others until the path is tried again.
func (s *sender) unsegment(i int, now time.Duration) {
	x := s.owners[i].path
	x.plainUntil.Store(int64(now + gsoRetryTime))
	for j := i; j < len(s.messages); j++ {
		if s.owners[j].path == x {
			s.messages[j].Plain = true
		}
	}
}

// socketFor returns the socket for the first message, and how many messages from there on are for the same.
func socketFor(sockets *udp.Sockets, ms []udp.Outgoing, line int) (udp.Socket, int) {
	if sockets == nil {
		return nil, 0
	}
	v4 := ms[0].To.Addr.Addr().Is4()
	n := 1
	for n < len(ms) && ms[n].To.Addr.Addr().Is4() == v4 {
		n++
	}
	return sockets.For(ms[0].To.Addr.Addr(), line), n
}

// datagrams is how many messages an Outgoing carries.
func datagrams(m *udp.Outgoing) int {
	if m.Segment == 0 {
		return 1
	}
	return (len(m.Data) + m.Segment - 1) / m.Segment
}
