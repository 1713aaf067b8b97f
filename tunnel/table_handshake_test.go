package tunnel

import (
	"bytes"
	"runtime"
	"slices"
	"testing"
	"time"

	"vpn/noise/key"
	"vpn/noise/wire"
	"vpn/rekey"
	"vpn/tunnel/uapi"
	"vpn/tunnel/udp"
)

// Rows of the table about handshakes between two who know each other.

// "A stray second handshake 5 s after the first": there is exactly one.
func TestExactlyOneHandshake(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newPair()
		w.latency = 100 * time.Millisecond
		a.send(a.packetTo(b))
		for range 60 {
			w.sleep(time.Second)
			b.send(b.packetTo(a))
			a.send(a.packetTo(b))
		}
		log := w.sent()
		if i, r := count(log, wire.TypeInitiation), count(log, wire.TypeResponse); i != 1 || r != 1 {
			t.Errorf("%d initiations and %d responses in a minute, want one of each", i, r)
		}
	})
}

// The answer to a message is there, and dealt with, before the call that sends the message returns: nothing is waited for then.
func TestAnswerBeforeSendReturns(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		answer := b.seal(a, b.packetTo(a))
		a.socket4().setRefuse(func(m *udp.Outgoing) error {
			if kind, _ := wire.Classify(m.Data); kind == wire.TypeData && answer.data != nil {
				a.socket4().deliver(answer)
				answer.data = nil
				for a.device.delivered() == 0 {
					runtime.Gosched()
				}
			}
			return nil
		})
		w.setFilter(func(*datagram) bool { return false }) // nothing else is heard of b
		a.send(a.packetTo(b))
		if got := len(a.received()); got != 1 {
			t.Fatalf("%d answers, want one", got)
		}
		w.sleep(rekey.KeepaliveTimeout + rekey.RekeyTimeout + time.Second)
		if got := find(w.sent(), b.outer4(), wire.TypeInitiation); len(got) != 0 {
			t.Errorf("%d handshakes for a message that was answered", len(got))
		}
	})
}

func TestBadMAC1(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newPair()
		w.setFilter(lose(b.outer4(), wire.TypeInitiation))
		a.send(a.packetTo(b))
		d := find(w.sent(), b.outer4(), wire.TypeInitiation)[0]
		good := bytes.Clone(d.data)
		for i := range wire.SizeInitiation - 16 { // mac1 covers all before it; mac2 counts under load only
			d.data = bytes.Clone(good)
			d.data[i] ^= 1
			w.inject(d)
		}
		if got := w.sent(); len(got) != 0 {
			t.Errorf("%d answers", len(got))
		}
		b.wantDropped(BadMAC1, wire.SizeInitiation-16-4) // the four bytes of the type make it no message at all
		b.wantDropped(BadHandshake, 0)
		d.data = good
		w.inject(d)
		if got := w.kinds(); len(got) == 0 || got[0] != wire.TypeResponse {
			t.Errorf("the good one is answered with %v", got)
		}
	})
}

// A peer whose public key is of low order may be configured. Nothing is ever sent to it.
func TestLowOrderPeer(t *testing.T) {
	for name, public := range map[string]key.Public{"zero": {}, "one": {1}} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				a, b := w.newHost(), w.newHost()
				c := b.asPeer(b.outer4())
				c.PublicKey = public
				a.set(peers(c))
				a.send(a.packetTo(b))
				w.sleep(rekey.RekeyAttemptTime + 10*time.Second)
				if got := w.sent(); len(got) != 0 {
					t.Errorf("%d messages were sent", len(got))
				}
				if a.dropped(BadHandshake) == 0 {
					t.Error("the failures are not counted")
				}
				a.wantDropped(NoAnswer, 1)
			})
		})
	}
}

func TestResponseLost(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		if got := a.peer(b).path.Load().Source; got != a.outer4().Addr() {
			t.Fatalf("replies come from %v, want from the address that was addressed", got)
		}
		w.sleep(rekey.RejectAfterTime)
		w.sent()
		w.setFilter(lose(a.outer4(), wire.TypeResponse))
		a.send(a.packetTo(b))
		first := find(w.sent(), b.outer4(), wire.TypeInitiation)
		w.sleep(rekey.RekeyTimeout - 1)
		if got := w.sent(); len(got) != 0 {
			t.Errorf("%d messages before RekeyTimeout", len(got))
		}
		w.setFilter(nil)
		w.sleep(rekey.RekeyTimeoutJitterMax + 1)
		log := w.sent()
		second := find(log, b.outer4(), wire.TypeInitiation)
		if len(first) != 1 || len(second) != 1 {
			t.Fatalf("%d initiations, then %d; want one of each", len(first), len(second))
		}
		m1, m2 := wire.AsInitiation(first[0].data), wire.AsInitiation(second[0].data)
		if *m1.Ephemeral() == *m2.Ephemeral() || m1.Sender() == m2.Sender() {
			t.Error("the second initiation has the first one's ephemeral or index")
		}
		if !first[0].source.IsValid() || second[0].source.IsValid() {
			t.Errorf("sources %v and %v: want one, and none after the silence", first[0].source, second[0].source)
		}
		if len(b.received()) != 1 {
			t.Error("the packet that waited did not arrive")
		}
	})
}

// "The responder sends nothing on the new key before it has received data on it."
func TestConfirmationLost(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newPair()
		w.setFilter(lose(b.outer4(), wire.TypeData))
		a.send(a.packetTo(b))
		b.send(b.packetTo(a))
		if got := find(w.sent(), a.outer4(), wire.TypeData); len(got) != 0 {
			t.Fatalf("the responder sent %d messages on a key that was not confirmed", len(got))
		}
		w.setFilter(nil)
		a.send(a.packetTo(b))
		if got := len(a.received()); got != 1 {
			t.Errorf("%d packets after the confirmation, want the one that waited", got)
		}
	})
}

// A peer that was restarted has forgotten the session before, and its first data confirms the new one. What the host answers at once,
// while that data is still being written to its device, goes out on the new one.
func TestAnswerToConfirmation(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		a.restart(b.asPeer(b.outer4()))
		w.sent()
		answered := make(chan struct{})
		w.setFilter(func(d *datagram) bool {
			if d.to == a.outer4() && d.kind() == wire.TypeData {
				close(answered)
			}
			return true
		})
		answer := b.packetTo(a)
		b.device.written = func() {
			b.put(answer)
			<-answered // the answer is on its way before the device has taken what it answers
		}
		a.send(a.packetTo(b))
		a.wantDropped(UnknownIndex, 0)
		wantPackets(t, a.received(), [][]byte{answer})
	})
}

// "The initiator confirms at once: staged data, or a keepalive."
func TestConfirmsWithKeepalive(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newPair()
		seconds := uint16(60)
		a.set(peers(uapi.PeerConfig{PublicKey: b.public(), Keepalive: &seconds}))
		log := w.sent()
		if len(log) != 3 || log[2].kind() != wire.TypeData || len(log[2].data) != wire.MinSizeData {
			t.Errorf("%d messages, want initiation, response and keepalive", len(log))
		}
		if b.peer(a).machine.Current() == nil {
			t.Error("the responder's session is not confirmed")
		}
	})
}

func TestAttemptGivenUp(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newPair()
		w.setFilter(lose(b.outer4(), wire.TypeInitiation))
		a.send(a.packetTo(b))
		w.sleep(rekey.RekeyAttemptTime - 1)
		a.wantDropped(NoAnswer, 0)
		if a.index.len() != 1 {
			t.Error("no handshake is under way before RekeyAttemptTime")
		}
		w.sleep(1)
		a.wantDropped(NoAnswer, 1)
		if a.index.len() != 0 {
			t.Error("the handshake is still there")
		}
		log := w.sent()
		ephemerals, gaps := make(map[[32]byte]bool), make(map[time.Duration]bool)
		for i, d := range log {
			ephemerals[*wire.AsInitiation(d.data).Ephemeral()] = true
			if gap := d.at.Sub(log[max(i-1, 0)].at); i > 0 && (gap < rekey.RekeyTimeout || gap > rekey.RekeyTimeout+rekey.RekeyTimeoutJitterMax) {
				t.Errorf("initiation %d comes %v after the one before", i, gap)
			} else if i > 0 {
				gaps[gap] = true
			}
		}
		if len(log) < 17 || len(log) > 18 || len(ephemerals) != len(log) {
			t.Errorf("%d initiations with %d ephemerals in 90 s", len(log), len(ephemerals))
		}
		if len(gaps) < 2 {
			t.Errorf("all retries come after %v: peers that lost each other go on in step", gaps)
		}
		if events := a.happened(); !slices.ContainsFunc(events, func(e Event) bool { return e.Kind == AttemptGivenUp }) {
			t.Error("nobody was told that the attempt is over")
		}
		w.sleep(time.Hour)
		if got := w.sent(); len(got) != 0 {
			t.Errorf("%d messages after the attempt was given up", len(got))
		}
		w.setFilter(nil)
		a.deliver(b) // a new packet starts over
	})
}

// A packet that is queued during the attempt makes it last 90 s from then.
func TestAttemptLastsFromLastPacket(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newPair()
		w.setFilter(lose(b.outer4(), wire.TypeInitiation))
		a.send(a.packetTo(b))
		w.sleep(time.Minute)
		a.send(a.packetTo(b))
		w.sleep(rekey.RekeyAttemptTime - 1)
		a.wantDropped(NoAnswer, 0)
		w.sleep(1)
		a.wantDropped(NoAnswer, 2)
	})
}

func TestForgedResponse(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newPair()
		w.setFilter(lose(a.outer4(), wire.TypeResponse))
		a.send(a.packetTo(b))
		good := find(w.sent(), a.outer4(), wire.TypeResponse)[0]
		forged := datagram{from: elsewhere, to: a.outer4(), data: bytes.Clone(good.data)}
		m := wire.AsResponse(forged.data)
		m.Empty()[0] ^= 1
		c := caller{to: a, cookies: newCaller(&b.private, elsewhere, a).cookies}
		c.sign(forged.data)
		w.inject(forged)
		a.wantDropped(BadHandshake, 1)
		if a.endpoint(b) != b.outer4() {
			t.Error("a forged response has moved the endpoint")
		}
		w.inject(good)
		if len(b.received()) != 1 {
			t.Error("the good response does not end the handshake after a forged one")
		}
		w.inject(good)
		a.wantDropped(UnknownIndex, 1) // its index is a session's now
	})
}

// Both sides initiate at once, with all that is sent under way for a while: nothing is lost, and nobody starts again.
func TestBothInitiate(t *testing.T) {
	for _, latency := range []time.Duration{0, time.Millisecond, 80 * time.Millisecond, 2 * time.Second} {
		t.Run(latency.String(), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				a, b := w.newPair()
				w.latency = latency
				bothSend(w, a, b, 10, 200*time.Millisecond) // one more packet now and then, both at once
				w.sleep(4 * latency)
				wantAll(t, a, b, 10)
				log := w.sent()
				if i := count(log, wire.TypeInitiation); i > 2 {
					t.Errorf("%d initiations, want at most one of each side", i)
				}
				for range 50 {
					bothSend(w, a, b, 1, 2*time.Second)
				}
				w.sleep(4 * latency)
				wantAll(t, a, b, 50)
				if i := count(w.sent(), wire.TypeInitiation); i != 0 {
					t.Errorf("%d initiations in the hundred seconds that follow", i)
				}
			})
		})
	}
}

// The same when each has a session that has to be replaced.
func TestBothReplace(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.newSession()
		w.latency = 80 * time.Millisecond
		n := uint64(20)
		a.set(&uapi.Config{RekeyAfterPackets: &n})
		b.set(&uapi.Config{RekeyAfterPackets: &n})
		const packets = 2000
		bothSend(w, a, b, packets, 30*time.Millisecond)
		w.sleep(time.Second)
		wantAll(t, a, b, packets)
		// RekeyTimeout stands between one side's initiations, whatever the limits.
		if i := count(w.sent(), wire.TypeInitiation); i < 10 || i > 2*(1+packets*30/5000) {
			t.Errorf("%d initiations in %v", i, packets*30*time.Millisecond)
		}
	})
}

// bothSend has both hosts send packets at the same moment, every so often.
func bothSend(w *world, a, b *host, n int, every time.Duration) {
	for range n {
		ab, ba := a.packetTo(b), b.packetTo(a)
		a.put(ab)
		b.put(ba)
		w.sleep(every)
	}
}

// wantAll checks that both hosts have received n packets since they were last asked.
func wantAll(t *testing.T, a, b *host, n int) {
	t.Helper()
	if x, y := len(a.received()), len(b.received()); x != n || y != n {
		t.Errorf("%d and %d packets arrived, want %d each", x, y, n)
	}
}
