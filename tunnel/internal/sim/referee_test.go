package sim

import (
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"time"

	"vpn/noise"
	"vpn/noise/aead"
	"vpn/noise/cookie"
	"vpn/noise/key"
	"vpn/noise/wire"
	"vpn/rekey"
)

// A rule is what must hold at every step.
type rule string

const (
	counterOnce     rule = "no (key, counter) is used twice"
	counterLimit    rule = "no counter reaches RejectAfterMessages"
	deliveredOnce   rule = "each payload is delivered at most once, unchanged, where it was sent to"
	ownSource       rule = "a payload is delivered only from the owner of its source"
	keyAge          rule = "nothing is sent on a key of 180 s or more"
	confirmedFirst  rule = "a responder sends nothing before its session is confirmed"
	endpointMoves   rule = "endpoints move only on fresh authenticated messages"
	initiationFresh rule = "only an initiation newer than those before is answered"
	initiationRate  rule = "at most one initiation per peer in 5 s"
	silence         rule = "an idle pair is silent, and forgets everything"
	flow            rule = "on a clean network traffic flows within 30 s"
	bounds          rule = "queues, maps and indices stay bounded"
	noAmplification rule = "unauthenticated input never causes larger output"
	keysZero        rule = "keys that are over are zero"
	timestampsRise  rule = "the timestamps of a key only rise, whatever the clock says and whoever starts anew"
	inOrder         rule = "on a clean network what one node sends to another arrives in order"
	cookieFirst     rule = "under load, and only then, who brings no cookie is sent one, and nothing is done for him"
	sourceLimit     rule = "under load nobody has more work done for him than a source may"
	letIn           rule = "who has a cookie is let in while a flood goes on"
	setWorks        rule = "a good configuration is taken"
)

var allRules = []rule{
	counterOnce, counterLimit, deliveredOnce, ownSource, keyAge, confirmedFirst, endpointMoves, initiationFresh, initiationRate,
	silence, flow, bounds, noAmplification, keysZero, timestampsRise, inOrder, cookieFirst, sourceLimit, letIn, setWorks,
}

// A referee is told all that nodes are given and all that comes out of them, and remembers which rules were broken.
type referee struct {
	w      *world
	broken map[rule]string // and how, first

	letters  map[essence]*letter    // messages that nodes have sent, by their bytes
	pending  map[half]*letter       // initiations, by who sent them and their sender index
	open     map[uint32]half        // the same, by the sender index alone
	sessions map[half]*session      // by who sends on it, and the receiver index of what he sends
	used     map[sealed]bool        // counters
	called   map[call]time.Duration // when a node last sent an initiation to a peer
	answered map[call]int           // the newest initiation of a static key that a node has answered
	checkers map[key.Public]*cookie.Checker
	stamps   map[stamped]noise.TAI64N // the newest of a static key for a peer
	cookies  map[place]time.Duration  // when a node last sent a cookie there
	worked   map[source][]time.Duration
	payloads []payload
	clean    int                             // payloads from here on were sent while the network was clean
	arrived  map[talk]int                    // the last of those
	ends     []map[key.Public]netip.AddrPort // where each node believes its peers to be
	slots    [][]slot
}

type (
	// half is one direction of a session, or a handshake: a node and an index.
	half struct {
		node  int
		index uint32
	}
	sealed struct {
		half
		counter uint64
	}
	call struct {
		node int
		peer key.Public
	}
)

// stamped is a static key, and a peer to which its owner sends initiations.
type stamped struct{ static, peer key.Public }

// A letter is a message that a node has sent.
type letter struct {
	from   int
	number int
	static key.Public // whose it was, then
	seen   uint64     // a bit for each node that took it
}

// A session is known by its response: x is the initiator's index, y the responder's.
type session struct {
	initiator, responder           int
	x, y                           uint32
	madeByInitiator                bool
	initiatorSince, responderSince time.Duration
	confirmed                      bool
}

// A payload is a packet that a node was given.
type payload struct {
	from, to  int
	source    netip.Addr
	data      []byte
	segment   bool // of a superpacket
	delivered int
}

// A slot is a place for a key in a node's memory.
type slot struct {
	key   [aead.KeySize]byte
	since time.Duration
}

func newReferee(w *world) *referee {
	return &referee{
		w: w, broken: make(map[rule]string),
		letters: make(map[essence]*letter), pending: make(map[half]*letter), open: make(map[uint32]half),
		sessions: make(map[half]*session), used: make(map[sealed]bool),
		stamps: make(map[stamped]noise.TAI64N), cookies: make(map[place]time.Duration), worked: make(map[source][]time.Duration),
		arrived: make(map[talk]int),
		called:  make(map[call]time.Duration), answered: make(map[call]int), checkers: make(map[key.Public]*cookie.Checker),
	}
}

func (r *referee) fail(x rule, format string, args ...any) {
	if r.broken[x] == "" {
		r.broken[x] = fmt.Sprintf("at %v: ", r.w.now()) + fmt.Sprintf(format, args...)
	}
}

// judge is told of a step: what a node was given, whose letters those were, and what came out of it.
func (r *referee) judge(n *node, what string, in arrival, letters []*letter, before burdened, o *output) {
	if n.dead {
		return
	}
	r.load(n, before, in, o)
	if bytes := o.bytes(); n.stock == nil && in != nil && !anyOf(letters) && bytes > in.bytes() {
		r.fail(noAmplification, "node %d answered %d bytes with %d", n.number, in.bytes(), bytes)
	}
	in, letters = n.hold(in, letters)
	for i, l := range letters {
		if l == nil {
			continue
		}
		if kind, _ := wire.Classify(in[i].data); kind == wire.TypeResponse && (n.stock != nil || o.started()) {
			l.seen |= 1 << n.number
			s := r.answers(n, in[i].data)
			s.madeByInitiator, s.initiatorSince = true, r.w.now()
		}
	}
	for i := range o.sent {
		r.sent(n, &o.sent[i])
	}
	for _, p := range o.delivered {
		r.delivered(n, p)
	}
	if n.stock != nil {
		return // its rules are its own
	}
	if r.w.quiet && len(o.sent) > 0 {
		r.fail(silence, "node %d sends: %s", n.number, describe(o.sent[0].data))
	}
	r.places(n, what, in, letters)
	r.measure(n)
	r.keys(n)
}

// sent judges a message that a node has sent.
func (r *referee) sent(n *node, d *datagram) {
	kind, _ := wire.Classify(d.data)
	if x := essenceOf(d.data); r.letters[x] == nil {
		r.letters[x] = &letter{from: n.number, number: len(r.letters) + 1, static: n.public}
	} else if kind == wire.TypeInitiation {
		return // one and the same, to another candidate
	}
	switch kind {
	case wire.TypeInitiation:
		r.initiation(n, wire.AsInitiation(d.data))
	case wire.TypeResponse:
		r.response(n, wire.AsResponse(d.data))
	case wire.TypeData:
		r.data(n, wire.DataReceiver(d.data), wire.DataCounter(d.data))
	}
}

func (r *referee) initiation(n *node, m *wire.Initiation) {
	at := half{n.number, m.Sender()}
	r.pending[at] = r.letters[essenceOf(m[:])]
	r.open[m.Sender()] = at
	for _, t := range n.told {
		if t == nil || !r.meantFor(m[:], t.public) {
			continue
		}
		c := call{n.number, t.public}
		if last, ok := r.called[c]; ok && r.w.now()-last < rekey.RekeyTimeout && n.stock == nil {
			r.fail(initiationRate, "node %d sends another after %v", n.number, r.w.now()-last)
		}
		r.called[c] = r.w.now()
		r.timestamp(n, t.public)
	}
}

// timestamp judges the one of the initiation that a node has just sent to a peer.
func (r *referee) timestamp(n *node, peer key.Public) {
	if n.stock != nil {
		return
	}
	p, _ := n.peer(peer)
	is, x := *field[noise.TAI64N](p.FieldByName("talk").Elem(), "ownTimestamp"), stamped{n.public, peer}
	if was := r.stamps[x]; !is.After(was) {
		r.fail(timestampsRise, "node %d sends %v after %v", n.number, is.Time(), was.Time())
	}
	r.stamps[x] = is
}

// newborn is told that a node knows nothing any more but what was on its disk.
func (r *referee) newborn(n *node) {
	if n.number < len(r.ends) {
		clear(r.ends[n.number])
	}
	if n.number < len(r.slots) {
		r.slots[n.number] = nil
	}
	maps.DeleteFunc(r.called, func(c call, _ time.Duration) bool { return c.node == n.number })
	maps.DeleteFunc(r.answered, func(c call, _ int) bool { return c.node == n.number })
	r.cookiesOver(n)
}

// cookiesOver is told that no cookie that a node has sent is good any more.
func (r *referee) cookiesOver(n *node) {
	maps.DeleteFunc(r.cookies, func(p place, _ time.Duration) bool { return p.node == n.number })
}

func (r *referee) response(n *node, m *wire.Response) {
	at, ok := r.open[m.Receiver()]
	if !ok {
		r.fail(initiationFresh, "node %d answers an initiation that nobody sent", n.number)
		return
	}
	l := r.pending[at]
	c := call{n.number, l.static}
	if l.number < r.answered[c] && n.stock == nil {
		r.fail(initiationFresh, "node %d answers an older initiation of node %d than before", n.number, l.from)
	}
	if l.number == r.answered[c] && n.stock == nil {
		r.fail(initiationFresh, "node %d answers an initiation of node %d again", n.number, l.from)
	}
	r.answered[c] = l.number
	s := &session{initiator: at.node, responder: n.number, x: m.Receiver(), y: m.Sender(), responderSince: r.w.now()}
	r.sessions[half{s.responder, s.x}], r.sessions[half{s.initiator, s.y}] = s, s
}

func (r *referee) data(n *node, receiver uint32, counter uint64) {
	at := half{n.number, receiver}
	if r.used[sealed{at, counter}] {
		r.fail(counterOnce, "node %d uses counter %d again", n.number, counter)
	}
	r.used[sealed{at, counter}] = true
	if counter >= rekey.RejectAfterMessages {
		r.fail(counterLimit, "node %d uses counter %d", n.number, counter)
	}
	s := r.sessions[at]
	switch {
	case n.stock != nil:
	case s == nil || s.initiator == n.number && !s.madeByInitiator:
		r.fail(confirmedFirst, "node %d sends on a session that there is not", n.number)
	case s.initiator == n.number:
		r.young(n, r.w.now()-s.initiatorSince)
	case !s.confirmed:
		r.fail(confirmedFirst, "node %d has heard nothing on the session", n.number)
	default:
		r.young(n, r.w.now()-s.responderSince)
	}
}

func (r *referee) young(n *node, age time.Duration) {
	if age >= rekey.RejectAfterTime {
		r.fail(keyAge, "node %d sends on a key %v old", n.number, age)
	}
}

// delivered judges a packet that came out of a node's device.
func (r *referee) delivered(n *node, p []byte) {
	number, ok := numberOf(p)
	if !ok {
		return // an ICMP error of the node's own
	}
	if number >= len(r.payloads) || !bytes.Equal(r.payloads[number].data, p) {
		r.fail(deliveredOnce, "node %d got a packet that nobody sent", n.number)
		return
	}
	x := &r.payloads[number]
	if x.delivered++; x.delivered > 1 {
		r.fail(deliveredOnce, "node %d got packet %d again", n.number, number)
	}
	if p[0]>>4 == 6 {
		r.w.saw(ipv6Inside)
	}
	if x.segment {
		r.w.saw(segmentDelivered)
	}
	if x.to != n.number {
		r.fail(deliveredOnce, "node %d got a packet for node %d", n.number, x.to)
	}
	if way := (talk{x.from, n.number}); number >= r.clean && n.stock == nil && r.w.nodes[x.from].stock == nil {
		if last := r.arrived[way]; number < last {
			r.fail(inOrder, "node %d got packet %d of node %d after %d", n.number, number, x.from, last)
		}
		r.arrived[way] = number
	}
	if owner, ok := n.owner[x.source]; n.stock == nil && (!ok || owner != x.from) {
		r.fail(ownSource, "node %d got a packet of node %d from %v", n.number, x.from, x.source)
	}
}
