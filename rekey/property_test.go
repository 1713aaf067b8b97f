package rekey

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// settle ends what keeps a pair talking, and checks that it falls silent, with nothing left.
func (w *world) settle() {
	w.loss, w.jitter = 0, 0
	for _, s := range w.sides {
		if !s.up {
			s.up = true
			s.apply(s.m.Up(w.now))
		}
		s.apply(s.m.Configure(Settings{Limits: s.m.limits}, w.now))
	}
	w.run(2 * time.Minute)
	carried := w.carried
	w.run(time.Hour)
	if w.carried != carried {
		w.t.Fatalf("an idle pair sent %d messages", w.carried-carried)
	}
	for _, s := range w.sides {
		if !s.m.Idle() || s.arena.Live() != 0 || len(s.index) != 0 || s.wake != 0 {
			w.t.Fatalf("after an hour: idle %v, %d keys, %d sessions, wakes at %v",
				s.m.Idle(), s.arena.Live(), len(s.index), s.wake)
		}
	}
	// And it can still talk.
	for _, s := range w.sides {
		p := s.given()
		w.run(20 * time.Second)
		if p.delivered != 1 {
			w.t.Fatalf("a packet came %d times over a good network", p.delivered)
		}
	}
}

func drawLimits(t *rapid.T) Limits {
	return Limits{
		AfterTime:    rapid.SampledFrom([]time.Duration{0, 1, 7 * time.Second, time.Minute, RekeyAfterTime}).Draw(t, "after time"),
		AfterPackets: rapid.SampledFrom([]uint64{0, 1, 2, 9, 100}).Draw(t, "after packets"),
	}
}

// drawPause is from nothing to a few minutes, mostly short, and often near a limit.
func drawPause(t *rapid.T) time.Duration {
	near := rapid.SampledFrom([]time.Duration{
		0, 0, 0, 5 * time.Second, 10 * time.Second, 15 * time.Second, 90 * time.Second, 120 * time.Second, 165 * time.Second, 180 * time.Second,
	}).Draw(t, "near")
	return near + time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "more"))
}

// TestTwoMachines drives two machines against each other over a network that does what it likes. What must never happen is
// checked by world at each step.
func TestTwoMachines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, rapid.Uint64().Draw(t, "seed"))
		w.loss = rapid.SampledFrom([]float64{0, 0.1, 0.5, 0.9}).Draw(t, "loss")
		w.jitter = rapid.SampledFrom([]time.Duration{0, 100 * time.Millisecond, 3 * time.Second}).Draw(t, "delay")
		w.late = rapid.SampledFrom([]time.Duration{0, 50 * time.Millisecond, 2 * time.Second}).Draw(t, "late")
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			s := w.sides[rapid.IntRange(0, 1).Draw(t, "side")]
			switch rapid.SampledFrom([]string{
				"send", "send", "send", "send", "both", "wait", "wait", "wait", "down", "up", "limits", "keepalive", "forget", "loss",
			}).Draw(t, "step") {
			case "send":
				if s.up {
					s.given()
				}
			case "both":
				for _, s := range w.sides {
					if s.up {
						s.given()
					}
				}
			case "wait":
				w.run(drawPause(t))
			case "down":
				s.up = false
				s.apply(s.m.Down(w.now))
			case "up":
				s.up = true
				s.apply(s.m.Up(w.now))
			case "limits":
				s.apply(s.m.Configure(Settings{Limits: drawLimits(t), Keepalive: time.Duration(s.m.keepalive.Load())}, w.now))
			case "keepalive":
				every := time.Duration(rapid.SampledFrom([]int{0, 1, 25, 200}).Draw(t, "every")) * time.Second
				s.apply(s.m.Configure(Settings{Limits: s.m.limits, Keepalive: every}, w.now))
			case "forget":
				s.apply(s.m.Forget(KeyChanged, w.now))
			case "loss":
				w.loss = rapid.SampledFrom([]float64{0, 0.1, 0.5, 1}).Draw(t, "loss")
			}
		}
		w.settle()
	})
}

// TestNothingIsLost is two machines over a network that only reorders a little: each packet arrives once, also while both sides
// initiate at once, and no initiation goes out while the session is young.
func TestNothingIsLost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, rapid.Uint64().Draw(t, "seed"))
		w.gentle = true
		w.jitter = rapid.SampledFrom([]time.Duration{0, 5 * time.Millisecond, 100 * time.Millisecond}).Draw(t, "delay")
		w.late = rapid.SampledFrom([]time.Duration{0, 50 * time.Millisecond}).Draw(t, "late")
		for _, s := range w.sides {
			if rapid.Bool().Draw(t, "limited") {
				s.apply(s.m.Configure(Settings{Limits: drawLimits(t)}, w.now))
			}
		}
		var packets []*packet
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				packets = append(packets, w.sides[0].given(), w.sides[1].given())
			case 1:
				packets = append(packets, w.sides[rapid.IntRange(0, 1).Draw(t, "side")].given())
			case 2:
				w.run(time.Duration(rapid.Int64Range(0, int64(50*time.Millisecond)).Draw(t, "moment")))
			case 3:
				w.run(drawPause(t))
			}
		}
		w.run(10 * time.Second)
		for _, p := range packets {
			if p.delivered != 1 && !p.old {
				t.Fatalf("a packet given at %v came %d times", p.at-origin, p.delivered)
			}
		}
		w.settle()
	})
}

// TestBusyLink is two hours of traffic both ways: one session every two minutes or so, and nothing lost.
func TestBusyLink(t *testing.T) {
	for seed := range uint64(4) {
		w := newWorld(t, seed)
		w.gentle, w.jitter = true, 5*time.Millisecond
		var packets []*packet
		const hours = 2
		for range hours * 3600 {
			packets = append(packets, w.sides[w.random.IntN(2)].given())
			w.run(w.upTo(2 * time.Second))
		}
		w.run(time.Second)
		for _, p := range packets {
			if p.delivered != 1 {
				t.Fatalf("a packet given at %v came %d times", p.at-origin, p.delivered)
			}
		}
		if most := uint64(2 * (w.now - origin) / RekeyAfterTime); w.ids > most+2 {
			t.Fatalf("%d handshakes in %v", w.ids, w.now-origin)
		}
		w.settle()
	}
}
