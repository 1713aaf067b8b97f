package sim

import (
	"net/netip"
	"slices"
	"time"

	"vpn/noise/cookie"
	"vpn/noise/wire"
	"vpn/tunnel"
)

// What is in this file judges how a node copes with more handshake messages than it can work on.

// A place is where a node was seen by another one.
type place struct {
	node int
	at   netip.AddrPort
}

// A source is what the limiter counts: an IPv4 address, or the /64 of an IPv6 one.
type source struct {
	node int
	at   netip.Prefix
}

func sourceOf(n *node, at netip.AddrPort) source {
	bits := 32
	if familyOf(at.Addr()) == v6 {
		bits = 64
	}
	p, err := at.Addr().Prefix(bits)
	if err != nil {
		panic(err)
	}
	return source{n.number, p}
}

// burdened is how a node was when a step began.
type burdened struct {
	loaded bool
	worked uint64 // handshake messages for which it has done Diffie-Hellman in vain
}

func lookAt(n *node) (b burdened) {
	if n.stock == nil && n.underLoad() {
		b = burdened{true, workedInVain(n)}
	}
	return b
}

func workedInVain(n *node) (sum uint64) {
	d := n.Drops()
	for _, why := range []tunnel.Reason{tunnel.BadHandshake, tunnel.UnknownPeer, tunnel.ReplayedInitiation, tunnel.InitiationFlood} {
		sum += d[why]
	}
	return sum
}

// bringsCookie reports whether a handshake message may have a good mac2: it has one, and a cookie went where it comes from while it was good.
func (r *referee) bringsCookie(n *node, d datagram) bool {
	mac2 := d.data[len(d.data)-macLen:]
	given, ok := r.cookies[place{n.number, d.from}]
	return ok && r.w.now()-given < cookie.SecretLifetime && !slices.Equal(mac2, make([]byte, macLen))
}

// load judges what came of a step in which handshake messages arrived.
func (r *referee) load(n *node, before burdened, in arrival, o *output) {
	handshakes, bare := 0, 0
	for _, d := range in {
		kind, _ := wire.Classify(d.data)
		if kind != wire.TypeInitiation && kind != wire.TypeResponse || !r.meantFor(d.data, n.public) {
			continue
		}
		if handshakes++; !r.bringsCookie(n, d) {
			bare++
		}
	}
	replies, others, made := 0, 0, 0
	for _, d := range o.sent {
		kind, _ := wire.Classify(d.data)
		if kind == wire.TypeResponse {
			made++
		}
		if kind != wire.TypeCookieReply {
			others++
			continue
		}
		replies++
		r.w.saw(cookieDemanded)
		r.cookies[place{n.number, d.to}] = r.w.now()
		if !slices.ContainsFunc(in, func(x datagram) bool { return x.from == d.to }) {
			r.fail(cookieFirst, "node %d sends a cookie to %v, who did not ask", n.number, d.to)
		}
	}
	if !before.loaded {
		if replies > 0 {
			r.fail(cookieFirst, "node %d demands a cookie and is not under load", n.number)
		}
		return
	}
	if handshakes == 0 {
		return
	}
	worked := int(workedInVain(n) - before.worked)
	if bare == len(in) && (replies != bare || others > 0 || o.started() || worked > 0) {
		r.fail(cookieFirst, "node %d under load has had %d messages without a cookie, has demanded %d and worked on %d, and sent %d other messages",
			n.number, bare, replies, worked, others)
	}
	if o.started() {
		made++
	}
	if bare == 0 {
		if made > 0 {
			r.w.saw(cookieAccepted)
		}
		r.limit(n, in[0].from, worked+made)
	}
}

// limit holds that one source does not make a node do more work than its share.
func (r *referee) limit(n *node, from netip.AddrPort, worked int) {
	x := sourceOf(n, from)
	now := r.w.now()
	recent := slices.DeleteFunc(r.worked[x], func(at time.Duration) bool { return at <= now-time.Second })
	for range worked {
		recent = append(recent, now)
	}
	if r.worked[x] = recent; len(recent) > cookie.LimitPerSecond+cookie.LimitBurst {
		r.fail(sourceLimit, "node %d under load has worked on %d messages of %v within a second", n.number, len(recent), from)
	}
}
