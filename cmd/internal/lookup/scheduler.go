package lookup

import (
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"vpn/noise/key"
)

const (
	// grace is how long a peer's first list waits for answers before it is made of
	// cached addresses: an address that is no longer right costs a handshake's
	// five seconds.
	grace = 250 * time.Millisecond
	// saveDelay is how long the file waits for more to save.
	saveDelay = 500 * time.Millisecond
	// maxAsking is how many names are asked for at once.
	maxAsking = 32
)

// Config is what a Scheduler works with.
type Config struct {
	// Lookup returns a name's addresses, best first: Resolver.Lookup.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	// Path is the file of the last addresses, with its folder made where it is
	// missing; empty for none.
	Path string
	// Log is told when a name stops or starts to resolve, not each time it is
	// tried.
	Log *slog.Logger
}

// Result says where a peer may be reached.
type Result struct {
	Peer       key.Public
	Candidates []netip.AddrPort // best first; at least one, at most MaxCandidates
}

// Failure is a name that doesn't resolve.
type Failure struct {
	Host string
	Err  error
}

// A Scheduler looks for the addresses of the peers' endpoints. Each name is
// asked for once, however many peers share it, and again after each failure,
// with growing delay and without end. Its methods may be called concurrently;
// none blocks.
type Scheduler struct {
	config  Config
	ctx     context.Context
	results chan Result
	wake    chan struct{} // has a value when there is news to hand out

	mu       sync.Mutex // guards what follows
	names    map[string]*name
	peers    map[key.Public]*peer
	ready    []*name // to be asked, in order
	asking   int     // goroutines that ask
	news     []*peer // to be handed out, in order
	cache    map[string]cached
	unsaved  bool   // the file is about to be written
	saveErr  string // as last logged
	ended    bool
	routines sync.WaitGroup // those that ask or save
}

// name is a host name that endpoints have.
type name struct {
	host   string // by hostKey
	peers  []*peer
	addrs  []netip.Addr // of the last answer, or else cached
	err    error        // of the last lookup
	tried  bool         // it was looked up
	busy   bool         // it is being looked up, or is about to
	repeat bool         // its peers want to hear of the answer even if it is the same
	gone   bool         // no endpoint has it any more
	asked  time.Time    // when the last lookup ended
	delay  Backoff
	timer  *time.Timer // for the next lookup; nil if there is none to come
}

// peer is a Peer with names among its endpoints, and what was said of it.
type peer struct {
	Peer
	open bool             // its first list waits no longer
	news bool             // it is among the news
	last []netip.AddrPort // as handed out
}

// Start begins to look for addresses, until ctx ends.
func Start(ctx context.Context, c Config, peers []Peer) *Scheduler {
	s := &Scheduler{
		config:  c,
		ctx:     ctx,
		results: make(chan Result),
		wake:    make(chan struct{}, 1),
		names:   map[string]*name{},
		peers:   map[key.Public]*peer{},
		cache:   map[string]cached{},
	}
	if c.Path != "" {
		entries, err := readCache(c.Path)
		if err != nil {
			c.Log.Warn("the last addresses of endpoints are lost", "err", err)
		}
		maps.Copy(s.cache, entries)
	}
	s.Set(peers)
	go s.run()
	return s
}

// Results tells of each peer that has names among its endpoints where it may be
// reached, when that is first known and when it changes; and after Retry also
// when it is the same. What nobody has received yet is replaced by what is
// newer. The channel is closed when ctx has ended and all has been saved.
func (s *Scheduler) Results() <-chan Result { return s.results }

// Set replaces the peers. What is known of names that stay is kept.
func (s *Scheduler) Set(peers []Peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.peers
	s.peers = make(map[key.Public]*peer, len(peers))
	for _, n := range s.names {
		n.peers, n.gone = nil, true
	}
	var waiting []*peer
	for _, p := range peers {
		now := before[p.Key]
		if now == nil || !slices.Equal(now.Endpoints, p.Endpoints) {
			now = &peer{Peer: p}
			waiting = append(waiting, now)
		}
		s.peers[p.Key] = now
		for _, host := range hosts(p) {
			n := s.names[host]
			if n == nil {
				n = &name{host: host, addrs: s.cache[host].all()}
				s.names[host] = n
			}
			n.peers, n.gone = append(n.peers, now), false
		}
	}
	maps.DeleteFunc(s.names, func(_ string, n *name) bool {
		if n.gone {
			n.stop()
		}
		return n.gone
	})
	for _, p := range waiting {
		for _, host := range hosts(p.Peer) {
			if n := s.names[host]; !n.tried && !n.busy {
				s.ask(n)
			}
		}
		s.consider(p, false)
	}
	if len(waiting) > 0 {
		time.AfterFunc(grace, func() { s.open(waiting) })
	}
}

// hosts returns the names among a peer's endpoints, none twice.
func hosts(p Peer) (names []string) {
	for _, e := range p.Endpoints {
		if _, ok := e.Addr(); ok {
			continue
		}
		if host := hostKey(e.Host); !slices.Contains(names, host) {
			names = append(names, host)
		}
	}
	return names
}

// open ends the wait for the first answers.
func (s *Scheduler) open(peers []*peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range peers {
		if s.peers[p.Key] == p {
			p.open = true
			s.consider(p, false)
		}
	}
}

// Known returns what is known of a peer's endpoints now, without waiting: what
// the configuration says, what the names are, or what they were before.
func (s *Scheduler) Known(id key.Public) []netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.peers[id]; p != nil {
		return s.candidates(p)
	}
	return nil
}

func (s *Scheduler) candidates(p *peer) []netip.AddrPort {
	return candidates(p.Endpoints, func(host string) []netip.Addr { return s.names[host].addrs })
}

// Retry asks for a peer's names again, since handshakes with it stall. It may be
// called as often as they do: the names are asked with growing delay, until
// Worked.
func (s *Scheduler) Retry(id key.Public) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.peers[id]
	if p == nil {
		return
	}
	for _, host := range hosts(p.Peer) {
		n := s.names[host]
		n.repeat = true
		if !n.busy && n.timer == nil {
			s.askIn(n, n.delay.Next()-time.Since(n.asked))
		}
	}
}

// Wake asks at once for all names that don't resolve: the host has got a network,
// or other servers.
func (s *Scheduler) Wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.names {
		n.delay.Reset()
		if n.err != nil && !n.busy {
			s.askIn(n, firstDelay-time.Since(n.asked))
		}
	}
}

// Worked tells that a handshake with the peer succeeded at this address: it will
// be the first to be tried when the name can't be resolved.
func (s *Scheduler) Worked(id key.Public, at netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.peers[id]
	if p == nil {
		return
	}
	addr := at.Addr().Unmap()
	for _, host := range hosts(p.Peer) {
		n := s.names[host]
		n.delay.Reset()
		if entry := s.cache[host]; slices.Contains(n.addrs, addr) && entry.Worked != addr {
			s.store(host, cached{addr, entry.Addresses})
		}
	}
}

// Failures returns the names that don't resolve now, in alphabetical order.
func (s *Scheduler) Failures() []Failure {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Failure
	for _, host := range slices.Sorted(maps.Keys(s.names)) {
		if err := s.names[host].err; err != nil {
			all = append(all, Failure{host, err})
		}
	}
	return all
}
