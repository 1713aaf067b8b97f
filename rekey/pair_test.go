package rekey

import (
	"container/heap"
	"math/rand/v2"
	"time"

	"vpn/noise/aead"
)

// A world is two machines with a network between them that loses, delays and reorders. Handshakes are real as far as machines
// can tell, keys and seals are real. It checks at each step what must never happen.
type world struct {
	t       failer
	random  *rand.Rand
	now     time.Duration
	sides   [2]*side
	network messages
	carried int     // messages that were put on the network
	loss    float64 // from 0 to 1
	gentle  bool    // nothing is ever lost, and nobody goes down
	delay   time.Duration
	jitter  time.Duration // of the delay
	late    time.Duration // how late deadlines may be noticed
	ids     uint64
}

// failer is what a world needs of a test.
type failer interface {
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// A side is what an engine does for one peer.
type side struct {
	*world
	other     *side
	m         Machine
	arena     *aead.Arena
	wake      time.Duration
	index     map[uint64]*Keypair // by handshake
	handshake uint64              // the initiation that waits for its response
	newest    uint64              // the newest initiation seen
	staged    []*packet
	heard     map[uint64]bool // sessions that something was received on
	initiated time.Duration
	up        bool
}

// A packet is one that a side was given to send.
type packet struct {
	at        time.Duration
	delivered int
	dropped   bool // by DropStaged
	old       bool // sent in the last second that its session had
}

type message struct {
	at         time.Duration
	to         *side
	initiation uint64
	response   uint64
	session    uint64
	counter    uint64
	sealed     []byte
	packets    []*packet // what the data message carries: at most one
}

type messages []*message

func (h messages) Len() int           { return len(h) }
func (h messages) Less(i, j int) bool { return h[i].at < h[j].at }
func (h messages) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *messages) Push(x any)        { *h = append(*h, x.(*message)) }
func (h *messages) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}

func newWorld(t failer, seed uint64) *world {
	w := &world{t: t, random: rand.New(rand.NewPCG(seed, 1)), now: origin, delay: 20 * time.Millisecond}
	for i := range w.sides {
		w.sides[i] = &side{world: w, arena: aead.NewArena(nil), index: map[uint64]*Keypair{}, heard: map[uint64]bool{}, up: true}
	}
	w.sides[0].other, w.sides[1].other = w.sides[1], w.sides[0]
	for _, s := range w.sides {
		s.apply(s.m.Up(w.now))
	}
	return w
}

func (w *world) upTo(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(w.random.Int64N(int64(d)))
}

func (w *world) retry() time.Duration { return w.upTo(RekeyTimeoutJitterMax + 1) }

// run lets time pass: messages arrive, deadlines are noticed.
func (w *world) run(d time.Duration) {
	for end := w.now + d; ; {
		next := end
		if len(w.network) > 0 {
			next = min(next, w.network[0].at)
		}
		for _, s := range w.sides {
			if s.wake != 0 {
				next = min(next, s.wake)
			}
		}
		w.now = max(w.now, next)
		for _, s := range w.sides {
			s.pollEarly()
			if s.wake != 0 && s.wake <= w.now {
				s.wake = 0
				s.poll()
			}
		}
		for len(w.network) > 0 && w.network[0].at <= w.now {
			m := heap.Pop(&w.network).(*message)
			m.to.receive(m)
		}
		if w.now >= end && (len(w.network) == 0 || w.network[0].at > w.now) {
			return
		}
	}
}

func (w *world) send(m *message) {
	w.carried++
	if w.random.Float64() < w.loss {
		return
	}
	m.at = w.now + w.delay + w.upTo(w.jitter)
	heap.Push(&w.network, m)
}

func (s *side) poll() { s.apply(s.m.Poll(s.now, s.retry())) }

// pollEarly checks that nothing happens before the deadline, and that the deadline only moves away.
func (s *side) pollEarly() {
	before := time.Duration(s.m.deadline.Load())
	if s.now >= before && before != 0 {
		return
	}
	r := s.m.Poll(s.now, s.retry())
	if r.Actions != 0 || len(r.Retired) != 0 {
		s.t.Fatalf("%v: a poll %v before the deadline does %v and ends %d", s.now-origin, before-s.now, r.Actions, len(r.Retired))
	}
	if r.Deadline != 0 && (before == 0 || r.Deadline < before) {
		s.t.Fatalf("%v: the deadline came nearer, from %v to %v", s.now-origin, before-origin, r.Deadline-origin)
	}
}

func (s *side) apply(r Result) {
	for {
		for _, k := range r.Retired {
			if _, ok := k.Ended(); !ok || k.Acquire(s.now) {
				s.t.Fatalf("%v: a retired pair is not", s.now-origin)
			}
			delete(s.index, k.ID())
		}
		if r.Actions&EraseHandshake != 0 {
			s.handshake = 0
		}
		if r.Actions&DropStaged != 0 {
			for _, p := range s.staged {
				p.dropped = true
			}
			s.staged = nil
		}
		s.wake = 0
		if r.Deadline != 0 {
			s.wake = max(r.Deadline, s.now) + s.upTo(s.late)
		}
		switch {
		case r.Actions&SendInitiation != 0:
			r = s.initiate()
		case r.Actions&SendStaged != 0 && len(s.staged) > 0:
			staged := s.staged
			s.staged = nil
			for _, p := range staged {
				s.transmit(p)
			}
			return
		case r.Actions&SendKeepalive != 0:
			s.transmit(nil)
			return
		default:
			return
		}
	}
}

func (s *side) initiate() Result {
	if s.initiated != 0 && s.now-s.initiated < RekeyTimeout {
		s.t.Fatalf("%v: two initiations within %v", s.now-origin, s.now-s.initiated)
	}
	if s.gentle && s.m.limits == (Limits{}) {
		if k := s.m.Current(); k != nil && s.now-k.Born() < RekeyAfterTime {
			s.t.Fatalf("%v: an initiation, and the session is %v old", s.now-origin, s.now-k.Born())
		}
	}
	s.initiated = s.now
	s.ids++
	s.handshake = s.ids
	s.world.send(&message{to: s.other, initiation: s.ids})
	return s.m.InitiationSent(s.now, s.retry())
}

// given is a packet from the user.
func (s *side) given() *packet {
	p := &packet{at: s.now}
	s.transmit(p)
	return p
}

// transmit sends a packet, or a keepalive if p is nil, or has it wait.
func (s *side) transmit(p *packet) {
	k := s.m.Sending()
	if k == nil || !k.Acquire(s.now) {
		if p != nil {
			s.staged = append(s.staged, p)
			s.apply(s.m.Want(s.now, s.retry()))
		}
		return
	}
	if age := s.now - k.Born(); age >= RejectAfterTime {
		s.t.Fatalf("%v: sending on a key %v old", s.now-origin, age)
	} else if p != nil && age >= RejectAfterTime-time.Second {
		p.old = true
	}
	if k.Role() == Responder && !s.heard[k.ID()] {
		s.t.Fatalf("%v: the responder sends before it has received", s.now-origin)
	}
	counter, ok := k.Reserve(1)
	if !ok {
		s.t.Fatalf("no counter")
	}
	m := &message{to: s.other, session: k.ID(), counter: counter, sealed: make([]byte, aead.Overhead)}
	if p != nil {
		m.sealed = make([]byte, 16+aead.Overhead)
		m.packets = []*packet{p}
	}
	k.SendKey().Seal(m.sealed, counter)
	s.world.send(m)
	poll := s.m.Sent(k, p != nil, s.now)
	k.Release()
	if poll {
		s.poll()
	}
}

func (s *side) receive(m *message) {
	if !s.up {
		return
	}
	switch {
	case m.initiation != 0:
		if m.initiation <= s.newest {
			return
		}
		s.newest = m.initiation
		k := s.keypair(Responder, m.initiation)
		s.m.InitiationReceived(s.now)
		s.world.send(&message{to: s.other, response: m.initiation})
		s.apply(s.m.Responded(k, s.now))
	case m.response != 0:
		if m.response != s.handshake {
			return
		}
		s.handshake = 0
		k := s.keypair(Initiator, m.response)
		s.m.InitiationReceived(s.now)
		s.apply(s.m.Initiated(k, s.now))
	default:
		s.receiveData(m)
	}
}

func (s *side) receiveData(m *message) {
	k := s.index[m.session]
	if k == nil || !k.Acquire(s.now) {
		return
	}
	if !k.ReceiveKey().Open(m.sealed, m.counter) {
		s.t.Fatalf("%v: a message does not open", s.now-origin)
	}
	ms := []aead.Sealed{{Counter: m.counter, OK: true}}
	if k.CheckReplay(ms); !ms[0].OK {
		s.t.Fatalf("%v: a counter twice", s.now-origin)
	}
	s.heard[k.ID()] = true
	for _, p := range m.packets {
		p.delivered++
	}
	poll := s.m.Received(k, len(m.packets) > 0, s.now)
	k.Release()
	if poll {
		s.poll()
	}
}

// keypair makes this side's half of a session.
func (s *side) keypair(role Role, id uint64) *Keypair {
	secrets := [2][32]byte{{byte(id), byte(id >> 8), 1}, {byte(id), byte(id >> 8), 2}}
	var keys [2]*aead.Key
	for i := range keys {
		var err error
		if keys[i], err = s.arena.NewKey(&secrets[i]); err != nil {
			s.t.Fatal(err)
		}
	}
	if role == Responder {
		keys[0], keys[1] = keys[1], keys[0]
	}
	k := NewKeypair(Params{Role: role, Send: keys[0], Receive: keys[1], Born: s.now, ID: id})
	s.index[id] = k
	return k
}
