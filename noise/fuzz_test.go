package noise

import (
	"errors"
	"testing"

	"vpn/noise/wire"
)

// expected are the errors that bytes from outside may cause.
func expected(err error) bool {
	return errors.Is(err, ErrAuthentication) || errors.Is(err, ErrLowOrder)
}

// FuzzInitiation gives any bytes to the responder. What gets through is the good initiation: only header and macs may
// differ from it.
func FuzzInitiation(f *testing.F) {
	p := newPair(f)
	_, good := p.initiate(f)
	f.Add(good[:])
	f.Add(make([]byte, wire.SizeInitiation))
	for _, n := range []int{9, 50, 100} {
		forged := *good
		forged[n] ^= 1
		f.Add(forged[:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		msg := new(wire.Initiation)
		copy(msg[:], b)
		a, err := Accept(p.responder, msg)
		if err != nil {
			if !expected(err) {
				t.Fatal("Accept:", err)
			}
			return
		}
		h, err := a.Authenticate(p.toInitial, msg)
		if err != nil {
			if !expected(err) {
				t.Fatal("Authenticate:", err)
			}
			return
		}
		if string(msg.BeforeMAC1()[8:]) != string(good.BeforeMAC1()[8:]) || h.Timestamp() != stamp {
			t.Fatalf("forged: %x", msg[:])
		}
		p.respond(t, h)
	})
}

// FuzzResponse gives any bytes to the initiator. What gets through is the good response.
func FuzzResponse(f *testing.F) {
	p := newPair(f)
	_, initiation := p.initiate(f)
	_, good := p.respond(f, p.authenticate(f, initiation))
	f.Add(good[:])
	f.Add(make([]byte, wire.SizeResponse))
	for _, n := range []int{9, 20, 50} {
		forged := *good
		forged[n] ^= 1
		f.Add(forged[:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		msg := new(wire.Response)
		copy(msg[:], b)
		i, _ := p.initiate(t)
		before := i.symmetric
		if _, err := i.Finish(p.initiator, p.toResponder, msg); err == nil {
			if string(msg.BeforeMAC1()[8:]) != string(good.BeforeMAC1()[8:]) {
				t.Fatalf("forged: %x", msg[:])
			}
		} else if !expected(err) || i.symmetric != before || i.spent {
			t.Fatalf("Finish: %v, spent %t", err, i.spent)
		}
	})
}
