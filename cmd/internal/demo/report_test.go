package demo

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vpn/rekey"
	"vpn/tunnel"
)

// sample is a run as it should be: three changes of keys, the first two sessions
// replaced and the others closed.
func sample() *Report {
	begin := time.Unix(1700000000, 0)
	r := &Report{
		OK: true, Limit: 2000, Bytes: 24 << 20, Seconds: 19.92, Checksum: strings.Repeat("0123456789abcdef", 4), Match: true,
		Datagrams:  Datagrams{Sent: 994, Received: 994, InOrder: true},
		BurstBytes: 512 << 20, Mbps: 2147.4, Client: Traffic{Received: 567 << 20, Sent: 3 << 20}, began: begin,
	}
	at := func(seconds float64) time.Time { return begin.Add(time.Duration(seconds * float64(time.Second))) }
	start := func(name string, seconds float64, bytes uint64) {
		r.note(tunnel.Event{Kind: tunnel.SessionStarted, Time: at(seconds), Session: name}, bytes)
	}
	end := func(name string, seconds float64, why rekey.End, sent, received, bytes uint64) {
		r.note(tunnel.Event{Kind: tunnel.SessionEnded, Time: at(seconds), Session: name, Why: why, Sent: sent, Received: received}, bytes)
	}
	start("lusab-babad", 0.003, 0)
	start("gutih-tugad", 5.2, 6<<20)
	end("lusab-babad", 10.4, rekey.Replaced, 612, 4921, 12<<20)
	start("mudof-sakat", 10.4, 12<<20)
	end("gutih-tugad", 15.6, rekey.Replaced, 598, 4873, 18<<20)
	start("haguz-biram", 15.6, 18<<20)
	end("haguz-biram", 22.4, rekey.Down, 12345, 1234567, 536<<20)
	end("mudof-sakat", 22.4, rekey.Down, 605, 4881, 536<<20)
	return r
}

func TestSampleIsGood(t *testing.T) {
	if err := sample().check(3); err != nil {
		t.Fatal(err)
	}
}

func TestNote(t *testing.T) {
	r := sample()
	if r.Handshakes != 4 || r.Rekeys != 3 {
		t.Errorf("%d handshakes, %d rekeys; want 4, 3", r.Handshakes, r.Rekeys)
	}
	var sum uint64
	for _, s := range r.Sessions {
		sum += s.Bytes
	}
	if want := r.Bytes + r.BurstBytes; sum != want {
		t.Errorf("sessions carried %d bytes, want %d", sum, want)
	}
	if _, ok := r.note(tunnel.Event{Kind: tunnel.SessionEnded, Session: "never-began"}, 0); ok {
		t.Error("the end of a session that never began is a change")
	}
	if _, ok := r.note(tunnel.Event{Kind: tunnel.InitiationSent}, 0); ok {
		t.Error("an initiation is a change")
	}
	c, ok := r.note(tunnel.Event{Kind: tunnel.SessionStarted, Time: r.began.Add(time.Minute), Session: "pulas-rokab"}, 0)
	if !ok || c.number != 5 || c.before != "haguz-biram" || c.at != 60 || c.Why != "" {
		t.Errorf("a fifth session is the change %+v", c)
	}
}

func TestCheckFindsEachFault(t *testing.T) {
	tests := map[string]func(*Report){
		"the SHA-256 of what arrived is not that of the file":     func(r *Report) { r.Match = false },
		"keys were replaced 2 times, not 3":                       func(r *Report) { r.Rekeys = 2 },
		"numbered datagrams arrived out of order":                 func(r *Report) { r.Datagrams.InOrder = false },
		"no numbered datagram arrived":                            func(r *Report) { r.Datagrams.Received = 0 },
		"2 session keys are still in memory after the end":        func(r *Report) { r.LiveKeys = 2 },
		"3 events of the engine were not seen":                    func(r *Report) { r.Lost = 3 },
		"session haguz-biram has not ended":                       func(r *Report) { r.Sessions[3].Why = "" },
		"session gutih-tugad began before the one it follows":     func(r *Report) { r.Sessions[1].Began = 0 },
		"session lusab-babad ended before gutih-tugad was there":  func(r *Report) { r.Sessions[0].Ended = 5 },
		"session mudof-sakat ended before haguz-biram was there":  func(r *Report) { r.Sessions[2].Ended = 15 },
		"session mudof-sakat began before the one it follows":     func(r *Report) { r.Sessions[2].Began = 5 },
		"keys were replaced 0 times, not 3\nno numbered datagram": func(r *Report) { r.Rekeys, r.Datagrams.Received = 0, 0 },
	}
	for want, spoil := range tests {
		r := sample()
		spoil(r)
		if err := r.check(3); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("check says %v, want %s", err, want)
		}
	}
}

// golden compares text with a file, line by line where they differ. With
// UPDATE_GOLDEN=1 it writes the file.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("this is not %s:\n%s", file, got)
	}
}

func TestJSON(t *testing.T) {
	var b bytes.Buffer
	r := sample()
	r.Client.Drops = []Drop{{"no_peer", 2}}
	if err := r.writeJSON(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "report.json", b.Bytes())
}

func TestCount(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 7: "7", 999: "999", 1000: "1,000", 123456: "123,456", 1234567: "1,234,567"} {
		if got := count(n); got != want {
			t.Errorf("count(%d) = %s, want %s", n, got, want)
		}
	}
}
