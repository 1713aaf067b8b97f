package sim

import (
	"bytes"
	"net/netip"
	"reflect"
	"testing"
	"time"
	"unsafe"

	"vpn/noise"
	"vpn/noise/aead"
	"vpn/noise/wire"
	"vpn/rekey"
	"vpn/tunnel/uapi"
)

// twins break what each rule is about: in the engine, or in what it stands on. The referee must see it, in one of the first seeds.
var twins = []struct {
	name   string
	breaks rule
	twin   func() twin
}{
	{"send counters go back", counterOnce, sendCountersGoBack},
	{"send counters know no limit", counterLimit, sendCountersPassTheLimit},
	{"replay windows forget", deliveredOnce, windowsForget},
	{"a node takes any source", ownSource, anySource},
	{"the clock stands still in sleep", keyAge, clockSleeps},
	{"responders confirm themselves", confirmedFirst, respondersConfirm},
	{"endpoints follow what is replayed", endpointMoves, windowsForget},
	{"timestamps are forgotten", initiationFresh, timestampsForgotten},
	{"the clock is three times too fast", initiationRate, clockRuns},
	{"a keepalive goes on for ever", silence, keepsAlive},
	{"responses are lost", flow, responsesLost},
	{"keys are never given back", bounds, keysLeak},
	{"everything is answered", noAmplification, everythingAnswered},
	{"keys are not erased", keysZero, keysStay},
	{"deadlines pass unseen", keysZero, timersDeaf},
	{"the disk forgets", timestampsRise, diskForgets},
	{"messages overtake each other", inOrder, overtaking},
	{"nobody minds a flood", cookieFirst, loadUnseen},
	{"the limiter forgets", sourceLimit, limiterForgets},
	{"no cookie is ever good", letIn, cookiesBad},
	{"a limit is higher than can be", setWorks, limitsTooHigh},
}

func TestTwins(t *testing.T) {
	broken := make(map[rule]bool)
	for _, x := range twins {
		broken[x.breaks] = true
		t.Run(x.name, func(t *testing.T) {
			const most = 20
			for seed := range uint64(most) {
				if how := play(t, seed+1, options{twin: x.twin(), until: x.breaks})[x.breaks]; how != "" {
					t.Logf("seed %d: %s: %s", seed+1, x.breaks, how)
					return
				}
			}
			t.Errorf("in %d seeds nobody has seen that this is broken: %s", most, x.breaks)
		})
	}
	for _, x := range allRules {
		if !broken[x] {
			t.Errorf("no twin breaks the rule: %s", x)
		}
	}
}

// eachSession is called with the sessions that a node has with others.
func (n *node) eachSession(f func(*rekey.Keypair)) {
	for _, t := range n.told {
		if t == nil {
			continue
		}
		for _, k := range n.sessions(t.public) {
			f(k)
		}
	}
}

func sendCountersGoBack() twin {
	return twin{after: func(_ *world, n *node, _ arrival, _ bool) {
		n.eachSession(func(k *rekey.Keypair) {
			if sent := sentCounter(k); sent.Load() > 5 {
				sent.Store(3)
			}
		})
	}}
}

func sendCountersPassTheLimit() twin {
	return twin{after: func(_ *world, n *node, _ arrival, _ bool) {
		n.mu.Lock()
		defer n.mu.Unlock()
		for _, d := range n.sent {
			if kind, _ := wire.Classify(d.data); kind == wire.TypeData && wire.DataCounter(d.data) > 1<<63 {
				wire.PutDataHeader(d.data, wire.DataReceiver(d.data), wire.DataCounter(d.data)+5)
			}
		}
	}}
}

func windowsForget() twin {
	return twin{before: func(_ *world, n *node, _ arrival, _ bool) {
		n.eachSession(func(k *rekey.Keypair) { window(k).Reset() })
	}}
}

func anySource() twin {
	return twin{begin: func(w *world) {
		// Not by set, so that the referee does not know.
		w.twin.after = func(_ *world, n *node, _ arrival, _ bool) {
			t := n.told[(n.number+1)%len(n.told)]
			if t != nil && t.present {
				n.must(uapi.PeerConfig{PublicKey: t.public, UpdateOnly: true, AllowedIPs: []uapi.AllowedIP{{Prefix: netip.MustParsePrefix("10.0.0.0/8")}}})
			}
		}
	}}
}

// must changes a peer behind the referee's back.
func (n *node) must(c uapi.PeerConfig) {
	if err := n.Set(&uapi.Config{Peers: []uapi.PeerConfig{c}}); err != nil {
		panic(err)
	}
}

func clockSleeps() twin {
	return twin{sleep: func(n *node) { n.clock.setPace(0) }, wake: func(n *node) { n.clock.setPace(1) }}
}

func clockRuns() twin {
	return twin{begin: func(w *world) {
		for _, n := range w.nodes {
			n.clock.setPace(3)
		}
	}}
}

func respondersConfirm() twin {
	return twin{after: func(_ *world, n *node, _ arrival, _ bool) {
		for _, t := range n.told {
			if t == nil {
				continue
			}
			if m := n.machine(t.public); m != nil && m.Next() != nil {
				confirmed(m.Next()).Store(true)
			}
		}
	}}
}

func timestampsForgotten() twin {
	return twin{before: func(_ *world, n *node, _ arrival, _ bool) {
		for _, t := range n.told {
			if t == nil {
				continue
			}
			if p, ok := n.peer(t.public); ok && !p.FieldByName("talk").IsNil() {
				*field[noise.TAI64N](p.FieldByName("talk").Elem(), "lastTimestamp") = noise.TAI64N{}
			}
		}
	}}
}

func keepsAlive() twin {
	return twin{rest: func(w *world) {
		seconds := uint16(25)
		w.nodes[0].must(uapi.PeerConfig{PublicKey: w.nodes[1].public, UpdateOnly: true, Keepalive: &seconds})
	}}
}

func responsesLost() twin {
	return twin{after: func(_ *world, n *node, _ arrival, _ bool) {
		n.mu.Lock()
		defer n.mu.Unlock()
		kept := n.sent[:0]
		for _, d := range n.sent {
			if kind, _ := wire.Classify(d.data); kind != wire.TypeResponse {
				kept = append(kept, d)
			}
		}
		n.sent = kept
	}}
}

func keysLeak() twin {
	return twin{after: func(_ *world, n *node, in arrival, _ bool) {
		if in != nil {
			if _, err := n.arena.NewKey(&[aead.KeySize]byte{1}); err != nil {
				panic(err)
			}
		}
	}}
}

func everythingAnswered() twin {
	return twin{after: func(_ *world, n *node, in arrival, authentic bool) {
		if in != nil && !authentic {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.sent = append(n.sent, datagram{to: in[0].from, data: make([]byte, in.bytes()+1)})
		}
	}}
}

// keysStay puts keys back that were erased.
func keysStay() twin {
	kept := make(map[*node][]byte)
	return twin{after: func(_ *world, n *node, _ arrival, _ bool) {
		const some = 8 * aead.KeySize
		if n.memory == nil {
			return
		}
		if kept[n] == nil {
			kept[n] = make([]byte, some)
		}
		for i := 0; i < some; i += aead.KeySize {
			was, is := kept[n][i:i+aead.KeySize], n.memory[i:i+aead.KeySize]
			if bytes.Equal(is, make([]byte, aead.KeySize)) {
				copy(is, was)
			}
			copy(was, is)
		}
	}}
}

func timersDeaf() twin {
	return twin{after: func(w *world, n *node, _ arrival, _ bool) {
		if w.now() > time.Minute {
			n.clock.silence()
		}
	}}
}

func diskForgets() twin {
	return twin{after: func(_ *world, n *node, _ arrival, _ bool) { clear(n.disk.floors) }}
}

func overtaking() twin {
	return twin{after: func(_ *world, n *node, _ arrival, _ bool) {
		n.mu.Lock()
		defer n.mu.Unlock()
		if last := len(n.sent) - 1; last > 0 && n.sent[last-1].joins(n.sent[last]) {
			n.sent[last-1], n.sent[last] = n.sent[last], n.sent[last-1]
		}
	}}
}

func loadUnseen() twin {
	return twin{before: func(_ *world, n *node, _ arrival, _ bool) { *n.loadedAt = 0 }}
}

func limiterForgets() twin {
	return twin{
		begin: func(w *world) { w.flooded = 1 },
		before: func(_ *world, n *node, _ arrival, _ bool) {
			forget(reflect.ValueOf(n.limiter).Elem().FieldByName("table"))
		},
	}
}

func cookiesBad() twin {
	return twin{
		begin: func(w *world) { w.flooded = 1 },
		before: func(_ *world, n *node, _ arrival, _ bool) {
			if c := n.checker(); c != nil {
				forget(reflect.ValueOf(c).Elem().FieldByName("secret"))
			}
		},
	}
}

// forget makes a field nil that is a pointer.
func forget(f reflect.Value) {
	if f.Kind() != reflect.Pointer {
		panic("a " + f.Type().String() + " is no pointer")
	}
	*(*unsafe.Pointer)(unsafe.Pointer(f.UnsafeAddr())) = nil
}

func limitsTooHigh() twin {
	return twin{rest: func(w *world) {
		after := rekey.RekeyAfterTime + time.Second
		w.nodes[0].set("limits", &uapi.Config{RekeyAfterTime: &after})
	}}
}

// silence disarms all timers.
func (c *clock) silence() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.timers {
		t.at = 0
	}
}

// A field that has another name is told, not passed over.
func TestInsideIsThere(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a field of another type was taken")
		}
	}()
	var k rekey.Keypair
	field[int](reflect.ValueOf(&k).Elem(), "sent")
}
