package noise

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"vpn/noise/key"
	"vpn/noise/wire"
)

// stream is a deterministic source of randomness: what it is given, and then an error.
func stream(keys ...[32]byte) *bytes.Reader {
	var all []byte
	for _, k := range keys {
		all = append(all, k[:]...)
	}
	return bytes.NewReader(all)
}

// filled returns a recognizable key.
func filled(b byte) (k [32]byte) {
	for i := range k {
		k[i] = b + byte(i)
	}
	return k
}

func private(t testing.TB, b [32]byte) *key.Private {
	t.Helper()
	k, err := key.PrivateFromBytes(b[:])
	if err != nil {
		t.Fatal(err)
	}
	return &k
}

func preshared(t testing.TB, b [32]byte) *key.Preshared {
	t.Helper()
	k, err := key.PresharedFromBytes(b[:])
	if err != nil {
		t.Fatal(err)
	}
	return &k
}

// pair is two identities that know each other.
type pair struct {
	initiator, responder   *Local
	toResponder, toInitial *Remote
}

func newPair(t testing.TB) *pair {
	t.Helper()
	p := &pair{initiator: NewLocal(private(t, filled(1))), responder: NewLocal(private(t, filled(101)))}
	p.toResponder, p.toInitial = NewRemote(p.responder.Public()), NewRemote(p.initiator.Public())
	return p
}

var (
	stamp      = Stamp(time.Unix(1700000000, 987654321))
	ephemerals = [2][32]byte{filled(11), filled(51)}
)

func (p *pair) initiate(t testing.TB) (*Initiator, *wire.Initiation) {
	t.Helper()
	msg := new(wire.Initiation)
	i, err := Initiate(p.initiator, p.toResponder, 0x11223344, stamp, stream(ephemerals[0]), msg)
	if err != nil {
		t.Fatal("Initiate:", err)
	}
	return i, msg
}

func (p *pair) authenticate(t testing.TB, msg *wire.Initiation) *Responder {
	t.Helper()
	a, err := Accept(p.responder, msg)
	if err != nil {
		t.Fatal("Accept:", err)
	}
	if a.Static() != p.initiator.Public() {
		t.Fatalf("Static is %v, want %v", a.Static(), p.initiator.Public())
	}
	h, err := a.Authenticate(p.toInitial, msg)
	if err != nil {
		t.Fatal("Authenticate:", err)
	}
	return h
}

func (p *pair) respond(t testing.TB, h *Responder) (*Session, *wire.Response) {
	t.Helper()
	msg := new(wire.Response)
	s, err := h.Respond(p.toInitial, 0x55667788, stream(ephemerals[1]), msg)
	if err != nil {
		t.Fatal("Respond:", err)
	}
	return s, msg
}

// handshake runs a whole handshake and returns both sides' sessions.
func (p *pair) handshake(t testing.TB) (initiator, responder *Session) {
	t.Helper()
	i, initiation := p.initiate(t)
	responder, response := p.respond(t, p.authenticate(t, initiation))
	initiator, err := i.Finish(p.initiator, p.toResponder, response)
	if err != nil {
		t.Fatal("Finish:", err)
	}
	return initiator, responder
}

// rows reads blocks of name=value lines, set apart by empty lines; # begins a comment.
func rows(text string) (blocks []map[string]string) {
	block := map[string]string{}
	for line := range strings.Lines(text + "\n\n") {
		line = strings.TrimSpace(line)
		name, value, _ := strings.Cut(line, "=")
		switch {
		case strings.HasPrefix(line, "#"):
		case line != "":
			block[name] = value
		case len(block) > 0:
			blocks = append(blocks, block)
			block = map[string]string{}
		}
	}
	return blocks
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func unhex32(t testing.TB, s string) [32]byte {
	t.Helper()
	return [32]byte(unhex(t, s))
}
