package report

import (
	"bytes"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"vpn/noise/key"
)

var (
	now   = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	other = netip.MustParseAddrPort("203.0.113.5:51820")
	ours  = key.Public{1}
)

func ago(d time.Duration) time.Time { return now.Add(-d) }

// TestJudge has one peer for each thing that may be said of it.
func TestJudge(t *testing.T) {
	well := Interface{Now: now, Engine: EngineVPN, LinkUp: true, Listening: true, PublicKey: ours, ListenPort: 51820}
	with := func(change func(i *Interface)) *Interface {
		i := well
		change(&i)
		return &i
	}
	session := []Session{{Place: PlacePrevious}, {Place: PlaceCurrent}}
	for want, c := range map[string]struct {
		i *Interface
		p Peer
	}{
		"up":                  {&well, Peer{Endpoint: other, Sessions: session, UnheardSince: ago(9 * time.Second)}},
		"idle for 3 min 20 s": {&well, Peer{Endpoint: other, LatestHandshake: ago(200 * time.Second)}},
		"never shaken hands":  {&well, Peer{Endpoint: other}},
		"no endpoint: waits for the peer to call":       {&well, Peer{}},
		"no answer from 203.0.113.5:51820 for 40 s":     {&well, Peer{Endpoint: other, SilentSince: ago(40 * time.Second), Attempt: &Attempt{}}},
		"no answer from 203.0.113.5:51820 for 2 h":      {&well, Peer{Endpoint: other, SilentSince: ago(2 * time.Hour), Sessions: session}},
		"shaking hands with 203.0.113.5:51820":          {&well, Peer{Endpoint: other, SilentSince: ago(time.Second), Attempt: &Attempt{}}},
		"nothing heard from 203.0.113.5:51820 for 12 s": {&well, Peer{Endpoint: other, Sessions: session, UnheardSince: ago(12 * time.Second)}},
		"gw.example:1 does not resolve: no such name":   {&well, Peer{Configured: "gw.example:1", LookupError: "no such name"}},
		"no answer from 203.0.113.5:51820 for 7 s: connection refused, says 203.0.113.5": {&well, Peer{
			Endpoint: other, SilentSince: ago(7 * time.Second),
			Events: []Event{{Kind: "path_refused", Time: ago(time.Second), From: "203.0.113.5", Refusal: &Refusal{Error: "connection refused", ICMP: 4}}},
		}},
		"no answer from 203.0.113.5:51820 for 8 s": {&well, Peer{
			Endpoint: other, SilentSince: ago(8 * time.Second), // what was refused before then is another story
			Events: []Event{{Kind: "path_refused", Time: ago(time.Minute), Refusal: &Refusal{Error: "connection refused", ICMP: 4}}},
		}},
		"no answer from 203.0.113.5:51820 for 9 s: it answers with another preshared key": {&well, Peer{
			Endpoint: other, SilentSince: ago(9 * time.Second),
			Events: []Event{{Kind: "handshake_failed", Time: ago(time.Second), Reason: "bad_handshake"}},
		}},
		"off: the link is down":                 {with(func(i *Interface) { i.LinkUp = false }), Peer{Sessions: session}},
		"off: UDP port 51820 can't be opened":   {with(func(i *Interface) { i.Listening = false }), Peer{Sessions: session}},
		"off: the interface has no private key": {with(func(i *Interface) { i.PublicKey = key.Public{} }), Peer{}},
		"idle for 5 min":                        {with(func(i *Interface) { i.Engine = EngineKernel }), Peer{Endpoint: other, LatestHandshake: ago(5 * time.Minute)}},
	} {
		if got := Judge(c.i, &c.p).Text; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestLines writes an answer and reads it again, whole and cut off at each byte.
func TestLines(t *testing.T) {
	lines := []*Line{
		{Interface: &Interface{Name: "wg0", Now: now, Engine: EngineVPN, Drops: []Drop{{"bad_mac1", 3, now}}}},
		{Peer: &Peer{PublicKey: ours, Endpoint: other, Sessions: []Session{{Name: "lusab-babad", Place: PlaceCurrent, Born: now, Expires: now}}}},
		{Event: &Event{Kind: "session_ended", Time: now, Peer: ours, Why: "replaced"}},
	}
	var b bytes.Buffer
	w := NewWriter(&b, nil)
	for _, l := range lines {
		if err := w.Write(l); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(nil); err != nil {
		t.Fatal(err)
	}
	var got []*Line
	if err := Read(bytes.NewReader(b.Bytes()), func(l *Line) error { got = append(got, l); return nil }); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, lines) {
		t.Errorf("read\n%+v\nwrote\n%+v", got, lines)
	}
	whole := bytes.TrimRight(b.Bytes(), "\n")
	for n := range whole {
		if Read(bytes.NewReader(whole[:n]), func(*Line) error { return nil }) == nil {
			t.Fatalf("%d bytes of %d are a whole answer", n, len(whole))
		}
	}
}

// TestHostileLines are those of an engine that has been taken over.
func TestHostileLines(t *testing.T) {
	many := strings.TrimSuffix(strings.Repeat(`{"reason":"x"},`, maxList+1), ",")
	for _, line := range []string{
		`{"peer":{}}`, `{"peer":{"public_key":"AQ"}}`, `{"event":{}}`, `{"interface":{"drops":[` + many + `]}}`, `[]`, `{"interface":{"now":7}}`,
		`{"error":"none"}`, "\x00",
	} {
		if err := Read(strings.NewReader(line+"\n"+`{"end":true}`), func(*Line) error { return nil }); err == nil {
			t.Errorf("%.40s is taken", line)
		}
	}
	long := strings.NewReader(`{"interface":{"file":"` + strings.Repeat("x", MaxLine) + `"}}`)
	if err := Read(long, func(*Line) error { return nil }); !errors.Is(err, ErrCutShort) {
		t.Errorf("a line of more than %d bytes: %v", MaxLine, err)
	}
	err := Read(strings.NewReader(`{"interface":{"name":"\u001b]0;x\u0007\u202ewg0"}}`+"\n"+`{"new":1}`+"\n"+`{"end":true}`), func(l *Line) error {
		if l.Interface != nil && l.Interface.Name != " ]0;x  wg0" {
			t.Errorf("the name is %q", l.Interface.Name)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestQuery(t *testing.T) {
	q := Query{Peers: []key.Public{ours, {2}}, Which: Active, Events: 8, Past: true}
	got, err := ParseQuery(q.Values())
	if err != nil || !reflect.DeepEqual(got, q) {
		t.Errorf("%+v, %v", got, err)
	}
	for name, value := range map[string]string{"peer": "x", "peers": "some", "events": "33", "past": "2", "limit": "1"} {
		if _, err := ParseQuery(map[string][]string{name: {value}}); err == nil {
			t.Errorf("%s=%s is taken", name, value)
		}
	}
}

func TestAmounts(t *testing.T) {
	for got, want := range map[string]string{
		Bytes(0): "0 B", Bytes(1023): "1023 B", Bytes(1 << 10): "1.00 KiB", Bytes(1<<40 + 1<<39): "1.50 TiB",
		Rate(0): "0 bit/s", Rate(125e6): "1.00 Gbit/s", Rate(1e3): "8.00 kbit/s",
		Span(0): "0 s", Span(59 * time.Second): "59 s", Span(49 * time.Hour): "2 d 1 h",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
