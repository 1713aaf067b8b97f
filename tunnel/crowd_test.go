package tunnel

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"net/netip"
	"time"

	"vpn/noise"
	"vpn/noise/aead"
	"vpn/noise/cookie"
	"vpn/noise/wire"
	"vpn/rekey"
	"vpn/tunnel/uapi"
)

// A crowd is many peers of one host, each with an outer and an inner address of its own, which are not engines: they are made of packages
// noise and noise/cookie alone, so that ten thousand of them are cheap. What the host sends to them is found in the world's log.
type crowd struct {
	w       *world
	host    *host
	members []*member
	at      map[netip.AddrPort]*member
}

// A member knows a host, and is in once it has a session.
type member struct {
	crowd   *crowd
	outer   netip.AddrPort
	inner   netip.Addr
	local   *noise.Local
	remote  *noise.Remote
	cookies *cookie.Generator

	handshake *noise.Initiator
	message   wire.Initiation // of handshake
	hadCookie bool            // message had a mac2 when it was last sent
	session   *noise.Session  // nil until it is in
	sendKey   *aead.Key
	counter   uint64
}

// newCrowd makes n members and tells the host of them.
func newCrowd(h *host, n int) *crowd {
	c := &crowd{w: h.w, host: h, at: make(map[netip.AddrPort]*member)}
	config := new(uapi.Config)
	for i := range n {
		private := newPrivateKey(h.w.t)
		m := &member{
			crowd: c, outer: netip.AddrPortFrom(address4(127<<24+1<<16+i), 51820), inner: address4(10<<24 + 64<<16 + i),
			local: noise.NewLocal(&private), remote: noise.NewRemote(h.public()), cookies: cookie.NewGenerator(h.public()),
		}
		c.members = append(c.members, m)
		c.at[m.outer] = m
		config.Peers = append(config.Peers, uapi.PeerConfig{
			PublicKey: m.local.Public(), Endpoint: m.outer, AllowedIPs: []uapi.AllowedIP{{Prefix: netip.PrefixFrom(m.inner, 32)}},
		})
	}
	h.set(config)
	return c
}

func address4(n int) netip.Addr {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(n))))
}

// send puts a message on the network, and does not wait for what follows.
func (m *member) send(message []byte) {
	c := m.crowd
	c.w.mu.Lock()
	s := c.w.sockets[c.host.outer4()]
	c.w.mu.Unlock()
	s.deliver(datagram{from: m.outer, to: c.host.outer4(), data: bytes.Clone(message)})
}

// call sends an initiation: the same one again if the last was not answered, which the host can't tell from a new one, with new MACs.
func (m *member) call() {
	t := m.crowd.w.t
	if m.handshake == nil {
		var err error
		if m.handshake, err = noise.Initiate(m.local, m.remote, 7, noise.Stamp(time.Now()), rand.Reader, &m.message); err != nil {
			t.Fatal(err)
		}
	}
	now := m.crowd.host.clock.Now()
	m.hadCookie = m.cookies.HasCookie(now)
	m.cookies.AddMACs(m.message[:], now)
	m.send(m.message[:])
}

// hear takes what the host has sent to the members, and returns what was data.
func (c *crowd) hear() (data []datagram) {
	c.w.t.Helper()
	for _, d := range c.w.sent() {
		m := c.at[d.to]
		switch {
		case m == nil:
		case d.kind() == wire.TypeData:
			data = append(data, d)
		case d.kind() == wire.TypeResponse && m.session == nil:
			m.enter(wire.AsResponse(d.data))
		case d.kind() == wire.TypeCookieReply && !m.hadCookie:
			if !m.cookies.Consume(wire.AsCookieReply(d.data), c.host.clock.Now()) {
				c.w.t.Errorf("%v got a cookie reply that is no good", m.outer)
			}
		default:
			c.w.t.Errorf("%v, which has a session %v and has sent a cookie %v, got %v", m.outer, m.session != nil, m.hadCookie, d)
		}
	}
	return data
}

// enter ends the handshake, and confirms the session with a keepalive.
func (m *member) enter(r *wire.Response) {
	t := m.crowd.w.t
	var err error
	if m.session, err = m.handshake.Finish(m.local, m.remote, r); err != nil {
		t.Fatalf("%v: %v", m.outer, err)
	}
	if m.sendKey, err = aead.NewArena(nil).NewKey(&m.session.Send); err != nil {
		t.Fatal(err)
	}
	m.say(nil)
}

// say sends a data message.
func (m *member) say(plaintext []byte) {
	b := make([]byte, wire.SizeDataHeader+len(plaintext)+aead.Overhead)
	wire.PutDataHeader(b, m.session.RemoteIndex, m.counter)
	copy(b[wire.SizeDataHeader:], plaintext)
	m.sendKey.Seal(b[wire.SizeDataHeader:], m.counter)
	m.counter++
	m.send(b)
}

// packet makes a packet from the member to the host, or the other way.
func (m *member) packet(out bool) []byte {
	src, dst := m.inner.String(), m.crowd.host.inner4()
	if out {
		src, dst = dst, src
	}
	return ip4(src, dst, protocolUDP, make([]byte, 12)) // 32 bytes in all: nothing to pad
}

// in counts the members that have a session.
func (c *crowd) in() (n int) {
	for _, m := range c.members {
		if m.session != nil {
			n++
		}
	}
	return n
}

// wantKnown checks that the host has a confirmed session with each of some members, and has counted nothing against them.
func wantKnown(c *crowd, members []*member) {
	c.w.t.Helper()
	for _, m := range members {
		p := c.host.peers.get(m.local.Public())
		if k := p.machine.Sending(); k == nil || k.Role() != rekey.Responder || k.LocalIndex() != m.session.RemoteIndex {
			c.w.t.Fatalf("the host has no session with %v", m.outer)
		}
	}
}
