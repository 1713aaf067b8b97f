package ipstack

import (
	"errors"
	"net"
	"time"
)

// When a segment goes out again.
const (
	// firstWait is after how long without progress what is under way counts as
	// lost. It doubles each time, until longestWait.
	firstWait   = 100 * time.Millisecond
	longestWait = 2 * time.Second
	// patience is how many times in a row there may be no answer: some 30 s.
	patience = 20
	// lostAfter is how many later ones have come when one counts as lost: less may
	// be a change of order.
	lostAfter = 3
)

var (
	errReset  = errors.New("refused or broken off by the other end")
	errSilent = errors.New("the other end does not answer")
)

// push sends what there is and the other end has room for. If it has none, one
// segment goes out all the same: the answer to it, or to its repetition, tells of
// new room also when the news of it was lost.
func (c *conn) push() {
	if c.acked == c.sent {
		c.progress = time.Now()
	}
	for c.sent < c.written && (c.sent < c.allowed || c.sent == c.acked) {
		s := c.out.at(c.sent)
		c.transmit(s.kind, c.sent, s.data)
		c.sent++
	}
	if c.acked < c.sent && !c.armed {
		c.arm(c.wait)
	}
}

// transmit sends a segment, and with it what there is to say of the other row.
func (c *conn) transmit(k kind, number uint64, b []byte) {
	c.told = c.read + window
	h := header{
		kind: k, stream: c.stream, number: number,
		next: c.came, window: uint16(c.told - c.came), ahead: c.ahead,
	}
	var room [segmentHeader]byte
	c.stack.send(c.local, c.remote, h.append(room[:0]), b)
	c.owes = false
}

// owe sees to it that what has come is acknowledged.
func (c *conn) owe() {
	if !c.owes {
		c.owes = true
		c.stack.owing = append(c.stack.owing, c)
	}
}

// acknowledge says what has come, unless that was said already.
func (c *conn) acknowledge() {
	if c.owes && c.err == nil {
		c.transmit(news, 0, nil)
	}
}

// arm starts the timer.
func (c *conn) arm(d time.Duration) {
	c.armed = true
	if c.timer == nil {
		c.timer = time.AfterFunc(d, c.expire)
		return
	}
	c.timer.Reset(d)
}

// expire is called by the timer. If nothing has moved for long enough, all that
// is under way counts as lost.
func (c *conn) expire() {
	c.stack.mu.Lock()
	defer c.stack.mu.Unlock()
	c.armed = false
	if c.err != nil || c.acked == c.sent {
		return
	}
	if left := c.wait - time.Since(c.progress); left > 0 {
		c.arm(left)
		return
	}
	if c.silent++; c.silent > patience {
		c.fail(errSilent)
		return
	}
	c.wait = min(2*c.wait, longestWait)
	c.again()
}

// again begins anew with the first that is not acknowledged. The others follow
// when the answer to it tells which of them were lost as well.
func (c *conn) again() {
	c.sent = c.acked
	c.progress = time.Now()
	s := c.out.at(c.sent)
	c.transmit(s.kind, c.sent, s.data)
	c.sent++
	c.arm(c.wait)
}

// handle takes a segment that is for this stream.
func (c *conn) handle(h *header, b []byte) {
	if c.err != nil {
		return
	}
	if h.kind == reset {
		c.fail(errReset)
		return
	}
	c.silent = 0
	c.settle(h)
	if c.closed && h.kind == data && h.number >= c.came { // nobody is going to read it
		c.abort(errReset)
		return
	}
	if h.kind != news {
		c.take(h, b)
		c.owe()
	}
	c.finish()
}

// settle notes what the other end says of our row, and sends what can be sent now.
func (c *conn) settle(h *header) {
	if h.next > c.written { // which we have not sent
		return
	}
	full := c.allowed <= c.acked
	if h.next > c.acked {
		c.acked = h.next
		c.sent = max(c.sent, c.acked)
		c.progress, c.wait = time.Now(), firstWait
		c.changed.Broadcast()
	}
	c.allowed = max(c.allowed, h.next+uint64(h.window))
	if full && c.allowed > c.acked && c.acked < c.sent { // there was no room for what is under way
		c.sent = c.acked
	}
	if first := c.out.at(c.acked); h.next == c.acked && h.ahead >= lostAfter && c.acked < c.sent && !first.resent {
		first.resent = true
		c.transmit(first.kind, c.acked, first.data)
	}
	c.push()
}

// take puts a segment of the other row in its place, if it is new and there is
// room, and moves on as far as there is no gap.
func (c *conn) take(h *header, b []byte) {
	if h.number < c.came || h.number >= c.read+window || c.in.at(h.number).kind != news {
		return
	}
	c.in.put(h.number, h.kind, b)
	c.ahead++
	for c.came < c.read+window && c.in.at(c.came).kind != news {
		switch c.in.at(c.came).kind {
		case open:
			c.in.at(c.came).kind = news
			c.read++
		case end:
			c.ended = true
		}
		c.came++
		c.ahead--
	}
	c.changed.Broadcast()
}

// finish forgets the stream when both rows have come to their ends.
func (c *conn) finish() {
	if c.closed && c.ended && c.acked == c.written {
		c.acknowledge()
		c.fail(net.ErrClosed)
	}
}
