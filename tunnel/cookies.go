package tunnel

import (
	"time"

	"vpn/noise/wire"
	"vpn/tunnel/udp"
)

// cookieReplies are the cookies that one received batch makes us demand. They are sent together, so that a flood costs the reader
// as little as can be.
type cookieReplies struct {
	messages []udp.Outgoing
	bytes    []wire.CookieReply
	to       []udp.Endpoint
}

// maxCookieReplies is as many as a batch has messages, so that what messages refer to stays where it is.
const maxCookieReplies = 64

// add answers a handshake message with a cookie, which is smaller than any of them.
func (c *cookieReplies) add(t *Tunnel, id *identity, m []byte, from udp.Endpoint, now time.Duration) {
	if c.messages == nil {
		c.messages = make([]udp.Outgoing, 0, maxCookieReplies)
		c.bytes = make([]wire.CookieReply, maxCookieReplies)
		c.to = make([]udp.Endpoint, maxCookieReplies)
	}
	n := len(c.messages)
	if n == maxCookieReplies {
		return
	}
	if err := id.cookies.Reply(m, from.Addr, now, t.rand, &c.bytes[n]); err != nil {
		t.complain("make a cookie", err)
		return
	}
	c.to[n] = from
	c.messages = append(c.messages, udp.Outgoing{Data: c.bytes[n][:], To: &c.to[n], NoWait: true})
}

// send sends what was added. What can't be sent is not even counted: the sources are anybody's claim.
func (c *cookieReplies) send(socket udp.Socket) {
	for ms := c.messages; len(ms) > 0; {
		n, err := socket.Send(ms)
		if err == nil {
			break
		}
		ms = ms[n+1:]
	}
	c.messages = c.messages[:0]
}
