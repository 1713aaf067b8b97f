package cookie

import (
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"vpn/noise/key"
	"vpn/noise/wire"
)

// CookieLifetime is how long a received cookie is used: what its maker's secret lives, less the time that messages take.
const CookieLifetime = SecretLifetime - 5*time.Second

// Generator puts macs on the messages sent to one peer, and takes its cookies. It is small until it is first used. Its
// calls must not be concurrent.
type Generator struct {
	public key.Public
	state  *generated // nil before the first AddMACs
}

type generated struct {
	sent     [macSize]byte // the mac1 of the last message
	cookie   [macSize]byte
	received time.Duration // when cookie came
	waiting  bool          // sent is not answered yet
	have     bool          // there is a cookie
}

// NewGenerator makes the generator for the peer with this public key.
func NewGenerator(p key.Public) *Generator { return &Generator{public: p} }

// AddMACs writes mac1, and mac2 if there is a cookie younger than CookieLifetime, into an initiation or a response that is
// otherwise complete. It panics on any other length.
func (g *Generator) AddMACs(msg []byte, now time.Duration) {
	text1, text2, mac1, mac2, ok := split(msg)
	if !ok {
		panic("cookie: " + ErrMessage.Error())
	}
	k := derive(labelMAC1, &g.public)
	mac(mac1, k[:], text1)
	if g.state == nil {
		g.state = new(generated)
	}
	g.state.sent = *mac1
	g.state.waiting = true
	if g.HasCookie(now) {
		mac(mac2, g.state.cookie[:], text2)
	} else {
		clear(mac2[:])
	}
}

// Consume takes the cookie out of a reply, and reports whether it did. It does only if the reply is authentic for the mac1
// last sent, and only once for each: no reply that comes unasked, late or again is believed.
func (g *Generator) Consume(r *wire.CookieReply, now time.Duration) bool {
	if g.state == nil || !g.state.waiting {
		return false
	}
	k := derive(labelCookie, &g.public)
	aead, err := chacha20poly1305.NewX(k[:])
	if err != nil {
		panic(err) // the key's length is a constant
	}
	var cookie [macSize]byte
	if _, err := aead.Open(cookie[:0], r.Nonce()[:], r.Cookie()[:], g.state.sent[:]); err != nil {
		return false
	}
	g.state.cookie = cookie
	g.state.received = now
	g.state.have = true
	g.state.waiting = false
	clear(cookie[:])
	return true
}

// HasCookie reports whether the next message will have a mac2.
func (g *Generator) HasCookie(now time.Duration) bool {
	return g.state != nil && g.state.have && now-g.state.received < CookieLifetime
}

// Erase forgets the cookie and the last mac1. The generator can be used again.
func (g *Generator) Erase() {
	if g.state != nil {
		*g.state = generated{}
		g.state = nil
	}
}
