package sim

import (
	"bytes"
	"time"

	"vpn/noise/wire"
)

// An attacker records everything that is sent, and sends it again: later, in other sessions, changed, from anywhere, to anybody.
type attacker struct {
	w    *world
	tape []recorded
}

type recorded struct {
	datagram
	victim *node // who it was for, nil if nobody was there
}

func (a *attacker) record(d datagram, victim *node) { a.tape = append(a.tape, recorded{d, victim}) }

// attack sends one datagram.
func (a *attacker) attack() {
	w := a.w
	if len(a.tape) == 0 {
		return
	}
	// Half of the time something fresh, which may still mean something.
	x := a.tape[w.random.IntN(len(a.tape))]
	if w.chance(0.5) {
		x = a.tape[len(a.tape)-1-w.random.IntN(min(len(a.tape), 20))]
	}
	victim := x.victim
	if victim == nil || w.chance(0.1) {
		victim = w.nodes[w.random.IntN(len(w.nodes))]
	}
	d := datagram{from: x.from, to: victim.anyAddress(), data: x.data}
	switch w.random.IntN(4) {
	case 0: // as it was
	case 1:
		d.from = w.nodes[w.random.IntN(len(w.nodes))].anyAddress()
	default:
		d.from = attackersPlace[familyOf(d.to.Addr())]
	}
	if familyOf(d.from.Addr()) != familyOf(d.to.Addr()) {
		d.from = attackersPlace[familyOf(d.to.Addr())] // nothing goes from one family to the other
	}
	switch w.random.IntN(8) {
	case 0:
		d.data = w.spoil(d.data)
	case 1:
		d.data = w.garbage()
	}
	w.network.deliver(arrival{d}, w.upTo(50*time.Millisecond))
}

// spoil changes a datagram somewhere.
func (w *world) spoil(b []byte) []byte {
	b = bytes.Clone(b)
	switch w.random.IntN(3) {
	case 0:
		b[w.random.IntN(len(b))] ^= byte(1 + w.random.IntN(255))
	case 1:
		b = b[:w.random.IntN(len(b))]
	case 2:
		b = append(b, make([]byte, 1+w.random.IntN(64))...)
	}
	return b
}

// garbage is noise that looks like a message.
func (w *world) garbage() []byte {
	b := make([]byte, pick(w, 0, 1, 4, 31, wire.MinSizeData, wire.SizeCookieReply, wire.SizeResponse, wire.SizeInitiation, 1500))
	for i := range b {
		b[i] = byte(w.random.Uint32())
	}
	if len(b) >= 4 {
		copy(b, []byte{byte(1 + w.random.IntN(4)), 0, 0, 0})
	}
	return b
}
