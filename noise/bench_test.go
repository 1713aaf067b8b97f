package noise

import (
	"crypto/rand"
	"testing"

	"vpn/noise/wire"
)

// Both sides know each other already, as when a session is renewed: the static-static secrets are there.

func BenchmarkInitiate(b *testing.B) {
	p := newPair(b)
	msg := new(wire.Initiation)
	b.ReportAllocs()
	for b.Loop() {
		i, err := Initiate(p.initiator, p.toResponder, 1, stamp, rand.Reader, msg)
		if err != nil {
			b.Fatal(err)
		}
		i.Erase()
	}
}

// BenchmarkRespond is all that a responder does: Accept, Authenticate and Respond.
func BenchmarkRespond(b *testing.B) {
	p := newPair(b)
	_, initiation := p.initiate(b)
	response := new(wire.Response)
	b.ReportAllocs()
	for b.Loop() {
		s, err := p.authenticate(b, initiation).Respond(p.toInitial, 2, rand.Reader, response)
		if err != nil {
			b.Fatal(err)
		}
		s.Erase()
	}
}

// BenchmarkRefuse is what an initiation costs that was made by somebody who knows no private key.
func BenchmarkRefuse(b *testing.B) {
	p := newPair(b)
	_, initiation := p.initiate(b)
	initiation.Static()[0] ^= 1
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Accept(p.responder, initiation); err == nil {
			b.Fatal("a forged initiation is accepted")
		}
	}
}

func BenchmarkHandshake(b *testing.B) {
	p := newPair(b)
	b.ReportAllocs()
	for b.Loop() {
		i, r := p.handshake(b)
		i.Erase()
		r.Erase()
	}
}
