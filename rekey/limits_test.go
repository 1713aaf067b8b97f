package rekey

import (
	"testing"
	"time"

	"vpn/noise/aead"
)

// check64 is a run of 64 messages.
func check64() []aead.Sealed {
	ms := make([]aead.Sealed, 64)
	for i := range ms {
		ms[i] = aead.Sealed{Counter: uint64(i), OK: true}
	}
	return ms
}

func TestLimitsCheck(t *testing.T) {
	for _, c := range []struct {
		l  Limits
		ok bool
	}{
		{Limits{}, true},
		{Limits{AfterTime: 1, AfterPackets: 1}, true},
		{Limits{AfterTime: RekeyAfterTime, AfterPackets: RekeyAfterMessages}, true},
		{Limits{AfterTime: RekeyAfterTime + 1}, false},
		{Limits{AfterTime: -1}, false},
		{Limits{AfterPackets: RekeyAfterMessages + 1}, false},
	} {
		if err := c.l.Check(); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c.l, err)
		}
	}
}

// TestLimitsAreOnlyLower is limits that can't be had: the protocol's hold.
func TestLimitsAreOnlyLower(t *testing.T) {
	for _, l := range []Limits{{AfterTime: time.Hour}, {AfterTime: -1}, {AfterPackets: RekeyAfterMessages + 1}} {
		x := newScript(t, Settings{Limits: l})
		x.session(Initiator)
		x.at(RekeyAfterTime - tick)
		x.sends(keepalive)
		x.want(0)
		x.at(RekeyAfterTime)
		x.sends(keepalive)
		x.want(SendInitiation)
	}
}

func TestAfterTime(t *testing.T) {
	const limit = 30 * time.Second
	for _, kind := range []string{"sent", "received"} {
		eachEdge(t, func(t *testing.T, late time.Duration) {
			for _, role := range []Role{Initiator, Responder} {
				x := newScript(t, Settings{Limits: Limits{AfterTime: limit}})
				x.ids = 1234567890 << 32
				k := x.session(role)
				due := limit
				if role == Responder {
					// Later than the initiator, by more than it takes to make a session.
					due += RekeyTimeout + k.jitter()
				}
				x.at(due + late)
				if kind == "sent" {
					x.sends(keepalive)
				} else {
					x.receives(k, keepalive)
				}
				if late < 0 {
					x.want(0)
				} else {
					x.want(SendInitiation)
				}
				x.wantPairs(k, nil, nil)
			}
		})
	}
}

func TestAfterPackets(t *testing.T) {
	const limit = 800
	for _, kind := range []string{"sent", "received"} {
		for _, role := range []Role{Initiator, Responder} {
			for _, off := range []uint64{0, 1, 2} { // one before, at, one after
				x := newScript(t, Settings{Limits: Limits{AfterPackets: limit}})
				x.ids = 41 // the jitter of this role's slack
				k := x.session(role)
				x.wait(RekeyTimeout)
				due := uint64(limit)
				if role == Responder {
					due += 100 + k.ID()%101
				}
				count := &k.sent
				if kind == "received" {
					count = &k.received
				}
				count.Store(due - 2 + off)
				if kind == "sent" {
					x.sends(keepalive)
				} else {
					// receives counts by CheckReplay, whose window is at the beginning.
					count.Add(1)
					x.pollIf(x.m.Received(k, keepalive, x.now))
				}
				if off == 0 {
					x.want(0)
				} else {
					x.want(SendInitiation)
				}
			}
		}
	}
}

// TestSlackOfResponders stays between an eighth and a quarter, however small the limit.
func TestSlackOfResponders(t *testing.T) {
	for _, limit := range []uint64{1, 2, 7, 8, 9, 1000, RekeyAfterMessages - 1} {
		for id := range uint64(50) {
			k := NewKeypair(Params{Role: Responder, Born: origin, ID: id * 0x9e3779b97f4a7c15})
			Limits{AfterPackets: limit, AfterTime: time.Second}.arm(k)
			got, limit := k.rekeyPackets.Load(), max(limit, 2)
			if got < limit+limit/8 || got > limit+limit/8+limit/8 {
				t.Errorf("limit %d: %d", limit, got)
			}
			delay := time.Duration(k.sendRekeyAt.Load()) - origin - RekeyTimeout // the least limit
			if delay < RekeyTimeout || delay > RekeyTimeout+RekeyTimeoutJitterMax {
				t.Errorf("delayed by %v", delay)
			}
		}
	}
}

// TestLimitsKeepTheFloor is limits that are crossed all the time: an initiation each 5 s, and the session goes on.
func TestLimitsKeepTheFloor(t *testing.T) {
	x := newScript(t, Settings{Limits: Limits{AfterTime: 1, AfterPackets: 1}})
	x.packetWaits()
	x.initiate()
	k := x.answered()
	initiations := 0
	for x.now < origin+60*time.Second {
		x.wait(100 * time.Millisecond)
		x.sends(data)
		if x.last.Actions&SendInitiation == 0 && x.last.Deadline <= x.now {
			x.poll()
		}
		if x.last.Actions&SendInitiation != 0 {
			initiations++
			x.initiate()
			x.wait(10 * time.Millisecond)
			k = x.answered()
		}
		x.receives(k, keepalive)
	}
	if initiations < 10 || initiations > 12 {
		t.Errorf("%d initiations in a minute", initiations)
	}
}

// TestLowestLimits is a confirmation that must not ask for the next session.
func TestLowestLimits(t *testing.T) {
	for _, role := range []Role{Initiator, Responder} {
		x := newScript(t, Settings{Limits: Limits{AfterTime: 1, AfterPackets: 1}})
		x.session(role)
		x.want(map[Role]Actions{Initiator: 0, Responder: SendStaged}[role])
		x.wait(RekeyTimeout - tick)
		if x.poll(); x.m.Wanted() {
			t.Errorf("the %v wants another session", role)
		}
	}
}

func TestLeastAfterTime(t *testing.T) {
	eachEdge(t, func(t *testing.T, late time.Duration) {
		x := newScript(t, Settings{Limits: Limits{AfterTime: 1}})
		x.session(Initiator)
		x.at(RekeyTimeout + late)
		x.sends(keepalive)
		if late < 0 {
			x.want(0)
		} else {
			x.want(SendInitiation)
		}
	})
}

func TestLimitsOfLiveSessions(t *testing.T) {
	x := newScript(t, Settings{})
	x.session(Initiator)
	x.at(40 * time.Second)
	x.result(x.m.Configure(Settings{Limits: Limits{AfterTime: 30 * time.Second}}, x.now))
	x.want(0) // nothing is sent for its own sake
	x.sends(keepalive)
	x.want(SendInitiation)

	t.Logf("# and of one that is not confirmed")
	x = newScript(t, Settings{})
	k := x.responds()
	x.result(x.m.Configure(Settings{Limits: Limits{AfterTime: 10 * time.Second}}, x.now))
	x.at(17 * time.Second)
	x.receives(k, keepalive)
	x.want(SendStaged)
	x.sends(keepalive)
	x.want(SendInitiation)

	t.Logf("# raised again")
	x = newScript(t, Settings{Limits: Limits{AfterPackets: 10}})
	k = x.session(Initiator)
	x.result(x.m.Configure(Settings{}, x.now))
	k.sent.Store(1000)
	x.sends(keepalive)
	x.want(0)
}

// TestLimitsOfTheOtherSidesSession is what the other side sends on when both initiated at once: it is bound too.
func TestLimitsOfTheOtherSidesSession(t *testing.T) {
	setup := func() (*script, *Keypair, *Keypair) {
		x := newScript(t, Settings{Limits: Limits{AfterPackets: 100}})
		theirs := x.responds()
		ours := x.answered()
		x.sends(keepalive)
		x.wait(RekeyTimeout)
		return x, ours, theirs
	}
	x, _, theirs := setup()
	x.receives(theirs, keepalive)
	x.want(0)
	theirs.received.Store(125)
	x.receives(theirs, keepalive)
	x.want(SendInitiation)

	t.Logf("# but once it is replaced it asks for nothing")
	x, _, theirs = setup()
	x.wait(time.Second)
	x.answered()
	x.sends(keepalive)
	theirs.received.Store(1000)
	if x.m.Received(theirs, data, x.now) && x.m.Wanted() {
		t.Error("a replaced session asks for another")
	}
	t.Logf("# nor when limits change")
	x, _, _ = setup()
	old := x.session(Initiator)
	x.wait(RekeyTimeout)
	x.session(Initiator)
	x.result(x.m.Configure(Settings{Limits: Limits{AfterPackets: 1}}, x.now))
	if old.armed() {
		t.Error("a replaced session is bound again")
	}
}
