package tunnel

import (
	"time"

	"vpn/noise/aead"
	"vpn/noise/erasing"
	"vpn/noise/wire"
	"vpn/rekey"
	"vpn/tun"
	"vpn/tunnel/udp"
)

// inbound is a batch on its way from a socket to the device:
//
//	socket.Receive -> type; handshake messages leave here -> index -> session, acquired            (read, plan)
//	-> open in place, a verdict per message                                                        (work)
//	-> replay window -> endpoint -> ECN, trim, source check -> queue.Write -> Machine.Received      (finish)
type inbound struct {
	tunnel   *Tunnel
	socket   udp.Socket
	queue    tun.Queue
	in       *udp.Batch
	messages []message
	sealed   []aead.Sealed // one for each message
	runs     []inRun
	packets  [][]byte // what goes to the device
	replies  cookieReplies
	now      time.Duration
}

// A message is one data message: where it lies, and the datagram's outside.
type message struct {
	from  *udp.Incoming
	bytes int
}

// An inRun is consecutive messages of one session, which is held until they are delivered.
type inRun struct {
	peer        *Peer
	keypair     *rekey.Keypair
	first, last int // messages[first:last]
	data        bool
	fresh       int
}

func newInbound(t *Tunnel, s udp.Socket, q tun.Queue) *inbound {
	return &inbound{tunnel: t, socket: s, queue: q, in: udp.NewBatch()}
}

func (b *inbound) read() error { return b.socket.Receive(b.in) }

// plan sorts the messages: those of handshakes go to a queue of their own, data messages are grouped into runs by receiver index.
func (b *inbound) plan() int {
	t := b.tunnel
	b.now = t.clock.Now()
	t.recently.pass(b.now)
	b.messages, b.sealed, b.runs = b.messages[:0], b.sealed[:0], b.runs[:0]
	bytes := 0
	for i := range b.in.Messages {
		in := &b.in.Messages[i]
		step := in.Segment
		if step <= 0 {
			step = max(len(in.Data), 1)
		}
		for data := in.Data; ; {
			one := data[:min(step, len(data))]
			bytes += len(one)
			b.sort(one, in)
			if data = data[len(one):]; len(data) == 0 {
				break
			}
		}
	}
	b.replies.send(b.socket)
	return bytes
}

// sort takes one message.
func (b *inbound) sort(m []byte, in *udp.Incoming) {
	kind, ok := wire.Classify(m)
	if !ok {
		b.tunnel.drop(nil, NotAMessage, 1)
		return
	}
	if kind != wire.TypeData {
		b.tunnel.handshakes.receive(kind, m, in.From, &b.replies, b.now)
		return
	}
	index := wire.DataReceiver(m)
	if last := len(b.runs) - 1; last < 0 || b.runs[last].keypair.LocalIndex() != index {
		if !b.begin(index) {
			return
		}
	}
	b.messages = append(b.messages, message{in, len(m)})
	b.sealed = append(b.sealed, aead.Sealed{Text: m[wire.SizeDataHeader:], Counter: wire.DataCounter(m)})
	b.runs[len(b.runs)-1].last++
}

// begin starts a run for a receiver index, if there is a session for it.
func (b *inbound) begin(index uint32) bool {
	t := b.tunnel
	e, ok := t.index.lookup(index)
	if !ok || e.keypair == nil {
		t.drop(nil, UnknownIndex, 1)
		return false
	}
	if !e.keypair.Acquire(b.now) {
		t.drop(e.peer, KeyExpired, 1)
		return false
	}
	n := len(b.messages)
	b.runs = append(b.runs, inRun{peer: e.peer, keypair: e.keypair, first: n, last: n})
	return true
}

func (b *inbound) work() {
	erasing.Do(func() {
		for i := range b.runs {
			r := &b.runs[i]
			r.keypair.ReceiveKey().OpenBatch(b.sealed[r.first:r.last])
		}
	})
}

func (b *inbound) finish() {
	b.packets = b.packets[:0]
	for i := range b.runs {
		b.accept(&b.runs[i])
	}
	// The machine is told, and does what follows, before an answer of this host can go out: the first data of a session is what lets
	// us send on it, and the answer must not go out on the session before, which the peer may have forgotten.
	for i := range b.runs {
		r := &b.runs[i]
		if r.fresh > 0 && r.peer.machine.Received(r.keypair, r.data, b.now) {
			r.peer.poll(b.now)
		}
	}
	b.deliver()
	for i := range b.runs {
		b.runs[i].keypair.Release()
	}
	clear(b.runs)
	clear(b.packets)
}

// accept authenticates, in the order that counts: tag, replay window, endpoint, source.
func (b *inbound) accept(r *inRun) {
	t, p := b.tunnel, r.peer
	sealed := b.sealed[r.first:r.last]
	authentic := verdicts(sealed)
	t.drop(p, BadTag, len(sealed)-authentic)
	r.keypair.CheckReplay(sealed)
	r.fresh = verdicts(sealed)
	t.drop(p, ReplayedCounter, authentic-r.fresh)

	bytes := 0
	var newest *udp.Incoming
	for i := range sealed {
		if !sealed[i].OK {
			continue
		}
		m := &b.messages[r.first+i]
		newest = m.from
		bytes += m.bytes
		text := sealed[i].Text[:len(sealed[i].Text)-aead.Overhead]
		if len(text) == 0 {
			continue // a keepalive
		}
		r.data = true
		if why, ok := t.admit(p, &text, m.from.TOS); !ok {
			t.drop(p, why, 1)
			if why == SourceNotAllowed {
				p.noteSource(text, b.now)
			}
			continue
		}
		b.packets = append(b.packets, text)
	}
	if newest != nil {
		p.follow(newest.From)
		p.rx.Add(uint64(bytes))
	}
}

// verdicts counts the messages that are good so far.
func verdicts(ms []aead.Sealed) (n int) {
	for i := range ms {
		if ms[i].OK {
			n++
		}
	}
	return n
}

// admit trims a decrypted packet and decides whether this peer may send it.
func (t *Tunnel) admit(p *Peer, text *[]byte, tos byte) (why Reason, ok bool) {
	packet, ok := trim(*text)
	if !ok {
		return BadInnerPacket, false
	}
	src, _, _ := addresses(packet)
	if owner, _ := t.allowed.Lookup(src); owner != p {
		return SourceNotAllowed, false
	}
	if tos&ecnMask == ecnCE && !markCongestion(packet) {
		return Congested, false
	}
	*text = packet
	return 0, true
}

// deliver hands the packets to the device. One that it refuses does not hold up those behind it.
func (b *inbound) deliver() {
	if len(b.packets) == 0 {
		return
	}
	n, err := b.queue.Write(b.packets)
	if err != nil {
		b.tunnel.drop(nil, DeviceRefused, len(b.packets)-n)
	}
}
