package top

import (
	"context"
	"errors"
	"time"

	"vpn/cmd/internal/gather"
	"vpn/cmd/internal/report"
	"vpn/cmd/internal/status"
)

// events is how much of a peer's past is asked for: as much as a verdict may need.
const events = 8

// turn is what asking all interfaces once has found.
type turn struct {
	links    []status.Interface
	troubles []string
	err      error // the interfaces can't even be listed
}

// ask asks each of the interfaces once, or all that there are if none is named.
func ask(ctx context.Context, names []string) (t turn) {
	all := len(names) == 0
	if all {
		if names, t.err = gather.Names(); t.err != nil {
			return t
		}
	}
	for _, name := range names {
		i, err := look(ctx, name)
		switch {
		case all && errors.Is(err, gather.ErrNone): // it has just gone
		case err != nil:
			t.troubles = append(t.troubles, err.Error())
			t.err = errors.Join(t.err, err)
		default:
			t.links = append(t.links, i)
		}
	}
	return t
}

func look(ctx context.Context, name string) (status.Interface, error) {
	s, err := gather.Open(name)
	if err != nil {
		return status.Interface{}, err
	}
	i, peers, err := gather.Snapshot(ctx, s, report.Query{Events: events})
	return status.Interface{Interface: i, Peers: peers}, err
}

// idleShare is how much longer than a turn took the watcher rests after it, at least: many peers are asked for less often, so that watching
// never takes a large part of a processor.
const idleShare = 4

// watch asks in turns, an interval apart, until ctx ends.
func watch(ctx context.Context, names []string, interval time.Duration, turns chan<- turn) {
	began := time.Now()
	for {
		took := time.Since(began)
		select {
		case <-time.After(max(interval-took, idleShare*took)):
		case <-ctx.Done():
			return
		}
		began = time.Now()
		t := ask(ctx, names)
		select {
		case turns <- t:
		case <-ctx.Done():
			return
		}
	}
}
