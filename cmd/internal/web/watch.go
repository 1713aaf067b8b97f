package web

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"vpn/cmd/internal/gather"
)

// Watch samples interfaces. Its methods may be called concurrently.
type Watch struct {
	named  []string
	looked atomic.Int64 // when somebody looked last, as Unix nanoseconds

	mu    sync.Mutex // guards links
	links map[string]*link
}

// NewWatch makes a Watch of the named interfaces; of all that are there, now or later, if none is named.
func NewWatch(names []string) *Watch {
	return &Watch{named: names, links: make(map[string]*link)}
}

// Run samples until ctx ends.
func (w *Watch) Run(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	for ctx.Err() == nil {
		names := w.named
		if len(names) == 0 {
			names, _ = gather.Names() // what can't be listed now may be a moment later
		}
		for _, name := range names {
			w.mu.Lock()
			l := w.links[name]
			if l == nil {
				l = newLink(name)
				w.links[name] = l
				all.Go(func() {
					l.watch(ctx, len(w.named) > 0, w.pause)
					w.mu.Lock()
					defer w.mu.Unlock()
					delete(w.links, name)
				})
			}
			w.mu.Unlock()
		}
		wait(ctx, w.pause())
	}
}

// pause is how long to wait before asking again.
func (w *Watch) pause() time.Duration {
	if time.Since(time.Unix(0, w.looked.Load())) < looking {
		return attentive
	}
	return patient
}

// look takes note that somebody looks, and returns the interfaces by name.
func (w *Watch) look() []*link {
	w.looked.Store(time.Now().UnixNano())
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []*link
	for _, l := range w.links {
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b *link) int { return strings.Compare(a.name, b.name) })
	return all
}
