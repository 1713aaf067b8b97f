package tunnel

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"vpn/noise/key"
	"vpn/rekey"
	"vpn/tunnel/udp"
)

const (
	// maxPeerEvents is how many events are kept of a peer that has talked: the last five or more sessions.
	maxPeerEvents = 32
	// maxStrangerEvents is how many are kept of each of the kinds that strangers can cause, and strangerLimit how many of a kind are looked at
	// a second: whatever comes, a flood costs no more than its counters.
	maxStrangerEvents = 16
	strangerLimit     = 20
)

// record is an Event as it is kept: some 100 bytes, and the detail of those that have any.
type record struct {
	at, first      int64 // Unix time in nanoseconds
	session        uint64
	sent, received uint64
	endpoint       netip.AddrPort
	detail         *Detail
	times, tries   uint32
	kind           EventKind
	reason         Reason
	why            rekey.End
	role           rekey.Role
}

// event is the record as it is told.
func (r *record) event(peer key.Public) Event {
	e := Event{
		Kind: r.kind, Time: time.Unix(0, r.at), Peer: peer, Endpoint: r.endpoint, Role: r.role, Why: r.why, Tries: int(r.tries),
		Sent: r.sent, Received: r.received, First: time.Unix(0, r.first), Times: int(r.times), Reason: r.reason,
	}
	if r.session != 0 {
		e.Session = rekey.SessionName(r.session)
	}
	if r.detail != nil {
		e.Detail = *r.detail
	}
	return e
}

// repeats reports whether r tells of the same as an older record, once more.
func (r *record) repeats(old *record) bool {
	if r.kind != old.kind || r.reason != old.reason || r.session != 0 || r.kind == AttemptGivenUp || r.kind == EndpointMoved {
		return false
	}
	if r.endpoint != old.endpoint || (r.detail == nil) != (old.detail == nil) {
		return false
	}
	if r.detail == nil {
		return true
	}
	a, b := *r.detail, *old.detail
	a.Timestamp, b.Timestamp = time.Time{}, time.Time{} // of the same clock, a little later
	return a == b
}

// ring keeps the last records. Its owner says by what it is guarded.
type ring struct {
	records []record
	next    int // where the next one goes, once it is full
}

// lookBack is how many records before the last one may have come since the same happened before: an initiation and the ICMP error that
// answers it come by turns.
const lookBack = 2

// add keeps a record, at the cost of the oldest of more than limit.
func (x *ring) add(r *record, limit int) {
	for i := range min(lookBack, len(x.records)) {
		old := &x.records[(x.next-1-i+2*len(x.records))%len(x.records)]
		if r.repeats(old) {
			r.first, r.times = old.first, old.times+1
			*old = *r
			return
		}
		if old.kind == AttemptGivenUp {
			break // what follows is another attempt
		}
	}
	if len(x.records) < limit {
		x.records = append(x.records, *r)
		return
	}
	x.records[x.next] = *r
	x.next = (x.next + 1) % limit
}

// events returns the last n records, the oldest first, by the time at which they happened last.
func (x *ring) events(peer key.Public, n int) []Event {
	if n = min(n, len(x.records)); n <= 0 {
		return nil
	}
	all := make([]Event, 0, len(x.records))
	for i := range x.records {
		all = append(all, x.records[(x.next+i)%len(x.records)].event(peer))
	}
	slices.SortStableFunc(all, func(a, b Event) int { return a.Time.Compare(b.Time) })
	return all[len(all)-n:]
}

// strangers keeps what happened that no peer can be named for. It may be used concurrently.
type strangers struct {
	limits [strangerClasses]tokenBucket

	mu    sync.Mutex // guards rings
	rings [strangerClasses]ring
}

// The classes of strangers: a flood of one kind pushes no other out.
const (
	classMAC1 = iota
	classUnknown
	classOther
	classNobody
	classLoad
	strangerClasses
)

// stranger notes what somebody has done that no peer can be named for. who is the static key of one that isn't configured.
func (t *Tunnel) stranger(kind EventKind, why Reason, who key.Public, now time.Duration, d Detail) {
	class := classOther
	switch {
	case kind == UnderLoad:
		class = classLoad
	case kind == NobodyAt:
		class = classNobody
	case why == BadMAC1:
		class = classMAC1
	case why == UnknownPeer:
		class = classUnknown
		d.Owner = who
	}
	t.tally.happened[kind].Add(1)
	x := &t.strangers
	if !x.limits[class].allow(now, strangerLimit) {
		return
	}
	kept := d // the argument itself would be made on the heap, also for all that is not kept
	r := record{kind: kind, at: t.clock.Wall().UnixNano(), times: 1, reason: why, detail: &kept}
	r.first = r.at
	e := r.event(key.Public{})
	e.known()
	t.followers.tell(&e)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.rings[class].add(&r, maxStrangerEvents)
}

// known moves the key of a stranger, which its record keeps among the details, to where an event has it.
func (e *Event) known() {
	if e.Kind == StrangerRefused {
		e.Peer, e.Owner = e.Owner, key.Public{}
	}
}

// events returns what is kept, the oldest first.
func (x *strangers) events() (all []Event) {
	x.mu.Lock()
	for i := range x.rings {
		all = append(all, x.rings[i].events(key.Public{}, maxStrangerEvents)...)
	}
	x.mu.Unlock()
	for i := range all {
		all[i].known()
	}
	slices.SortStableFunc(all, func(a, b Event) int { return a.Time.Compare(b.Time) })
	return all
}

// followers are told of events as they come. It may be used concurrently.
type followers struct {
	mu   sync.Mutex // held while list is changed
	list atomic.Pointer[[]*follower]
}

type follower struct {
	mu     sync.Mutex // guards what follows
	events chan Event
	ended  bool
}

// tell hands an event on. Nobody waits: a follower that has no room for it is one no more.
func (f *followers) tell(e *Event) {
	list := f.list.Load()
	if list == nil {
		return
	}
	for _, one := range *list {
		one.tell(e)
	}
}

func (f *follower) tell(e *Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return
	}
	select {
	case f.events <- *e:
	default:
		f.ended = true
		close(f.events)
	}
}

// Follow tells of all that happens to peers and to the interface from now on, until stop is called, which may be done more than once. The
// channel has room for as many events as room says; it is closed for who reads so slowly that there is none, and at the end of the
// Tunnel it falls silent.
func (t *Tunnel) Follow(room int) (events <-chan Event, stop func()) {
	one := &follower{events: make(chan Event, room)}
	t.followers.change(func(list []*follower) []*follower { return append(list, one) })
	return one.events, func() {
		t.followers.change(func(list []*follower) []*follower {
			return slices.DeleteFunc(list, func(f *follower) bool { return f == one })
		})
		one.mu.Lock()
		defer one.mu.Unlock()
		if !one.ended {
			one.ended = true
			close(one.events)
		}
	}
}

func (f *followers) change(edit func([]*follower) []*follower) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []*follower
	if old := f.list.Load(); old != nil {
		list = slices.Clone(*old)
	}
	if list = edit(list); len(list) == 0 {
		f.list.Store(nil)
		return
	}
	f.list.Store(&list)
}

// refuseStranger counts a handshake message that went no further, and notes who sent it.
func (t *Tunnel) refuseStranger(why Reason, who key.Public, from udp.Endpoint, now time.Duration) {
	t.drop(nil, why, 1)
	t.stranger(StrangerRefused, why, who, now, Detail{From: from.Addr})
}
