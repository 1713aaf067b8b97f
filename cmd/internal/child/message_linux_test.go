package child

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"vpn/noise"
	"vpn/noise/key"
	"vpn/rekey"
	"vpn/tunnel"
)

func samples() []*message {
	stamp := stamp(noise.Stamp(time.Unix(1<<40, 999999999)))
	moved := tunnel.Event{
		Kind: tunnel.EndpointMoved, Peer: key.Public{0xff, 1, 2}, Endpoint: netip.MustParseAddrPort("[fe80::1%eth0.7]:65535"),
		Session: "calm-otter", Role: rekey.Responder, Why: rekey.HandshakeLost, Tries: 1 << 40, Sent: 1<<64 - 1, Received: 1<<64 - 1,
	}
	var all tunnel.Drops
	for i := range all {
		all[i] = 1<<64 - 1
	}
	return []*message{
		{Kind: kindStart},
		{Kind: kindOpen, ID: 1<<32 - 1, Port: 65535, Mark: 1<<32 - 1},
		{Kind: kindFloor, ID: 7, Peer: &key.Public{1}, First: stamp},
		{Kind: kindReply, ID: 7, First: stamp, Last: stamp},
		{Kind: kindReply, ID: 7, Error: "port 1: in use", Errno: syscall.EADDRINUSE},
		{Kind: kindReply, ID: 8, Drops: dropsOf(all)},
		{Kind: kindEvent, Event: eventOf(&moved, 1<<64-1)},
	}
}

// What is written is read as it was, and fits.
func TestMessages(t *testing.T) {
	for _, m := range samples() {
		b, err := encode(m)
		if err != nil {
			t.Errorf("%v: %v", m.Kind, err)
			continue
		}
		back, err := decode(b)
		if err != nil || !reflect.DeepEqual(back, m) {
			t.Errorf("%s: %v\n%+v is read of\n%+v", b, err, back, m)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for text, want := range map[string]string{
		``:                                                   "EOF",
		`[]`:                                                 "cannot unmarshal",
		`{"kind":"ready"}{}`:                                 "something follows",
		`{"kind":"ready","more":1}`:                          "unknown field",
		`{"kind":"open","port":65536}`:                       "cannot unmarshal",
		`{"kind":"open","id":-1}`:                            "cannot unmarshal",
		`{"kind":"floor","first":"00"}`:                      "not a timestamp",
		`{"kind":"floor","peer":"short"}`:                    "key",
		`{"kind":"event","event":{"kind":1}}`:                "kind 1",
		`{"kind":"event","event":{"kind":255}}`:              "kind 255",
		`{"kind":"event","event":{"kind":7,"role":2}}`:       "role 2",
		`{"kind":"event","event":{"kind":7,"why":99}}`:       "end 99",
		`{"kind":"event","event":{"kind":7,"tries":-1}}`:     "-1 tries",
		`{"kind":"event","event":{"kind":7,"session":"\n"}}`: "impossible name",
		`{"kind":"event","event":{"kind":7,"session":"` + strings.Repeat("x", 65) + `"}}`: "impossible name",
		`{"kind":"event","event":{"kind":7,"endpoint":"vpn.example:1"}}`:                  "vpn.example",
		`{"kind":"event","event":{"kind":7,"endpoint":"[fe80::1%a b]:1"}}`:                "impossible zone",
		`{"kind":"ready","error":"` + strings.Repeat("x", maxMessage) + `"}`:              "bytes",
	} {
		if m, err := decode([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: read as %+v, %v; want an error of %q", text, m, err, want)
		}
	}
}

// An error keeps its number, and loses what a terminal would obey.
func TestErrors(t *testing.T) {
	m := &message{Kind: kindReply}
	m.fail(&remoteError{"\x1b[2Jport\n1", syscall.EADDRINUSE})
	b, err := encode(m)
	if err != nil {
		t.Fatal(err)
	}
	back, err := decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := back.err(); !errors.Is(err, syscall.EADDRINUSE) || err.Error() != " [2Jport 1" {
		t.Errorf("%q", err)
	}
	if long := clean(strings.Repeat("é", maxText)); len(long) > maxText || strings.ContainsRune(long, '\ufffd') {
		t.Errorf("%d bytes", len(long))
	}
}

// FuzzKeeper is whatever an engine may say: the keeper is not harmed, and what
// it takes is in bounds.
func FuzzKeeper(f *testing.F) {
	for _, m := range samples() {
		b, err := json.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"kind":"reply","id":1,"error":"` + "\xff\x00" + `"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decode(b)
		if err != nil {
			return
		}
		if clean(m.Error) != m.Error || len(m.Error) > maxText {
			t.Errorf("an error of %q", m.Error)
		}
		if e := m.Event; e != nil {
			text := e.Session
			if e.Endpoint.IsValid() {
				text += e.Endpoint.String()
			}
			if strings.ContainsAny(text, "\n\r\x00\x1b ") {
				t.Errorf("an event with %q", text)
			}
			_ = e.tunnelEvent(time.Now()).Why.String()
		}
		_ = tunnelDrops(m.Drops)
		if m.Kind == kindOpen || m.Kind == kindMark || m.Kind == kindFloor {
			return // tried with real ones elsewhere
		}
		engine := &Engine{inbox: newOutbox(), pair: &pair{waiting: make(map[uint32]chan *reply)}, ready: make(chan struct{})}
		_ = engine.heard(&reply{message: m})
		again, err := encode(m)
		if err == nil && bytes.Contains(again, []byte{'\n'}) {
			t.Errorf("%q", again)
		}
	})
}

// Of what waits for somebody who is slow, the newest is kept, and of each peer the
// last endpoint.
func TestOutbox(t *testing.T) {
	o := newOutbox()
	const rounds = 3 * maxEvents
	for i := range rounds {
		o.add(tunnel.Event{Kind: tunnel.SessionStarted, Sent: uint64(i)})
		o.add(tunnel.Event{Kind: tunnel.EndpointMoved, Peer: key.Public{byte(i % 5)}, Sent: uint64(i)})
	}
	moved := 0
	for i := uint64(rounds - maxEvents); ; i++ {
		e, lost, ok := o.take()
		if !ok {
			break
		}
		if lost != rounds-maxEvents {
			t.Fatalf("%d are lost", lost)
		}
		if e.Kind == tunnel.EndpointMoved {
			if moved++; e.Sent < rounds-5 {
				t.Errorf("an endpoint of round %d", e.Sent)
			}
		} else if e.Sent != i {
			t.Fatalf("event %d instead of %d", e.Sent, i)
		}
	}
	if moved != 5 {
		t.Errorf("%d endpoints, want one of each peer", moved)
	}
	for i := range maxMoved + 10 {
		o.add(tunnel.Event{Kind: tunnel.EndpointMoved, Peer: key.Public{byte(i), byte(i >> 8), byte(i >> 16)}})
	}
	if len(o.moved) != maxMoved || o.count() != rounds-maxEvents+10 {
		t.Errorf("%d endpoints wait, %d events are lost", len(o.moved), o.count())
	}
}
