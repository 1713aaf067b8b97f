package rekey

import (
	"testing"
	"time"
)

func TestDownAndUp(t *testing.T) {
	x := newScript(t, Settings{})
	current := x.session(Initiator)
	next := x.responds()
	x.sends(data)
	x.result(x.m.Down(x.now))
	x.want(DropStaged | EraseHandshake)
	x.wantEnded(Down, current, next)
	x.wantDeadline(-1)
	if x.arena.Live() != 0 || !x.m.Idle() {
		t.Error("something is left")
	}

	t.Logf("# nothing moves while it is down")
	x.packetWaits()
	x.want(DropStaged)
	x.initiate()
	x.want(EraseHandshake)
	late := x.answered()
	x.want(0)
	x.wantEnded(Down, late)
	late = x.responds()
	x.wantEnded(Down, late)
	if x.m.Sent(current, data, x.now) || x.m.Received(next, data, x.now) {
		t.Error("an ended session asks for a poll")
	}
	x.at(time.Hour)
	x.poll()
	x.want(0)
	x.wantDeadline(-1)

	x.result(x.m.Up(x.now))
	x.want(0)
	x.wantDeadline(-1)
	x.packetWaits()
	x.want(SendInitiation)
	x.result(x.m.Up(x.now)) // twice is once
	x.want(0)
}

// TestForgetInMidHandshake is an attempt that ends with the sessions.
func TestForgetInMidHandshake(t *testing.T) {
	x := newScript(t, Settings{})
	x.packetWaits()
	x.initiate()
	x.result(x.m.Forget(KeyChanged, x.now))
	x.wantDeadline(-1)
	if !x.m.Idle() {
		t.Error("not idle")
	}
	t.Logf("# the floor stays")
	x.packetWaits()
	x.want(0)
	x.due(RekeyTimeout, SendInitiation)

	t.Logf("# traffic that is told of while the machine goes down means nothing once it is up")
	x.result(x.m.Down(x.now))
	x.m.heard.Store(int64(x.now))
	x.m.unheard.Store(int64(x.now))
	x.result(x.m.Up(x.now))
	x.wantDeadline(-1)
}

// TestFloorOfBoth is an initiation and a response at the same time: the later floor holds.
func TestFloorOfBoth(t *testing.T) {
	x := newScript(t, Settings{})
	x.jitter = 100 * time.Millisecond
	x.packetWaits()
	x.initiate()
	x.responds()
	x.due(RekeyTimeout+100*time.Millisecond, ClearSource|SendInitiation)
	x.initiate()
	x.wait(time.Second)
	x.responds()
	x.due(RekeyTimeout+100*time.Millisecond+time.Second+RekeyTimeout, ClearSource|SendInitiation)
}

// TestPeerRemovedInMidHandshake is a response that comes late: the peer does not come back.
func TestPeerRemovedInMidHandshake(t *testing.T) {
	x := newScript(t, Settings{Keepalive: time.Second})
	x.initiate()
	x.result(x.m.Forget(PeerRemoved, x.now))
	x.want(DropStaged | EraseHandshake)
	x.wantDeadline(-1)
	x.wait(time.Second)
	k := x.answered()
	x.want(0)
	x.wantEnded(Down, k)
	x.wantPairs(nil, nil, nil)
	x.poll()
	x.want(0)
	if x.arena.Live() != 0 {
		t.Error("keys are left")
	}
}

// TestKeyChanged and sleep end all sessions, and nothing is sent before there is a reason.
func TestKeyChanged(t *testing.T) {
	for _, why := range []End{KeyChanged, Suspended} {
		x := newScript(t, Settings{})
		displaced := x.session(Initiator)
		x.wait(6 * time.Second)
		previous := x.answered()
		x.wait(6 * time.Second)
		current := x.answered()
		next := x.responds()
		x.sends(data)
		x.result(x.m.Forget(why, x.now))
		x.want(DropStaged | EraseHandshake)
		x.wantEnded(why, current, next, previous, displaced)
		x.wantDeadline(-1)
		x.wait(time.Hour)
		x.packetWaits()
		x.want(SendInitiation)
	}
	t.Logf("# a persistent keepalive brings the session back after its interval, not at once")
	x := newScript(t, Settings{Keepalive: 25 * time.Second})
	x.session(Initiator)
	x.at(10 * time.Second)
	x.result(x.m.Forget(KeyChanged, x.now))
	x.due(35*time.Second, SendInitiation)
}

// TestSleep is a clock that jumps: what aged in sleep is dead, and what was owed starts a handshake at once.
func TestSleep(t *testing.T) {
	x := newScript(t, Settings{})
	k := x.session(Initiator)
	x.receives(k, data)
	x.at(8 * time.Hour)
	if k.Acquire(x.now) {
		t.Error("a key that aged in sleep can be used")
	}
	x.poll()
	x.want(SendInitiation)
	x.wantEnded(Expired, k)
}
