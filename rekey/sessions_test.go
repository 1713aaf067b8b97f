package rekey

import (
	"testing"
	"time"
	"unsafe"
)

func TestRotation(t *testing.T) {
	x := newScript(t, Settings{})
	first := x.session(Initiator)
	x.at(120 * time.Second)
	second := x.answered()
	x.wantPairs(second, nil, first)
	x.sends(data)

	t.Logf("# the previous session receives until its own end")
	x.at(RejectAfterTime - tick)
	x.receives(first, data)
	x.want(0)
	x.sends(keepalive)
	x.at(RejectAfterTime)
	x.poll()
	x.wantEnded(Expired, first)
	x.wantPairs(second, nil, nil)
	x.wantDeadline(120*time.Second + RejectAfterTime)

	t.Logf("# the other side makes the next one")
	x.at(240 * time.Second)
	third := x.responds()
	x.wantPairs(second, third, nil)
	x.sends(data) // the old one goes on
	x.receives(third, data)
	x.want(SendStaged)
	x.wantPairs(third, nil, second)
	if x.arena.Live() != 4 {
		t.Errorf("%d keys live", x.arena.Live())
	}
}

func TestDisplacedEdges(t *testing.T) {
	eachEdge(t, func(t *testing.T, late time.Duration) {
		x := newScript(t, Settings{})
		first := x.session(Initiator)
		x.at(20 * time.Second)
		second := x.session(Initiator)
		x.at(40 * time.Second)
		third := x.answered()
		x.want(confirm)
		x.wantPairs(third, nil, second)
		x.sends(keepalive)
		x.wantDeadline((40 + 10) * time.Second)
		x.at((40+10)*time.Second + late)
		if late < 0 {
			x.receives(first, keepalive)
			x.wantPairs(third, nil, second)
			return
		}
		x.poll()
		x.want(0)
		x.wantEnded(Replaced, first)
		x.wantPairs(third, nil, second)
	})

	t.Logf("# its own end may come first")
	x := newScript(t, Settings{})
	first := x.session(Initiator)
	x.at(172 * time.Second)
	x.session(Initiator)
	x.at(174 * time.Second)
	x.session(Initiator)
	x.due(RejectAfterTime, 0)
	x.wantEnded(Expired, first)

	t.Logf("# two places: the newest pushes the oldest out")
	x = newScript(t, Settings{})
	first = x.session(Initiator)
	var second *Keypair
	for i := 1; i < 4; i++ {
		x.wait(2 * time.Second)
		if k := x.session(Initiator); second == nil {
			second = k
		}
	}
	x.wait(2 * time.Second)
	x.answered()
	x.wantEnded(Replaced, first)
	x.wait(2 * time.Second)
	x.answered()
	x.wantEnded(Replaced, second)
}

func TestNewerHandshakeDisplacesUnconfirmed(t *testing.T) {
	x := newScript(t, Settings{})
	current := x.session(Initiator)
	x.at(time.Second)
	lost := x.responds()
	x.at(6 * time.Second)
	next := x.responds()
	x.wantEnded(Displaced, lost)
	x.wantPairs(current, next, nil)
}

// TestBothInitiate is each order in which two initiations can cross, seen from one side. All that the other side may have sent
// before it knew can be received for DisplacedTime, and what it goes on sending on for as long as it may.
func TestBothInitiate(t *testing.T) {
	t.Run("response first", func(t *testing.T) {
		x := newScript(t, Settings{})
		old := x.session(Initiator)
		x.at(RekeyAfterTime)
		x.sends(data)
		x.want(SendInitiation)
		x.initiate()
		theirs := x.responds()
		x.want(0)
		ours := x.answered()
		x.want(confirm)
		x.wantPairs(ours, nil, theirs)
		x.sends(data)
		x.wait(DisplacedTime - tick)
		x.receives(old, keepalive)
		x.receives(theirs, data)
		x.want(0) // it confirms, but is not taken
		x.sends(keepalive)
		x.wantPairs(ours, nil, theirs)
		x.wait(tick)
		x.poll()
		x.wantEnded(Replaced, old)
		x.at(RekeyAfterTime + RejectAfterTime - tick)
		x.receives(theirs, keepalive)
		x.want(SendInitiation) // ours is old enough for that
	})
	t.Run("confirmation first", func(t *testing.T) {
		x := newScript(t, Settings{})
		old := x.session(Initiator)
		x.at(RekeyAfterTime)
		x.sends(data)
		x.initiate()
		theirs := x.responds()
		x.receives(theirs, keepalive)
		x.want(SendStaged | EraseHandshake)
		x.wantPairs(theirs, nil, old)
		x.wait(RekeyTimeout + RekeyTimeoutJitterMax)
		x.poll()
		x.want(0)
	})
	t.Run("confirmation noticed late", func(t *testing.T) {
		x := newScript(t, Settings{})
		old := x.session(Initiator)
		x.at(RekeyAfterTime)
		x.initiate()
		theirs := x.responds()
		if !x.m.Received(theirs, data, x.now) {
			t.Error("a confirmation asks for no poll")
		}
		ours := x.answered() // before that poll
		x.want(confirm)
		x.wantPairs(ours, nil, theirs)
		x.receives(old, keepalive)
		x.poll()
		x.wantPairs(ours, nil, theirs)
	})
	t.Run("initiation after our session", func(t *testing.T) {
		x := newScript(t, Settings{})
		old := x.session(Initiator)
		x.at(RekeyAfterTime)
		x.initiate()
		ours := x.answered()
		x.sends(data)
		theirs := x.responds()
		x.wantPairs(ours, theirs, old)
		x.receives(old, keepalive)
		x.receives(theirs, data)
		x.wantPairs(theirs, nil, ours)
		x.receives(old, keepalive)
		x.wait(DisplacedTime)
		x.poll()
		x.want(SendKeepalive)
		x.wantEnded(Replaced, old)
	})
	t.Run("again and again", func(t *testing.T) {
		x := newScript(t, Settings{})
		theirOld := x.responds()
		ourOld := x.answered()
		x.wantPairs(ourOld, nil, theirOld)
		x.at(RekeyAfterTime)
		theirs := x.responds()
		ours := x.answered()
		x.wantPairs(ours, nil, theirs)
		x.sends(keepalive)
		x.wait(DisplacedTime - tick)
		for _, k := range []*Keypair{theirOld, ourOld, theirs, ours} {
			x.receives(k, keepalive)
		}
		x.wait(tick)
		x.poll()
		x.wantEnded(Replaced, ourOld, theirOld)
	})
	t.Run("with nothing before", func(t *testing.T) {
		x := newScript(t, Settings{})
		x.packetWaits()
		x.initiate()
		theirs := x.responds()
		ours := x.answered()
		x.want(confirm)
		x.wantPairs(ours, nil, theirs)
		x.sends(data)
		x.wait(RekeyTimeout + RekeyTimeoutJitterMax)
		x.poll()
		x.want(0)
	})
}

func TestRejectAfterMessages(t *testing.T) {
	x := newScript(t, Settings{})
	k := x.session(Initiator)
	k.sent.Store(RejectAfterMessages - 1)
	x.sends(data) // the last one, and long past the time to ask for another session
	x.want(SendInitiation)
	if _, ok := k.Reserve(1); ok {
		t.Fatal("a counter past the limit")
	}
	x.packetWaits() // is not sent on the old session
	x.want(0)
	x.due(RekeyTimeout, ClearSource|SendInitiation)
	if k.Acquire(x.now); !k.armed() {
		t.Error("can't be used for receiving")
	}
	k.Release()

	t.Logf("# a run that is longer than what is left ends the session for sending")
	x = newScript(t, Settings{})
	k = x.session(Responder)
	k.sent.Store(RejectAfterMessages - 5)
	if _, ok := k.Reserve(6); ok {
		t.Fatal("counters past the limit")
	}
	x.packetWaits()
	x.want(0)
	x.due(RekeyTimeout, SendInitiation) // a response was sent at the beginning
	x.wantPairs(k, nil, nil)

	t.Logf("# a keepalive that has no counter wants a session instead")
	x = newScript(t, Settings{})
	k = x.session(Initiator)
	k.sent.Store(RejectAfterMessages)
	x.receives(k, data)
	x.want(0)
	x.due(KeepaliveTimeout, SendInitiation)
}

func TestRekeyAfterMessages(t *testing.T) {
	for _, role := range []Role{Initiator, Responder} {
		for _, c := range []struct {
			sent uint64 // before one more
			want Actions
		}{{1<<60 - 2, 0}, {1<<60 - 1, SendInitiation}, {1 << 60, SendInitiation}} {
			x := newScript(t, Settings{})
			k := x.session(role)
			x.wait(RekeyTimeout) // a responder has just sent a response
			k.sent.Store(c.sent)
			x.sends(keepalive)
			x.want(c.want)
		}
	}
}

func TestMachineIsSmall(t *testing.T) {
	t.Logf("an idle machine is %d bytes", unsafe.Sizeof(Machine{}))
	if size := unsafe.Sizeof(Machine{}); size > 150 {
		t.Errorf("an idle peer's machine is %d bytes", size)
	}
}

func TestHotCallsAllocateNothing(t *testing.T) {
	x := newScript(t, Settings{Keepalive: time.Second})
	k := x.session(Initiator)
	other := x.responds()
	for name, f := range map[string]func(){
		"send": func() {
			k := x.m.Sending()
			k.Acquire(x.now)
			k.Reserve(64)
			x.m.Sent(k, data, x.now)
			k.Release()
		},
		"receive": func() {
			k.Acquire(x.now)
			x.m.Received(k, data, x.now)
			k.Release()
		},
		"receive on another": func() { x.m.Received(other, keepalive, x.now) },
		"poll":               func() { x.m.Poll(x.now, 0) },
		"want":               func() { x.m.Want(x.now, 0) },
	} {
		x.now += 11 * time.Second
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	ms := check64()
	if n := testing.AllocsPerRun(100, func() { k.CheckReplay(ms) }); n != 0 {
		t.Errorf("CheckReplay: %v allocations", n)
	}
}
