package engine

import (
	"runtime/debug"
	"sync"
	"time"

	"vpn/tunnel/uapi"
)

const (
	// largeChange is from how many changed peers on the process's memory is
	// tidied up.
	largeChange = 1000
	// trimDelay is how long after a change: its request is forgotten by then, and
	// changes in a row are tidied up after once.
	trimDelay = time.Second
)

// A trimmer is a Backend that gives memory back to the system after large
// changes: what a request has taken and removed peers have held. An idle tunnel
// allocates nothing, so that the collector would have no reason to run for
// minutes, and the system takes what is free only slowly.
type trimmer struct {
	uapi.Backend

	mu      sync.Mutex  // guards what follows
	changed int         // peers since memory was given back
	timer   *time.Timer // to give it back; nil before the first large change
	stopped bool
}

// Set counts refused changes too: what was parsed of them has to go as well.
func (m *trimmer) Set(c *uapi.Config) error {
	err := m.Backend.Set(c)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changed += len(c.Peers)
	if c.ReplacePeers {
		m.changed += largeChange // nobody knows how many that were
	}
	switch {
	case m.changed < largeChange || m.stopped:
	case m.timer == nil:
		m.timer = time.AfterFunc(trimDelay, m.trim)
	default:
		m.timer.Reset(trimDelay)
	}
	return err
}

func (m *trimmer) trim() {
	m.mu.Lock()
	m.changed = 0
	m.mu.Unlock()
	debug.FreeOSMemory()
}

// stop ends the trimmer; a last change is left as it is.
func (m *trimmer) stop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopped = true
	if m.timer != nil {
		m.timer.Stop()
	}
}
