package child

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"vpn/cmd/internal/report"
	"vpn/noise"
	"vpn/noise/key"
	"vpn/rekey"
	"vpn/tunnel"
	"vpn/tunnel/uapi"
)

// A kind is what a message says or asks. Whoever asks chooses an ID, other than
// zero, which the reply repeats.
type kind string

const (
	kindReply kind = "reply" // either way

	// To the engine.
	kindStart   kind = "start"   // with the control socket and the queues of the device; Private: nobody is answered there yet
	kindSuspend kind = "suspend" // asks
	kindResume  kind = "resume"  // asks
	kindDrops   kind = "drops"   // asks; Peer is nil for the interface
	kindRead    kind = "read"    // the device, and the control socket if Private
	kindConnect kind = "connect" // a stream comes with it, for requests as at the control socket
	kindReport  kind = "report"  // asks for what Query says, as report.Line, over the stream that comes with it; Follow: for events
	kindStop    kind = "stop"

	// To the keeper.
	kindReady  kind = "ready"
	kindFailed kind = "failed" // Error says why the engine ends before it was ready
	kindEvent  kind = "event"
	kindChange kind = "change" // somebody has changed the configuration
	kindOpen   kind = "open"   // asks for Port with Mark; the reply comes with one or two sockets
	kindMark   kind = "mark"   // asks
	kindFloor  kind = "floor"  // asks for timestamps of Peer, our own public key, beginning with First
)

const (
	// maxMessage is the longest message in bytes.
	maxMessage = 8 << 10
	// maxText is the longest error text.
	maxText = 1 << 10
)

// A message is one packet of the pair.
type message struct {
	Kind  kind              `json:"kind"`
	ID    uint32            `json:"id,omitempty"`
	Port  uint16            `json:"port,omitempty"`
	Mark  uint32            `json:"mark,omitempty"`
	Peer  *key.Public       `json:"peer,omitempty"`
	First stamp             `json:"first,omitzero"`
	Last  stamp             `json:"last,omitzero"`
	Event *event            `json:"event,omitempty"`
	Drops map[string]uint64 `json:"drops,omitempty"`

	Query  *report.Query `json:"query,omitempty"`
	Follow bool          `json:"follow,omitempty"`

	Private bool `json:"private,omitempty"`

	Error string        `json:"error,omitempty"`
	Errno syscall.Errno `json:"errno,omitempty"`
}

// stamp is a TAI64N as text.
type stamp noise.TAI64N

func (s stamp) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, s[:]), nil }

func (s *stamp) UnmarshalText(text []byte) error {
	if hex.DecodedLen(len(text)) != len(s) {
		return errors.New("not a timestamp")
	}
	_, err := hex.Decode(s[:], text)
	return err
}

// event is a tunnel.Event under way. Its time is the reader's.
type event struct {
	Kind     tunnel.EventKind `json:"kind"`
	Peer     key.Public       `json:"peer"`
	Endpoint netip.AddrPort   `json:"endpoint,omitzero"`
	Session  string           `json:"session,omitempty"`
	Role     rekey.Role       `json:"role,omitempty"`
	Why      rekey.End        `json:"why,omitempty"`
	Tries    int              `json:"tries,omitempty"`
	Sent     uint64           `json:"sent,omitempty"`
	Received uint64           `json:"received,omitempty"`
	Lost     uint64           `json:"lost,omitempty"` // how many events there was no room for, so far
}

// told says which events a keeper is told of: those that it acts on, or shows.
func told(k tunnel.EventKind) bool {
	switch k {
	case tunnel.SessionStarted, tunnel.SessionEnded, tunnel.AttemptGivenUp, tunnel.InitiationUnanswered, tunnel.EndpointMoved:
		return true
	}
	return false
}

func encode(m *message) ([]byte, error) {
	m.Error = clean(m.Error)
	b, err := json.Marshal(m)
	if err == nil && len(b) > maxMessage {
		err = fmt.Errorf("a message of %d bytes", len(b))
	}
	return b, err
}

// decode reads a message that anybody may have written.
func decode(b []byte) (*message, error) {
	if len(b) > maxMessage {
		return nil, fmt.Errorf("a message of %d bytes", len(b))
	}
	m := new(message)
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(m); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("something follows the message")
	}
	m.Error = clean(m.Error)
	if m.Event != nil {
		if err := m.Event.check(); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// clean makes text of the other side fit for a log and a terminal.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r > 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "")
	}
	return s
}

// check refuses what no engine says.
func (e *event) check() error {
	switch {
	case !told(e.Kind):
		return fmt.Errorf("an event of kind %d", e.Kind)
	case e.Role > rekey.Responder:
		return fmt.Errorf("role %d", e.Role)
	case e.Why > rekey.HandshakeLost:
		return fmt.Errorf("end %d", e.Why)
	case e.Tries < 0:
		return fmt.Errorf("%d tries", e.Tries)
	case len(e.Session) > 64 || strings.Trim(e.Session, "abcdefghijklmnopqrstuvwxyz-") != "":
		return errors.New("a session with an impossible name")
	}
	if z := e.Endpoint.Addr().Zone(); z != "" && !uapi.ValidName(z) {
		return errors.New("an endpoint with an impossible zone")
	}
	return nil
}

// tunnelEvent is the event as the tunnel told it, but for its time.
func (e *event) tunnelEvent(now time.Time) tunnel.Event {
	return tunnel.Event{
		Kind: e.Kind, Time: now, Peer: e.Peer, Endpoint: e.Endpoint, Session: e.Session, Role: e.Role, Why: e.Why,
		Tries: e.Tries, Sent: e.Sent, Received: e.Received,
	}
}

func eventOf(e *tunnel.Event, lost uint64) *event {
	return &event{
		Kind: e.Kind, Peer: e.Peer, Endpoint: e.Endpoint, Session: e.Session, Role: e.Role, Why: e.Why,
		Tries: e.Tries, Sent: e.Sent, Received: e.Received, Lost: lost,
	}
}

// fail makes a reply of an error, of which a system's number survives.
func (m *message) fail(err error) {
	if err == nil {
		return
	}
	m.Error = err.Error()
	errors.As(err, &m.Errno)
}

// err is the error that fail made a reply of.
func (m *message) err() error {
	switch {
	case m.Error == "" && m.Errno == 0:
		return nil
	case m.Errno != 0:
		return &remoteError{m.Error, m.Errno}
	}
	return errors.New(m.Error)
}

// remoteError is an error that happened on the other side.
type remoteError struct {
	text  string
	errno syscall.Errno
}

func (e *remoteError) Error() string {
	if e.text == "" {
		return e.errno.Error()
	}
	return e.text
}

func (e *remoteError) Unwrap() error { return e.errno }

// dropsOf are the counters that are not zero, by name.
func dropsOf(d tunnel.Drops) map[string]uint64 {
	drops := make(map[string]uint64)
	for why, n := range d {
		if n != 0 {
			drops[tunnel.Reason(why).String()] = n
		}
	}
	return drops
}

// tunnelDrops is what dropsOf wrote; names that it never writes are passed over.
func tunnelDrops(drops map[string]uint64) (d tunnel.Drops) {
	for why := range d {
		d[why] = drops[tunnel.Reason(why).String()]
	}
	return d
}
