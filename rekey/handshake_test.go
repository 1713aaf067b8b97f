package rekey

import (
	"testing"
	"time"
)

func TestFirstPacket(t *testing.T) {
	x := newScript(t, Settings{})
	x.wantDeadline(-1)
	if !x.m.Idle() || x.m.Wanted() {
		t.Error("a new peer is not idle")
	}
	x.packetWaits()
	x.want(SendInitiation)
	x.wantDeadline(5 * time.Second)
	x.wait(3 * time.Millisecond)
	x.jitter = 200 * time.Millisecond
	x.initiate() // sent a little later than asked for
	x.want(0)
	if x.m.Idle() || !x.m.Wanted() {
		t.Error("idle during a handshake")
	}

	t.Logf("# more packets ask for nothing more")
	x.at(5*time.Second + 202*time.Millisecond)
	x.packetWaits()
	x.want(0)
	x.wantDeadline(5*time.Second + 203*time.Millisecond)

	t.Logf("# the response comes: confirmed at once")
	x.wait(tick)
	k := x.answered()
	x.want(confirm)
	x.wantPairs(k, nil, nil)
	if x.sends(data); x.m.Wanted() {
		t.Error("still wanted")
	}
}

func TestRetryUntilAttemptTime(t *testing.T) {
	x := newScript(t, Settings{})
	x.jitter = 333 * time.Millisecond
	x.packetWaits()
	x.initiate()
	const step = 5*time.Second + 333*time.Millisecond
	for next := step; next < RekeyAttemptTime; next += step {
		x.due(next, ClearSource|SendInitiation)
		x.initiate()
	}
	x.due(RekeyAttemptTime, DropStaged|EraseHandshake)
	x.wantDeadline(-1)
	if !x.m.Idle() {
		t.Error("not idle after giving up")
	}
	x.at(time.Hour)
	x.poll()
	x.want(0)

	t.Logf("# a new packet starts over, and not with a retry")
	x.packetWaits()
	x.want(SendInitiation)
}

func TestAttemptTimeEdges(t *testing.T) {
	eachEdge(t, func(t *testing.T, late time.Duration) {
		x := newScript(t, Settings{})
		x.packetWaits()
		x.at(60 * time.Second)
		x.packetWaits() // prolongs the attempt
		x.want(ClearSource | SendInitiation)
		x.at((60 + 88) * time.Second)
		x.poll()
		x.want(ClearSource | SendInitiation)
		x.wantDeadline((60 + 90) * time.Second)
		x.at((60+90)*time.Second + late)
		if x.poll(); late < 0 {
			x.want(0)
		} else {
			x.want(DropStaged | EraseHandshake)
		}
	})
}

func TestRetryEdges(t *testing.T) {
	eachEdge(t, func(t *testing.T, late time.Duration) {
		for _, jitter := range []time.Duration{0, 1, 333 * time.Millisecond} {
			x := newScript(t, Settings{})
			x.jitter = jitter
			x.packetWaits()
			x.initiate()
			x.at(5*time.Second + jitter + late)
			if x.poll(); late < 0 {
				x.want(0)
			} else {
				x.want(ClearSource | SendInitiation)
			}
		}
	})
}

func TestJitterOutOfRange(t *testing.T) {
	x := newScript(t, Settings{})
	x.jitter = -time.Hour
	x.packetWaits()
	x.wantDeadline(RekeyTimeout)
	x.jitter = time.Hour
	x.initiate()
	x.wantDeadline(5*time.Second + 333*time.Millisecond)
}

// TestNoSecondHandshake is the stray one, 5 s after the first was answered.
func TestNoSecondHandshake(t *testing.T) {
	x := newScript(t, Settings{})
	x.packetWaits()
	x.initiate()
	x.wait(20 * time.Millisecond)
	k := x.answered()
	x.sends(data)
	x.receives(k, data)
	x.sends(keepalive)
	for x.now < origin+RejectAfterTime-tick {
		x.wait(time.Second)
		if x.poll(); x.last.Actions != 0 && x.now < k.Born()+RejectAfterTime {
			t.Fatalf("at %v: %v", x.now-origin, x.last.Actions)
		}
	}

	t.Logf("# a packet that was late for the old session does not ask for a third")
	x = newScript(t, Settings{})
	old := x.session(Initiator)
	x.at(RekeyAfterTime)
	if !x.sends(data) {
		t.Error("no new session is asked for")
	}
	x.want(SendInitiation)
	x.initiate()
	x.wait(time.Second)
	x.answered()
	x.sends(data)
	if x.m.Sent(old, data, x.now) {
		t.Error("the replaced session asks for a poll")
	}
	x.at(RekeyAfterTime + 6*time.Second)
	x.poll()
	x.want(0)
}

func TestPacketThatWaitsIsSentWhenTheSessionCame(t *testing.T) {
	x := newScript(t, Settings{})
	x.packetWaits()
	x.answered()
	x.packetWaits()
	x.want(SendStaged)
}

func TestResponseIsAHandshakeToo(t *testing.T) {
	x := newScript(t, Settings{})
	k := x.responds()
	x.wantPairs(nil, k, nil)
	x.want(0)
	x.wait(time.Second)

	t.Logf("# nothing may be sent on the new key, and no initiation so soon after the response")
	x.packetWaits()
	x.want(0)
	x.due(RekeyTimeout, SendInitiation)
	x.initiate()

	t.Logf("# the confirmation comes late; this side's own initiation is not needed any more")
	x.wait(time.Second)
	if !x.receives(k, data) {
		t.Error("a confirmation asks for no poll")
	}
	x.want(SendStaged | EraseHandshake)
	x.wantPairs(k, nil, nil)
}

func TestConfirmationByKeepalive(t *testing.T) {
	x := newScript(t, Settings{})
	k := x.responds()
	if !x.receives(k, keepalive) {
		t.Error("a confirmation asks for no poll")
	}
	x.want(SendStaged)
	x.wantPairs(k, nil, nil)
	if x.receives(k, keepalive) {
		t.Error("a second message asks for a poll")
	}
}

func TestConfirmationFasterThanResponded(t *testing.T) {
	x := newScript(t, Settings{})
	k := x.pair(Responder)
	if !x.m.Received(k, data, x.now) {
		t.Error("a confirmation asks for no poll")
	}
	x.poll()
	x.want(0)
	x.result(x.m.Responded(k, x.now))
	x.want(SendStaged)
	x.wantPairs(k, nil, nil)
}

func TestUnconfirmedSessionExpires(t *testing.T) {
	x := newScript(t, Settings{})
	k := x.responds()
	x.due(RejectAfterTime, 0)
	x.wantEnded(Expired, k)
	x.wantDeadline(-1)
	if !x.m.Idle() || x.arena.Live() != 0 {
		t.Error("something is left")
	}
}

// TestInitiationNobodyWants is one that was sent when the other side's session was there already.
func TestInitiationNobodyWants(t *testing.T) {
	x := newScript(t, Settings{})
	x.session(Responder)
	x.at(10 * time.Second)
	x.initiate()
	x.due(15*time.Second, EraseHandshake)
	x.wantDeadline(RejectAfterTime)

	t.Logf("# the attempt lasts 90 s after traffic last asked, also when the session has expired by then")
	x = newScript(t, Settings{})
	x.session(Initiator)
	x.at(RekeyAfterTime)
	x.sends(keepalive)
	for x.last.Deadline < origin+RejectAfterTime {
		x.due(x.last.Deadline-origin, ClearSource|SendInitiation)
	}
	x.at(RejectAfterTime - 2*time.Second)
	x.sends(keepalive) // and nobody looks until the session has expired
	for x.last.Deadline != origin+RejectAfterTime-2*time.Second+RekeyAttemptTime {
		x.now = max(x.now, x.last.Deadline)
		if x.poll(); x.last.Actions&DropStaged != 0 {
			t.Fatalf("given up at %v", x.now-origin)
		}
	}

	t.Logf("# the attempt outlives the session that asked for it")
	x = newScript(t, Settings{})
	k := x.session(Initiator)
	x.at(RejectAfterTime - tick)
	x.sends(data)
	x.want(SendInitiation)
	x.initiate()
	x.due(RejectAfterTime, 0)
	x.wantEnded(Expired, k)
	for x.last.Deadline < origin+RejectAfterTime-tick+RekeyAttemptTime {
		x.due(x.last.Deadline-origin, x.last.Actions|ClearSource|SendInitiation)
	}
	x.due(RejectAfterTime-tick+RekeyAttemptTime, DropStaged|EraseHandshake)
}
