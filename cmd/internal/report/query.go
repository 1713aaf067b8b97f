package report

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"

	"vpn/noise/key"
)

const (
	// MaxPeers is how many peers a Query may name, and MaxEvents how many events of each it gets.
	MaxPeers  = 64
	MaxEvents = 32
)

// Which peers a Query is about that names none.
type Which string

// The choices; the zero value is All.
const (
	All    Which = "all"
	Active Which = "active" // that have talked since the engine started
	None   Which = "none"
)

// Query is what is asked for. Its zero value is all peers without events.
type Query struct {
	Peers  []key.Public `json:"peer,omitempty"`
	Which  Which        `json:"peers,omitempty"` // nothing if Peers names some
	Events int          `json:"events,omitempty"`
	Past   bool         `json:"past,omitempty"`

	// Handshake has Status ask for a new session with each of the Peers first. It is a request of its own, PathHandshake, and no parameter.
	Handshake bool `json:"handshake,omitempty"`
}

// Source answers queries: an engine, or its keeper. Both methods may be called concurrently. They tell lines in order, and return the
// first error of tell; what they tell is the callee's until it returns. Ctx ends them.
type Source interface {
	// Status tells the interface, and then each of the peers.
	Status(ctx context.Context, q Query, tell func(*Line) error) error

	// Events tells events as they come, and returns an error when there will be no more.
	Events(ctx context.Context, q Query, tell func(*Line) error) error
}

// Check reports what can't be asked.
func (q Query) Check() error {
	switch {
	case len(q.Peers) > MaxPeers:
		return fmt.Errorf("peer: %d of them, at most %d", len(q.Peers), MaxPeers)
	case q.Events < 0 || q.Events > MaxEvents:
		return fmt.Errorf("events=%d: must be 0 to %d", q.Events, MaxEvents)
	case q.Handshake && len(q.Peers) == 0:
		return errors.New("peer: a handshake is with those that are named")
	}
	switch q.Which {
	case "", All, Active, None:
		return nil
	}
	return fmt.Errorf("peers=%q: must be %s, %s or %s", q.Which, All, Active, None)
}

// Values are the query as the parameters of a request.
func (q Query) Values() url.Values {
	v := make(url.Values)
	for _, p := range q.Peers {
		v.Add("peer", p.String())
	}
	if q.Which != "" {
		v.Set("peers", string(q.Which))
	}
	if q.Events != 0 {
		v.Set("events", strconv.Itoa(q.Events))
	}
	if q.Past {
		v.Set("past", "true")
	}
	return v
}

// ParseQuery reads the parameters of a request. Names that it does not know are an error: a filter that is misspelt would tell too much.
func ParseQuery(v url.Values) (q Query, err error) {
	for name, values := range v {
		switch name {
		case "peer":
			for _, text := range values {
				p, err := key.ParsePublic(text)
				if err != nil {
					return q, fmt.Errorf("peer: %w", err)
				}
				q.Peers = append(q.Peers, p)
			}
		case "peers":
			q.Which = Which(values[0])
		case "events":
			if q.Events, err = strconv.Atoi(values[0]); err != nil {
				return q, fmt.Errorf("events=%q: not a number", values[0])
			}
		case "past":
			if q.Past, err = strconv.ParseBool(values[0]); err != nil {
				return q, fmt.Errorf("past=%q: must be true or false", values[0])
			}
		default:
			return q, fmt.Errorf("there is no parameter %q", name)
		}
	}
	return q, q.Check()
}
