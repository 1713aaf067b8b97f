// Package observe tells of a tunnel what package report has the types for.
package observe

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"

	"vpn/cmd/internal/report"
	"vpn/noise/key"
	"vpn/tunnel"
)

const (
	// room is how many events may wait for who follows them, and maxFollowers how many do at once.
	room         = 1024
	maxFollowers = 32
)

var (
	errTooSlow = errors.New("events came faster than they were read")
	errTooMany = errors.New("too many follow the events already")
)

// Engine is the report.Source of a tunnel in this process.
type Engine struct {
	name      string
	tunnel    *tunnel.Tunnel
	followers atomic.Int32
}

// New returns the source of a tunnel, whose link has that name.
func New(name string, t *tunnel.Tunnel) *Engine { return &Engine{name: name, tunnel: t} }

// Status implements report.Source.
func (s *Engine) Status(ctx context.Context, q report.Query, tell func(*report.Line) error) error {
	if err := q.Check(); err != nil {
		return err
	}
	if q.Handshake {
		for _, public := range q.Peers {
			s.tunnel.Handshake(public) // one that is not there is not told of either
		}
	}
	i := newInterface(s.name, s.tunnel.Status())
	if err := tell(&report.Line{Interface: i}); err != nil {
		return err
	}
	if len(q.Peers) == 0 && q.Which == report.None {
		return nil
	}
	if len(q.Peers) > 0 {
		for _, public := range q.Peers {
			p, ok := s.tunnel.PeerStatus(public, q.Events)
			if !ok {
				continue
			}
			if err := tell(&report.Line{Peer: newPeer(&p)}); err != nil {
				return err
			}
		}
		return nil
	}
	for p := range s.tunnel.Peers(q.Which == report.Active, q.Events) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := tell(&report.Line{Peer: newPeer(&p)}); err != nil {
			return err
		}
	}
	return nil
}

// Events implements report.Source.
func (s *Engine) Events(ctx context.Context, q report.Query, tell func(*report.Line) error) error {
	if err := q.Check(); err != nil {
		return err
	}
	if s.followers.Add(1) > maxFollowers {
		s.followers.Add(-1)
		return errTooMany
	}
	defer s.followers.Add(-1)
	events, stop := s.tunnel.Follow(room)
	defer stop()
	if q.Past {
		if err := s.past(q, tell); err != nil {
			return err
		}
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.tunnel.Done():
			return errors.New("the tunnel has ended")
		case e, ok := <-events:
			if !ok {
				return errTooSlow
			}
			if !asked(q, &e) {
				continue
			}
			if err := tell(&report.Line{Event: newEvent(&e)}); err != nil {
				return err
			}
		}
	}
}

// past tells what is kept of the interface, and of the peers that were named.
func (s *Engine) past(q report.Query, tell func(*report.Line) error) error {
	var all []tunnel.Event
	if len(q.Peers) == 0 {
		all = s.tunnel.Status().Events
	}
	for _, public := range q.Peers {
		if p, ok := s.tunnel.PeerStatus(public, report.MaxEvents); ok {
			all = append(all, p.Events...)
		}
	}
	slices.SortStableFunc(all, func(a, b tunnel.Event) int { return a.Time.Compare(b.Time) })
	for i := range all {
		if err := tell(&report.Line{Event: newEvent(&all[i])}); err != nil {
			return err
		}
	}
	return nil
}

// asked says whether an event is one that was asked for.
func asked(q report.Query, e *tunnel.Event) bool {
	switch {
	case len(q.Peers) > 0:
		return slices.Contains(q.Peers, e.Peer)
	case q.Which == report.None:
		return e.Peer == key.Public{} || e.Kind == tunnel.StrangerRefused
	}
	return true
}

func newInterface(name string, s tunnel.Status) *report.Interface {
	i := &report.Interface{
		Name: name, Now: s.Now, Engine: report.EngineVPN, PID: os.Getpid(), Since: s.Since,
		PublicKey: s.PublicKey, ListenPort: s.Port, FwMark: s.Mark, MTU: s.MTU,
		LinkUp: s.LinkUp, Listening: s.Listening, Asleep: s.Asleep, UnderLoad: s.UnderLoad,
		RekeyAfterSeconds: s.Limits.AfterTime.Seconds(), RekeyAfterPackets: s.Limits.AfterPackets,
		PeerCount: s.Peers, HandshakesWaiting: s.HandshakesWaiting, StagedBytes: uint64(max(s.StagedBytes, 0)),
		SocketErrors: s.Sockets.Errors, SocketMalformed: s.Sockets.Malformed, SocketOverflows: s.Sockets.Overflows,
		Rekeys: s.Tally.Rekeys, Drops: newDrops(s.Drops), Events: newEvents(s.Events),
	}
	for _, c := range s.Tally.Events {
		i.Happened = append(i.Happened, report.Count{What: word(c.What.String()), Times: c.Times})
	}
	for _, c := range s.Tally.Ended {
		i.Ended = append(i.Ended, report.Count{What: word(c.What.String()), Times: c.Times})
	}
	for _, w := range s.Tally.Waits {
		one := report.Wait{For: w.For.String(), Counts: w.Counts, Sum: w.Sum.Seconds()}
		for _, b := range w.Bounds {
			one.Bounds = append(one.Bounds, b.Seconds())
		}
		i.Waits = append(i.Waits, one)
	}
	return i
}

var origins = map[tunnel.Origin]report.Origin{
	tunnel.Configured: report.OriginSet, tunnel.Candidate: report.OriginCandidate, tunnel.Roamed: report.OriginRoamed,
}

var places = map[tunnel.Place]string{
	tunnel.Current: report.PlaceCurrent, tunnel.Next: report.PlaceNext,
	tunnel.Previous: report.PlacePrevious, tunnel.Displaced: report.PlaceDisplaced,
}

func newPeer(s *tunnel.PeerStatus) *report.Peer {
	p := &report.Peer{
		PublicKey: s.PublicKey, HasPreshared: s.HasPreshared,
		Endpoint: s.Endpoint.Addr, Source: s.Endpoint.Source, Candidates: s.Candidates,
		AllowedIPs: s.AllowedIPs, Keepalive: s.Keepalive, LatestHandshake: s.LastHandshake, RxBytes: s.Rx, TxBytes: s.Tx,
		Rekeys:      s.Rekeys,
		SilentSince: s.SilentSince, UnheardSince: s.UnheardSince, Staged: s.Staged,
		Drops: newDrops(s.Drops), Events: newEvents(s.Events),
	}
	if p.Endpoint.IsValid() {
		p.EndpointFrom = origins[s.Origin]
	}
	for i := range s.Sessions {
		k := &s.Sessions[i]
		p.Sessions = append(p.Sessions, report.Session{
			Name: k.Name, Place: places[k.Place], Role: k.Role.String(), Confirmed: k.Confirmed, Born: k.Born, Expires: k.Expires,
			ReplacedAt: k.ReplacedAt, SentMessages: k.Sent, ReceivedMessages: k.Received,
		})
	}
	if s.Wanted {
		p.Attempt = &report.Attempt{Unanswered: s.Unanswered, Next: s.NextInitiation, Cookie: s.HasCookie}
	}
	return p
}

func newDrops(all []tunnel.Dropped) (drops []report.Drop) {
	for _, d := range all {
		drops = append(drops, report.Drop{Reason: d.Reason.String(), Count: d.Count, Last: d.Last})
	}
	return drops
}

func newEvents(all []tunnel.Event) (events []report.Event) {
	for i := range all {
		events = append(events, *newEvent(&all[i]))
	}
	return events
}

// word makes one word of several.
func word(text string) string { return strings.ReplaceAll(text, " ", "_") }

func newEvent(e *tunnel.Event) *report.Event {
	r := &report.Event{
		Kind: word(e.Kind.String()), Time: e.Time, Peer: e.Peer, Endpoint: e.Endpoint, To: e.To, Session: e.Session, Tries: e.Tries,
		SentMessages: e.Sent, ReceivedMessages: e.Received, Address: e.Address, Owner: e.Owner, Timestamp: e.Timestamp, Newest: e.Newest,
	}
	if e.Times > 1 {
		r.First, r.Times = e.First, e.Times
	}
	if e.Session != "" {
		r.Role = e.Role.String()
	}
	if e.Kind == tunnel.SessionEnded {
		r.Why = word(e.Why.String())
	}
	if e.Kind == tunnel.HandshakeFailed || e.Kind == tunnel.StrangerRefused {
		r.Reason = e.Reason.String()
	}
	switch from := e.From; {
	case !from.Addr().IsValid():
	case from.Port() == 0:
		r.From = from.Addr().String()
	default:
		r.From = from.String()
	}
	if e.Kind == tunnel.PathRefused {
		x := &e.Refusal
		r.Refusal = &report.Refusal{
			Error: syscall.Errno(x.Errno).Error(), ICMP: int(x.ICMP), Type: int(x.Type), Code: int(x.Code), MTU: int(x.MTU),
		}
	}
	return r
}
