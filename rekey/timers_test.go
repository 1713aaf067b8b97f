package rekey

import (
	"testing"
	"time"
)

func TestRekeyOnSend(t *testing.T) {
	for _, role := range []Role{Initiator, Responder} {
		for _, kind := range []bool{data, keepalive} {
			eachEdge(t, func(t *testing.T, late time.Duration) {
				x := newScript(t, Settings{})
				k := x.session(role)
				x.at(120*time.Second + late)
				x.sends(kind)
				if late >= 0 && role == Initiator {
					x.want(SendInitiation)
					if x.initiate(); x.sends(kind) {
						t.Error("the next message asks for a poll again")
					}
				} else {
					x.want(0)
				}
				x.wantPairs(k, nil, nil) // the old session goes on
			})
		}
	}
}

func TestRekeyOnReceive(t *testing.T) {
	for _, role := range []Role{Initiator, Responder} {
		for _, kind := range []bool{data, keepalive} {
			eachEdge(t, func(t *testing.T, late time.Duration) {
				x := newScript(t, Settings{})
				k := x.session(role)
				x.at(165*time.Second + late)
				x.receives(k, kind)
				if late >= 0 && role == Initiator {
					x.want(SendInitiation)
				} else {
					x.want(0)
				}
			})
		}
	}
}

// TestAskedBeforeAnyInitiation is a question that another event comes before the poll for: it stays due.
func TestAskedBeforeAnyInitiation(t *testing.T) {
	x := newScript(t, Settings{})
	k := x.session(Initiator)
	x.at(RekeyAfterTime)
	if !x.m.Sent(k, keepalive, x.now) {
		t.Error("no poll")
	}
	x.result(x.m.Configure(Settings{}, x.now))
	if x.last.Deadline == 0 || x.last.Deadline > x.now {
		t.Errorf("the deadline is %v", x.last.Deadline)
	}
	x.poll()
	x.want(SendInitiation)
}

func TestRekeyPrefersTraffic(t *testing.T) {
	x := newScript(t, Settings{})
	x.session(Initiator)
	t.Logf("# without traffic a session ends, and nothing replaces it")
	x.due(RejectAfterTime, 0)
	x.wantDeadline(-1)
	if !x.m.Idle() {
		t.Error("not idle")
	}
}

// TestRekeyGivesUpAndStartsOver is traffic on a session that nobody replaces: each message prolongs the attempt.
func TestRekeyGivesUpAndStartsOver(t *testing.T) {
	x := newScript(t, Settings{Limits: Limits{AfterTime: RekeyTimeout}})
	k := x.session(Initiator)
	x.at(6 * time.Second)
	x.sends(data)
	x.want(SendInitiation)
	x.receives(k, keepalive)
	for x.now < origin+96*time.Second {
		x.now = max(x.now, x.last.Deadline)
		x.poll()
		if x.now < origin+96*time.Second {
			x.want(ClearSource | SendInitiation)
		}
	}
	x.want(DropStaged | EraseHandshake)
	x.wantPairs(k, nil, nil)
	x.wait(tick)
	x.sends(keepalive)
	x.want(SendInitiation)
}

func TestRejectAfterTime(t *testing.T) {
	for _, role := range []Role{Initiator, Responder} {
		eachEdge(t, func(t *testing.T, late time.Duration) {
			x := newScript(t, Settings{})
			k := x.session(role)
			x.wantDeadline(180 * time.Second)
			x.at(180*time.Second + late)
			x.poll()
			x.want(0)
			if late < 0 {
				x.wantPairs(k, nil, nil)
				return
			}
			x.wantEnded(Expired, k)
			x.wantPairs(nil, nil, nil)
			if x.arena.Live() != 0 {
				t.Error("keys are left")
			}
		})
	}
}

func TestPassiveKeepalive(t *testing.T) {
	eachEdge(t, func(t *testing.T, late time.Duration) {
		x := newScript(t, Settings{})
		k := x.session(Initiator)
		x.at(time.Second)
		if !x.receives(k, data) {
			t.Error("the keepalive is earlier than the deadline, and no poll")
		}
		x.wantDeadline(11 * time.Second)
		x.at(5 * time.Second)
		if x.receives(k, data) { // the first counts
			t.Error("a poll for nothing")
		}
		x.at(11*time.Second + late)
		if x.poll(); late < 0 {
			x.want(0)
			return
		}
		x.want(SendKeepalive)
		x.sends(keepalive)
		x.wantDeadline(RejectAfterTime)
	})

	t.Logf("# whatever is sent answers")
	for name, answer := range map[string]func(*script){
		"data":      func(x *script) { x.sends(data); x.receives(x.m.Current(), keepalive) },
		"keepalive": func(x *script) { x.sends(keepalive) },
	} {
		t.Run(name, func(t *testing.T) {
			x := newScript(t, Settings{})
			k := x.session(Initiator)
			x.receives(k, data)
			x.at(9 * time.Second)
			answer(x)
			x.at(10 * time.Second)
			x.poll()
			x.want(0)
			x.at(15 * time.Second)
			if x.poll(); x.last.Actions&SendKeepalive != 0 {
				t.Error("a keepalive that nobody needs")
			}
		})
	}
}

// TestHandshakesAnswerNoData is a message that crosses an initiation which its sender has given up already: the response is lost
// on it, so data alone answers data.
func TestHandshakesAnswerNoData(t *testing.T) {
	for name, send := range map[string]func(*script){
		"initiation": func(x *script) { x.initiate() },
		"response":   func(x *script) { x.responds() },
	} {
		t.Run(name, func(t *testing.T) {
			x := newScript(t, Settings{})
			k := x.session(Initiator)
			x.receives(k, data)
			x.at(9 * time.Second)
			send(x)
			x.due(KeepaliveTimeout, SendKeepalive)
		})
	}
}

func TestKeepaliveArmsNoKeepalive(t *testing.T) {
	x := newScript(t, Settings{})
	k := x.session(Responder)
	x.wait(time.Second)
	if x.receives(k, keepalive) {
		t.Error("a keepalive asks for a poll")
	}
	x.poll()
	x.wantDeadline(RejectAfterTime)
	x.sends(keepalive)
	x.poll()
	x.wantDeadline(RejectAfterTime)
}

func TestNothingHeard(t *testing.T) {
	eachEdge(t, func(t *testing.T, late time.Duration) {
		x := newScript(t, Settings{})
		k := x.session(Responder)
		x.at(time.Second)
		if !x.sends(data) {
			t.Error("15 s are earlier than the deadline, and no poll")
		}
		x.wantDeadline(16 * time.Second)
		x.at(9 * time.Second)
		if x.sends(data) { // the first counts
			t.Error("a poll for nothing")
		}
		x.at(16*time.Second + late)
		if x.poll(); late < 0 {
			x.want(0)
			return
		}
		x.want(ClearSource | SendInitiation)
		x.wantPairs(k, nil, nil)
		x.initiate()
		t.Logf("# the attempt ends 90 s after it was wanted")
		end := x.now - origin + RekeyAttemptTime
		for x.last.Deadline != origin+end {
			x.due(x.last.Deadline-origin, ClearSource|SendInitiation)
			x.initiate()
		}
		x.due(end, DropStaged|EraseHandshake)
	})

	t.Logf("# whatever is heard answers")
	for name, answer := range map[string]func(*script, *Keypair){
		"data":       func(x *script, k *Keypair) { x.receives(k, data); x.sends(keepalive) },
		"keepalive":  func(x *script, k *Keypair) { x.receives(k, keepalive) },
		"initiation": func(x *script, _ *Keypair) { x.responds() },
		"response":   func(x *script, _ *Keypair) { x.answered(); x.sends(keepalive) },
		"handshake":  func(x *script, _ *Keypair) { x.m.InitiationReceived(x.now) },
	} {
		t.Run(name, func(t *testing.T) {
			x := newScript(t, Settings{})
			k := x.session(Initiator)
			x.sends(data)
			x.at(14 * time.Second)
			answer(x, k)
			x.at(17 * time.Second)
			x.poll()
			x.want(0)
		})
	}

	t.Logf("# a keepalive awaits nothing")
	x := newScript(t, Settings{})
	x.session(Initiator)
	x.sends(keepalive)
	x.poll()
	x.wantDeadline(RejectAfterTime)
}

func TestPersistentKeepaliveEdges(t *testing.T) {
	const every = 25 * time.Second
	eachEdge(t, func(t *testing.T, late time.Duration) {
		x := newScript(t, Settings{})
		x.session(Initiator)
		x.at(time.Second)
		x.result(x.m.Configure(Settings{Keepalive: every}, x.now))
		x.want(SendKeepalive) // at once, when it is switched on
		x.sends(keepalive)
		x.poll()
		x.wantDeadline(time.Second + every)
		x.at(time.Second + every + late)
		if x.poll(); late < 0 {
			x.want(0)
		} else {
			x.want(SendKeepalive)
		}
	})
}

func TestPersistentKeepaliveIsReset(t *testing.T) {
	const every = 12 * time.Second
	for name, traffic := range map[string]func(*script, *Keypair){
		"data sent":            func(x *script, _ *Keypair) { x.sends(data) },
		"keepalive sent":       func(x *script, _ *Keypair) { x.sends(keepalive) },
		"data received":        func(x *script, k *Keypair) { x.receives(k, data); x.m.heard.Store(0) },
		"keepalive received":   func(x *script, k *Keypair) { x.receives(k, keepalive) },
		"initiation sent":      func(x *script, _ *Keypair) { x.initiate() },
		"initiation received":  func(x *script, _ *Keypair) { x.responds() },
		"response received":    func(x *script, _ *Keypair) { x.answered() },
		"handshake authorized": func(x *script, _ *Keypair) { x.m.InitiationReceived(x.now) },
	} {
		t.Run(name, func(t *testing.T) {
			x := newScript(t, Settings{Keepalive: every})
			k := x.session(Initiator)
			x.at(11 * time.Second)
			traffic(x, k)
			x.at(23*time.Second - tick)
			if x.poll(); x.last.Actions&SendKeepalive != 0 {
				t.Error("a keepalive too early")
			}
			x.at(23 * time.Second)
			if x.poll(); x.last.Actions&SendKeepalive == 0 {
				t.Error("no keepalive")
			}
		})
	}
}

func TestPersistentKeepaliveWithoutSession(t *testing.T) {
	const every = 30 * time.Second
	x := newScript(t, Settings{Keepalive: every})
	x.want(SendInitiation) // on Up
	x.initiate()

	t.Logf("# nobody answers: given up after 90 s, and begun again when the next keepalive is due")
	for x.last.Deadline < origin+RekeyAttemptTime {
		x.due(x.last.Deadline-origin, ClearSource|SendInitiation)
		x.initiate()
	}
	last := x.initiated - origin
	x.due(RekeyAttemptTime, DropStaged|EraseHandshake)
	x.due(last+every, SendInitiation)

	t.Logf("# switched off, all ends with this attempt")
	x.result(x.m.Configure(Settings{}, x.now))
	x.at(time.Hour)
	x.poll()
	x.want(DropStaged | EraseHandshake)
	x.wantDeadline(-1)

	t.Logf("# switched on while down: nothing, until up")
	var m Machine
	if r := m.Configure(Settings{Keepalive: every}, origin); r.Actions != 0 || r.Deadline != 0 {
		t.Errorf("while down: %+v", r)
	}
	if r := m.Up(origin); r.Actions != SendInitiation {
		t.Errorf("on up: %+v", r)
	}
}

// TestUnsent is a peer of which nobody knew where it is when a handshake was wanted.
func TestUnsent(t *testing.T) {
	x := newScript(t, Settings{})
	x.packetWaits()
	x.want(SendInitiation)
	x.initiate()
	x.wait(time.Second)
	x.m.Unsent(x.now)
	x.initiated = 0 // nothing went out
	x.poll()
	x.want(SendInitiation)
	x.initiate()

	t.Logf("# a floor from before stays")
	x = newScript(t, Settings{})
	x.m.SetFloor(origin + time.Second)
	x.packetWaits()
	x.want(0)
	x.m.Unsent(x.now)
	x.due(time.Second, SendInitiation)

	t.Logf("# and nobody who wants nothing is made to initiate")
	x = newScript(t, Settings{})
	x.m.Unsent(x.now)
	x.poll()
	x.want(0)
	x.wantDeadline(-1)
}

func TestPersistentKeepaliveOfAnotherInterval(t *testing.T) {
	x := newScript(t, Settings{Keepalive: 100 * time.Second})
	x.session(Initiator)
	x.at(10 * time.Second)
	x.result(x.m.Configure(Settings{Keepalive: 20 * time.Second}, x.now))
	x.want(0) // it was on before
	x.due(20*time.Second, SendKeepalive)
	x.result(x.m.Configure(Settings{Keepalive: -1}, x.now))
	x.wantDeadline(RejectAfterTime)
}

// TestShortPersistentKeepalive is an interval below the floor of initiations: it does not prolong an attempt.
func TestShortPersistentKeepalive(t *testing.T) {
	x := newScript(t, Settings{Keepalive: time.Second})
	gaveUp := time.Duration(0)
	for x.now < origin+100*time.Second {
		x.now = max(x.now+tick, x.last.Deadline)
		if x.poll(); x.last.Actions&DropStaged != 0 {
			gaveUp = x.now - origin
		}
	}
	if gaveUp != RekeyAttemptTime {
		t.Errorf("gave up after %v", gaveUp)
	}
}

// TestRenew asks for a handshake while a session is good, and while an initiation is out.
func TestRenew(t *testing.T) {
	x := newScript(t, Settings{})
	k := x.session(Initiator)
	x.at(10 * time.Second)
	x.result(x.m.Renew(x.now, x.jitter))
	x.want(SendInitiation)
	x.initiate()
	x.wantPairs(k, nil, nil) // the old session goes on
	x.at(12 * time.Second)
	x.result(x.m.Renew(x.now, x.jitter))
	x.want(0) // its time has not come
	next := x.session(Initiator)
	x.wantPairs(next, nil, k)
	x.at(30 * time.Second)
	x.poll()
	x.want(0) // nobody wants another
}
