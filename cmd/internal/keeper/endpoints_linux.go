package keeper

import (
	"bufio"
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"vpn/noise/key"
	"vpn/tun/host"
)

// saveEvery bounds how often the file of the endpoints is written.
const saveEvery = time.Second

// maxPeers bounds what is remembered of peers that an engine tells of: an engine
// that lies has many.
const maxPeers = 1 << 18

// endpoints keeps where peers were last, in a file too, for the engine and the
// keeper that come next. It may be used concurrently.
type endpoints struct {
	path string

	mu    sync.Mutex // guards what follows
	at    map[key.Public]netip.AddrPort
	saved time.Time
	timer *time.Timer // of a save to come, nil if none is
	ended bool
}

// openEndpoints reads the file, if there is one. Lines that are not whole are
// passed over.
func openEndpoints(path string) *endpoints {
	e := &endpoints{path: path, at: make(map[key.Public]netip.AddrPort)}
	text, err := os.ReadFile(path)
	if err != nil {
		return e
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		id, at, _ := strings.Cut(lines.Text(), " ")
		public, err := key.ParsePublic(id)
		if err != nil {
			continue
		}
		if addr, err := netip.ParseAddrPort(at); err == nil {
			e.at[public] = addr
		}
	}
	return e
}

// moved takes down where a peer is now, and has it saved soon.
func (e *endpoints) moved(peer key.Public, at netip.AddrPort) {
	e.mu.Lock()
	defer e.mu.Unlock()
	last, known := e.at[peer]
	if !at.IsValid() || last == at || !known && len(e.at) >= maxPeers {
		return
	}
	e.at[peer] = at
	e.saveSoon()
}

// forget drops peers that are not kept.
func (e *endpoints) forget(kept func(key.Public) bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	before := len(e.at)
	maps.DeleteFunc(e.at, func(peer key.Public, _ netip.AddrPort) bool { return !kept(peer) })
	if len(e.at) != before {
		e.saveSoon()
	}
}

// last returns where a peer was last; the zero value if that is not known.
func (e *endpoints) last(peer key.Public) netip.AddrPort {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.at[peer]
}

// saveSoon is called with mu held.
func (e *endpoints) saveSoon() {
	if e.ended || e.timer != nil {
		return
	}
	e.timer = time.AfterFunc(max(0, saveEvery-time.Since(e.saved)), func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.ended {
			return
		}
		e.timer, e.saved = nil, time.Now()
		_ = e.save() // what can't be kept is learnt anew from the peers
	})
}

func (e *endpoints) save() error {
	var b bytes.Buffer
	for _, peer := range slices.SortedFunc(maps.Keys(e.at), func(a, b key.Public) int { return bytes.Compare(a[:], b[:]) }) {
		fmt.Fprintf(&b, "%v %v\n", peer, e.at[peer])
	}
	return host.Replace(e.path, b.Bytes())
}

// flush writes the file at once if something is new.
func (e *endpoints) flush() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.timer != nil && e.timer.Stop() {
		e.timer = nil
		_ = e.save()
	}
}

// close flushes, and ends.
func (e *endpoints) close() {
	e.flush()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended = true
}

// remove deletes the file.
func (e *endpoints) remove() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended = true
	_ = os.Remove(e.path)
}
