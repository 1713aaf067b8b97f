package ipstack

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"
)

// conn is one end of a stream.
type conn struct {
	endpoint
	stream  uint32
	most    int        // bytes in a segment
	leave   func()     // makes its place forget it
	writing sync.Mutex // one Write at a time

	// What follows is guarded by the stack's lock.
	err      error     // why nothing is sent or received any more
	closed   bool      // by Close
	offering *listener // that offers it to Accept as soon as the other end has answered

	out     row
	acked   uint64 // of our row: all before have come
	sent    uint64 // all before went out, those from acked on are under way
	written uint64 // all before are there
	allowed uint64 // all before the other end has room for

	in     row
	read   uint64 // of the other row: all before are read
	offset int    // bytes that are read of the next
	came   uint64 // all before have come
	ahead  uint16 // how many have come behind a gap at came
	told   uint64 // the end of the window as the other end knows it
	ended  bool   // the last one has come
	owes   bool   // something has come that is not acknowledged

	timer    *time.Timer // of expire
	armed    bool
	wait     time.Duration // until what is under way counts as lost
	progress time.Time     // when there was something new last
	silent   int           // how many times it went out again without an answer
}

// newConn makes one end, whose first segment waits to be sent.
func newConn(s *Stack, local, remote netip.AddrPort, stream uint32) *conn {
	c := &conn{
		endpoint: endpoint{stack: s, local: local, remote: remote},
		stream:   stream, most: s.room() - segmentHeader, wait: firstWait,
		allowed: 1, // room for the first is certain
	}
	c.changed.L = &s.mu
	c.write(open, nil)
	return c
}

// Dial opens a stream to where another stack listens. The end of ctx ends
// the attempt only.
func (s *Stack) Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	if !to.Addr().Is4() {
		return nil, fmt.Errorf("%v is not reached by IPv4", to)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := newConn(s, netip.AddrPortFrom(s.addr, 0), to, rand.Uint32())
	var err error
	if c.local, err = s.bind(c.local, c); err != nil {
		return nil, err
	}
	c.leave = func() { delete(s.sockets, c.local) }
	defer context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if c.came == 0 {
			c.abort(context.Cause(ctx))
		}
	})()
	c.push()
	for c.came == 0 && c.err == nil {
		c.changed.Wait()
	}
	if c.err != nil {
		return nil, c.failure("dial", c.err)
	}
	return c, nil
}

// receive implements socket, for the end that has dialled.
func (c *conn) receive(from netip.AddrPort, payload []byte) {
	h, b, ok := parseSegment(payload)
	if ok && from == c.remote && h.stream == c.stream {
		c.handle(&h, b)
	}
}

// write puts a segment into the row.
func (c *conn) write(k kind, b []byte) {
	c.out.put(c.written, k, b)
	c.written++
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) {
	c.stack.mu.Lock()
	defer c.stack.mu.Unlock()
	for {
		if c.closed {
			return 0, c.failure("read", net.ErrClosed)
		}
		if err := c.reads.expired(); err != nil {
			return 0, c.failure("read", err)
		}
		if n := c.fill(b); n > 0 || len(b) == 0 {
			return n, nil
		}
		if c.ended && c.read+1 == c.came {
			return 0, io.EOF
		}
		if c.err != nil {
			return 0, c.failure("read", c.err)
		}
		c.changed.Wait()
	}
}

// fill reads what has come, and tells the other end when that makes much room.
func (c *conn) fill(b []byte) (n int) {
	for n < len(b) && c.read < c.came {
		s := c.in.at(c.read)
		if s.kind != data {
			break
		}
		k := copy(b[n:], s.data[c.offset:])
		n, c.offset = n+k, c.offset+k
		if c.offset == len(s.data) {
			s.kind, c.offset = news, 0
			c.read++
		}
	}
	if c.err == nil && c.read+window-c.told >= window/2 {
		c.transmit(news, 0, nil)
	}
	return n
}

// Write implements net.Conn. It returns when there is room for all of b among
// what is to be sent.
func (c *conn) Write(b []byte) (n int, err error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.stack.mu.Lock()
	defer c.stack.mu.Unlock()
	for {
		switch {
		case c.closed:
			return n, c.failure("write", net.ErrClosed)
		case c.writes.passed:
			return n, c.failure("write", c.writes.expired())
		case c.err != nil:
			return n, c.failure("write", c.err)
		}
		for n < len(b) && c.written-c.acked < window-1 { // the last slot is for the end
			k := min(len(b)-n, c.most)
			c.write(data, b[n:n+k])
			n += k
		}
		c.push()
		if n == len(b) {
			return n, nil
		}
		c.changed.Wait()
	}
}

// Close implements net.Conn. What was written is still sent, for as long as the
// stack is there; the other end is told that what it sent is not read.
func (c *conn) Close() error {
	c.stack.mu.Lock()
	defer c.stack.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	c.end()
	if c.err != nil {
		return nil
	}
	if c.read < c.came && !(c.ended && c.read+1 == c.came) {
		c.abort(net.ErrClosed)
		return nil
	}
	c.write(end, nil)
	c.push()
	c.finish()
	return nil
}

// abort ends the stream at both ends.
func (c *conn) abort(err error) {
	if c.err == nil {
		c.transmit(reset, 0, nil)
		c.fail(err)
	}
}

// fail implements socket: it ends the stream at this end.
func (c *conn) fail(err error) {
	if c.err != nil {
		return
	}
	c.err = err
	if c.timer != nil {
		c.timer.Stop()
	}
	c.leave()
	c.end()
}
