package noise

import (
	"errors"
	"io"
	"strings"
	"testing"

	"vpn/noise/key"
	"vpn/noise/wire"
)

func TestHandshake(t *testing.T) {
	i, r := newPair(t).handshake(t)
	if i.Send != r.Receive || i.Receive != r.Send || i.Send == i.Receive {
		t.Error("the two sides' keys don't match")
	}
	if i.LocalIndex != 0x11223344 || i.RemoteIndex != 0x55667788 || r.LocalIndex != i.RemoteIndex || r.RemoteIndex != i.LocalIndex {
		t.Errorf("indices %#x, %#x and %#x, %#x", i.LocalIndex, i.RemoteIndex, r.LocalIndex, r.RemoteIndex)
	}
	i.Erase()
	if *i != (Session{}) {
		t.Error("an erased session is not zero")
	}
	(*Session)(nil).Erase()
}

func TestMessagesAreWhole(t *testing.T) {
	p := newPair(t)
	_, initiation := p.initiate(t)
	if typ, ok := wire.Classify(initiation[:]); typ != wire.TypeInitiation || !ok || initiation.Sender() != 0x11223344 {
		t.Errorf("initiation is %v, %t, of %#x", typ, ok, initiation.Sender())
	}
	_, response := p.respond(t, p.authenticate(t, initiation))
	if typ, ok := wire.Classify(response[:]); typ != wire.TypeResponse || !ok || response.Sender() != 0x55667788 || response.Receiver() != 0x11223344 {
		t.Errorf("response is %v, %t, of %#x to %#x", typ, ok, response.Sender(), response.Receiver())
	}
}

// An initiator survives every response but the good one.
func TestForgedResponses(t *testing.T) {
	p := newPair(t)
	i, initiation := p.initiate(t)
	theirs, response := p.respond(t, p.authenticate(t, initiation))
	for n := range response.BeforeMAC1() {
		forged := *response
		forged[n] ^= 0x40
		s, err := i.Finish(p.initiator, p.toResponder, &forged)
		switch {
		case n < 8: // the type and the sender's index are no part of the transcript
			if err != nil {
				t.Fatalf("changed in byte %d: %v", n, err)
			}
			if s.Send != theirs.Receive {
				t.Errorf("changed in byte %d: another session", n)
			}
			i, _ = p.initiate(t) // the same again
		case !errors.Is(err, ErrAuthentication) || s != nil:
			t.Errorf("changed in byte %d: %v, %v, want %v", n, s, err, ErrAuthentication)
		}
	}
	for _, point := range lowOrderPoints {
		forged := *response
		*forged.Ephemeral() = unhex32(t, point)
		if _, err := i.Finish(p.initiator, p.toResponder, &forged); !errors.Is(err, ErrLowOrder) {
			t.Errorf("ephemeral %s: %v, want %v", point, err, ErrLowOrder)
		}
	}
	if _, err := i.Finish(p.initiator, p.toResponder, response); err != nil {
		t.Fatal("good response after all the forged ones:", err)
	}
	if _, err := i.Finish(p.initiator, p.toResponder, response); !errors.Is(err, ErrSpent) {
		t.Errorf("good response again: %v, want %v", err, ErrSpent)
	}
	if i.symmetric != (symmetric{}) || !i.ephemeral.IsZero() {
		t.Error("a finished initiator is not erased")
	}
}

func TestForgedInitiations(t *testing.T) {
	p := newPair(t)
	_, good := p.initiate(t)
	for n := 8; n < len(good.BeforeMAC1()); n++ {
		forged := *good
		forged[n] ^= 0x40
		a, err := Accept(p.responder, &forged)
		if n >= 88 { // the sealed timestamp is not looked at yet
			if err != nil {
				t.Fatalf("changed in byte %d: Accept: %v", n, err)
			}
			_, err = a.Authenticate(p.toInitial, &forged)
			if a.symmetric != (symmetric{}) {
				t.Errorf("changed in byte %d: the step is not erased", n)
			}
		}
		if !errors.Is(err, ErrAuthentication) {
			t.Errorf("changed in byte %d: %v, want %v", n, err, ErrAuthentication)
		}
	}
}

// lowOrderPoints are the points of low order on the curve and its twist, also as p and p+1 spell them; the top bit does not
// count.
var lowOrderPoints = []string{
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"0100000000000000000000000000000000000000000000000000000000000080",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
}

// "accepted as configuration, the handshake fails, nothing is sent"
func TestLowOrderPeers(t *testing.T) {
	for _, point := range lowOrderPoints {
		p := newPair(t)
		bad := NewRemote(unhex32(t, point))
		msg := new(wire.Initiation)
		msg[9] = 1
		i, err := Initiate(p.initiator, bad, 1, stamp, stream(ephemerals[0]), msg)
		if !errors.Is(err, ErrLowOrder) || i != nil || *msg != (wire.Initiation{}) {
			t.Errorf("initiation to %s: %v, message %x", point, err, msg[:12])
		}

		_, good := p.initiate(t)
		*good.Ephemeral() = unhex32(t, point)
		if _, err := Accept(p.responder, good); !errors.Is(err, ErrLowOrder) {
			t.Errorf("ephemeral %s: %v, want %v", point, err, ErrLowOrder)
		}
	}
}

// Somebody may say that his static key is a configured one of low order: everybody knows that secret.
func TestLowOrderCaller(t *testing.T) {
	p := newPair(t)
	bad := NewRemote(key.Public{0: 1})
	e := private(t, ephemerals[0])
	msg := new(wire.Initiation)
	s := p.responder.begin
	s.mixHash(p.toResponder.Public[:])
	*msg.Ephemeral() = e.Public()
	s.mixEphemeral(msg.Ephemeral())
	if err := s.mixSecret(e, p.toResponder.Public); err != nil {
		t.Fatal(err)
	}
	s.encryptAndHash(msg.Static()[:], bad.Public[:])
	s.mixKey(new([32]byte))
	s.encryptAndHash(msg.Timestamp()[:], stamp[:])

	a, err := Accept(p.responder, msg)
	if err != nil || a.Static() != bad.Public {
		t.Fatalf("Accept: %v", err)
	}
	if _, err := a.Authenticate(bad, msg); !errors.Is(err, ErrLowOrder) {
		t.Errorf("Authenticate: %v, want %v", err, ErrLowOrder)
	}
}

func TestEachStepOnce(t *testing.T) {
	p := newPair(t)
	i, initiation := p.initiate(t)
	a, err := Accept(p.responder, initiation)
	if err != nil {
		t.Fatal(err)
	}
	h, err := a.Authenticate(p.toInitial, initiation)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Authenticate(p.toInitial, initiation); !errors.Is(err, ErrSpent) {
		t.Errorf("second Authenticate: %v, want %v", err, ErrSpent)
	}
	_, response := p.respond(t, h)
	again := new(wire.Response)
	again[0] = 1
	if _, err := h.Respond(p.toInitial, 1, stream(ephemerals[1]), again); !errors.Is(err, ErrSpent) || *again != (wire.Response{}) {
		t.Errorf("second Respond: %v, want %v, and no message", err, ErrSpent)
	}
	if a.symmetric != (symmetric{}) || h.symmetric != (symmetric{}) {
		t.Error("steps taken are not erased")
	}
	i.Erase()
	i.Erase()
	if _, err := i.Finish(p.initiator, p.toResponder, response); !errors.Is(err, ErrSpent) {
		t.Errorf("Finish after Erase: %v, want %v", err, ErrSpent)
	}
	if i.symmetric != (symmetric{}) || !i.ephemeral.IsZero() {
		t.Error("an erased initiator is not zero")
	}
}

func TestStepsForAnotherPeer(t *testing.T) {
	p := newPair(t)
	_, initiation := p.initiate(t)
	stranger := NewRemote(p.responder.Public())
	a, err := Accept(p.responder, initiation)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Authenticate(stranger, initiation); !errors.Is(err, ErrAuthentication) {
		t.Errorf("Authenticate: %v, want %v", err, ErrAuthentication)
	}
	h := p.authenticate(t, initiation)
	response := new(wire.Response)
	if _, err := h.Respond(stranger, 1, stream(ephemerals[1]), response); !errors.Is(err, ErrAuthentication) || *response != (wire.Response{}) {
		t.Errorf("Respond: %v, want %v, and no message", err, ErrAuthentication)
	}
}

func TestNoRandomness(t *testing.T) {
	p := newPair(t)
	initiation, response := new(wire.Initiation), new(wire.Response)
	if _, err := Initiate(p.initiator, p.toResponder, 1, stamp, stream(), initiation); !errors.Is(err, io.EOF) || *initiation != (wire.Initiation{}) {
		t.Errorf("Initiate: %v, want %v, and no message", err, io.EOF)
	}
	_, initiation = p.initiate(t)
	h := p.authenticate(t, initiation)
	if _, err := h.Respond(p.toInitial, 1, strings.NewReader("short"), response); !errors.Is(err, io.ErrUnexpectedEOF) || *response != (wire.Response{}) {
		t.Errorf("Respond: %v, want %v, and no message", err, io.ErrUnexpectedEOF)
	}
	if h.symmetric != (symmetric{}) {
		t.Error("a failed Respond has not erased its step")
	}
}

func TestNoPrivateKey(t *testing.T) {
	p := newPair(t)
	_, initiation := p.initiate(t)
	for name, l := range map[string]*Local{"none": NewLocal(new(key.Private)), "erased": p.responder} {
		l.Erase()
		msg := new(wire.Initiation)
		if _, err := Initiate(l, p.toInitial, 1, stamp, stream(ephemerals[0]), msg); !errors.Is(err, ErrNoPrivateKey) || *msg != (wire.Initiation{}) {
			t.Errorf("%s: Initiate: %v, want %v, and no message", name, err, ErrNoPrivateKey)
		}
		if _, err := Accept(l, initiation); !errors.Is(err, ErrNoPrivateKey) {
			t.Errorf("%s: Accept: %v, want %v", name, err, ErrNoPrivateKey)
		}
	}
}

// A preshared key that changes in mid-handshake is used by the next step.
func TestPresharedIsTheOneOfNow(t *testing.T) {
	p := newPair(t)
	i, initiation := p.initiate(t)
	h := p.authenticate(t, initiation)
	k := preshared(t, filled(77))
	p.toInitial.SetPreshared(k)
	_, response := p.respond(t, h)
	if _, err := i.Finish(p.initiator, p.toResponder, response); !errors.Is(err, ErrAuthentication) {
		t.Errorf("without the preshared key: %v, want %v", err, ErrAuthentication)
	}
	p.toResponder.SetPreshared(k)
	k.Erase()
	if _, err := i.Finish(p.initiator, p.toResponder, response); err != nil {
		t.Error("with the preshared key:", err)
	}
	held := p.toResponder.Preshared()
	p.toResponder.SetPreshared(nil)
	if got := p.toResponder.Preshared(); !got.IsZero() || !held.IsZero() {
		t.Error("a preshared key that was taken away is not erased")
	}
}

func TestStaticStatic(t *testing.T) {
	p := newPair(t)
	if p.toResponder.staticStatic != nil {
		t.Error("static-static secret computed before its use")
	}
	p.handshake(t)
	first := p.toResponder.staticStatic
	p.handshake(t)
	if first == nil || p.toResponder.staticStatic != first {
		t.Error("static-static secret not kept")
	}
	p.toResponder.Forget()
	p.toResponder.Forget()
	if first.secret != [32]byte{} || p.toResponder.staticStatic != nil {
		t.Error("static-static secret not forgotten")
	}
	p.handshake(t)

	// A new own key: the secret made with the old one is not used.
	first = p.toResponder.staticStatic
	p.initiator = NewLocal(private(t, filled(3)))
	p.toInitial = NewRemote(p.initiator.Public())
	p.handshake(t)
	if first.secret != [32]byte{} {
		t.Error("the old identity's static-static secret is not erased")
	}
}

func TestEphemeralsAreFresh(t *testing.T) {
	p := newPair(t)
	random := stream(filled(1), filled(2))
	first, second := new(wire.Initiation), new(wire.Initiation)
	for _, msg := range []*wire.Initiation{first, second} {
		if _, err := Initiate(p.initiator, p.toResponder, 1, stamp, random, msg); err != nil {
			t.Fatal(err)
		}
	}
	if *first.Ephemeral() == *second.Ephemeral() {
		t.Error("two initiations have one ephemeral key")
	}
}
