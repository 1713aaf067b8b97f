package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"vpn/rekey"
	"vpn/tunnel"
)

// Report is what a run came to.
type Report struct {
	OK         bool      `json:"ok"`
	Handshakes int       `json:"handshakes"`
	Rekeys     int       `json:"rekeys"`
	Limit      uint64    `json:"rekey_after_packets"`
	Bytes      uint64    `json:"bytes"`   // of the paced download
	Seconds    float64   `json:"seconds"` // that it took
	Checksum   string    `json:"sha256"`  // of what arrived
	Match      bool      `json:"sha256_match"`
	Datagrams  Datagrams `json:"datagrams"`
	BurstBytes uint64    `json:"burst_bytes"`
	Mbps       float64   `json:"mbps"` // of the unpaced burst; 10^6 bits a second of the file
	Client     Traffic   `json:"client"`
	LiveKeys   int       `json:"live_keys"` // session keys in memory after the end
	Sessions   []Session `json:"sessions"`  // the client's, in the order of their beginning

	Lost  uint64 `json:"-"` // events that nobody saw
	began time.Time
}

// Datagrams is what became of the numbered ones.
type Datagrams struct {
	Sent     uint64 `json:"sent"`
	Received uint64 `json:"received"`
	InOrder  bool   `json:"in_order"`
}

// Traffic is one end's count of message bytes, with all overhead, and of what
// it dropped.
type Traffic struct {
	Received uint64 `json:"received_bytes"`
	Sent     uint64 `json:"sent_bytes"`
	Drops    []Drop `json:"drops,omitempty"`
}

// Drop is how often something was dropped for one reason.
type Drop struct {
	Reason string `json:"reason"`
	Count  uint64 `json:"count"`
}

// Session is the life of one session. Times are seconds since the beginning.
type Session struct {
	Name     string  `json:"name"`
	Began    float64 `json:"began"`
	Ended    float64 `json:"ended"`
	Why      string  `json:"why"` // it ended; empty while it has not
	Sent     uint64  `json:"packets_sent"`
	Received uint64  `json:"packets_received"`
	Bytes    uint64  `json:"bytes"` // downloaded while it was the newest

	from uint64 // bytes downloaded when it began
}

// change is the beginning or the end of a session.
type change struct {
	Session
	number int     // of the session, from 1
	before string  // the session that was the newest before
	at     float64 // seconds
}

func (r *Report) rekeys() int { return max(0, len(r.Sessions)-1) }

// note takes in what the client's engine observed, when that many bytes had been
// downloaded, and returns what changed, if anything.
func (r *Report) note(e tunnel.Event, bytes uint64) (c change, ok bool) {
	at := e.Time.Sub(r.began).Seconds()
	switch e.Kind {
	case tunnel.SessionStarted:
		if last := len(r.Sessions) - 1; last >= 0 {
			r.Sessions[last].close(bytes)
			c.before = r.Sessions[last].Name
		}
		r.Sessions = append(r.Sessions, Session{Name: e.Session, Began: at, from: bytes})
		r.Handshakes, r.Rekeys = len(r.Sessions), r.rekeys()
		c.Session, c.number, c.at = r.Sessions[len(r.Sessions)-1], len(r.Sessions), at
		return c, true
	case tunnel.SessionEnded:
		for i := range r.Sessions {
			s := &r.Sessions[i]
			if s.Name != e.Session || s.Why != "" {
				continue
			}
			s.Ended, s.Why, s.Sent, s.Received = at, why(e.Why), e.Sent, e.Received
			if i == len(r.Sessions)-1 {
				s.close(bytes)
			}
			return change{Session: *s, number: i + 1, at: at}, true
		}
		// One that never began: its handshake was overtaken by another.
	}
	return c, false
}

func (s *Session) close(bytes uint64) { s.Bytes = bytes - s.from }

// why is why a session ended, in this program's words.
func why(e rekey.End) string {
	if e == rekey.Down {
		return "closed"
	}
	return e.String()
}

// check says what was not as claimed.
func (r *Report) check(rekeys int) error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !r.Match {
		wrong("the SHA-256 of what arrived is not that of the file")
	}
	if r.Rekeys < rekeys {
		wrong("keys were replaced %d times, not %d", r.Rekeys, rekeys)
	}
	if !r.Datagrams.InOrder {
		wrong("numbered datagrams arrived out of order")
	}
	if r.Datagrams.Received == 0 {
		wrong("no numbered datagram arrived")
	}
	if r.LiveKeys != 0 {
		wrong("%d session keys are still in memory after the end", r.LiveKeys)
	}
	if r.Lost != 0 {
		wrong("%d events of the engine were not seen", r.Lost)
	}
	for i, s := range r.Sessions {
		switch {
		case s.Why == "":
			wrong("session %s has not ended", s.Name)
		case i == 0:
		case s.Began < r.Sessions[i-1].Began:
			wrong("session %s began before the one it follows", s.Name)
		case s.Began > r.Sessions[i-1].Ended:
			wrong("session %s ended before %s was there", r.Sessions[i-1].Name, s.Name)
		}
	}
	return errors.Join(errs...)
}

func (r *Report) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}
