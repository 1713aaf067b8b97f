package rekey

import "time"

// Want is told that a packet waits because there is no session: none to send on, or one that could not be acquired or had not
// enough counters. It asks for a handshake, or has the packet sent after all if a session came in the meantime. jitter is
// random, from 0 to RekeyTimeoutJitterMax.
func (m *Machine) Want(now, jitter time.Duration) Result {
	if !m.up {
		return m.result(DropStaged, nil)
	}
	a, r := m.confirm(nil, now)
	if m.current.Load().usable(now) {
		return m.result(a|SendStaged, r)
	}
	// "This reinitiation is attempted for Rekey-Attempt-Time seconds before giving up, though this counter is reset when a peer
	// explicitly attempts to send a new transport data message." 6.4
	m.wanted = now
	return m.result(a|m.handshake(now, jitter), r)
}

// Renew is for who wants to see a handshake, whatever session there is: that one goes on until the new one is there. No initiation comes
// sooner for it than after the last one's time.
func (m *Machine) Renew(now, jitter time.Duration) Result {
	if !m.up {
		return m.result(0, nil)
	}
	m.wanted = now
	return m.result(m.handshake(now, jitter), nil)
}

// InitiationSent is told that an initiation was sent. jitter is random, from 0 to RekeyTimeoutJitterMax.
func (m *Machine) InitiationSent(now, jitter time.Duration) Result {
	if !m.up {
		return m.result(EraseHandshake, nil)
	}
	m.initiate(now, jitter)
	m.passed(now)
	return m.result(0, nil)
}

// Unsent is told that the initiation that was asked for last did not go out, since nobody knew where to, and that somebody knows now: the
// next one need not wait. Whatever result comes next has its deadline.
func (m *Machine) Unsent(now time.Duration) {
	if m.pending {
		m.pending = false
		m.floor = min(m.floor, now)
	}
}

// Poll does what is due: at the deadline, or because Sent or Received said so. Called at another time it does nothing. jitter is
// random, from 0 to RekeyTimeoutJitterMax.
func (m *Machine) Poll(now, jitter time.Duration) Result {
	if !m.up {
		return m.result(0, nil)
	}
	a, r := m.confirm(m.expire(now), now)

	// "[...] does not have any packets itself to send back for Keepalive-Timeout seconds, it sends a keepalive message". 6.5
	if due(m.heard.Load(), KeepaliveTimeout, now) {
		m.heard.Store(0)
		a |= m.keepAlive(now)
	}
	if i := m.keepalive.Load(); i != 0 && due(m.traffic.Load(), time.Duration(i), now) {
		a |= m.keepAlive(now)
	}
	// "[...] in which case a handshake initiation message is sent to the unresponsive peer, once every Rekey-Timeout seconds". 6.5
	if sent := m.unheard.Load(); due(sent, KeepaliveTimeout+RekeyTimeout, now) {
		m.unheard.Store(0)
		if m.wanted == 0 {
			m.wanted = now
		} else {
			// An attempt that is under way lasts as long as if the packet had been queued for it.
			m.wanted = max(m.wanted, time.Duration(sent))
		}
		a |= ClearSource
	}
	return m.result(a|m.handshake(now, jitter), r)
}

// due reports whether d has passed since an event that has happened.
func due(event int64, d, now time.Duration) bool { return event != 0 && now-time.Duration(event) >= d }

// keepAlive sends a keepalive, or wants the session that it takes; handshake comes after it.
func (m *Machine) keepAlive(now time.Duration) Actions {
	m.traffic.Store(int64(now))
	if m.current.Load().usable(now) {
		return SendKeepalive
	}
	// A keepalive is no packet that an attempt under way would be prolonged for.
	if m.wanted == 0 {
		m.wanted = now
	}
	return 0
}

// handshake does what is due for a handshake that is wanted, or no longer is.
func (m *Machine) handshake(now, jitter time.Duration) Actions {
	k := m.current.Load()
	if k != nil {
		m.wanted = max(m.wanted, time.Duration(k.asked.Load()))
	}
	switch {
	case m.wanted == 0 && m.pending && now >= m.floor:
		// An initiation that went out when nobody wanted it any more has had its time.
		m.pending = false
		return EraseHandshake
	case m.wanted == 0:
		return 0
	case now-m.wanted >= RekeyAttemptTime:
		m.wanted, m.pending = 0, false
		if k != nil {
			k.asked.Store(0)
		}
		return DropStaged | EraseHandshake
	case now < m.floor:
		return 0
	}
	var a Actions
	if m.pending {
		// "[...] if a handshake response message (section 5.4.3) is not subsequently received after Rekey-Timeout seconds, a new
		// handshake initiation message is constructed (with new random ephemeral keys) and sent." 6.4
		a = ClearSource
	}
	m.initiate(now, jitter)
	return a | SendInitiation
}

// initiate notes an initiation, so that the next is not too soon.
func (m *Machine) initiate(now, jitter time.Duration) {
	// "Under no circumstances will WireGuard send an initiation message more than once every Rekey-Timeout". 6.1
	m.floor = now + RekeyTimeout + min(max(jitter, 0), RekeyTimeoutJitterMax)
	m.pending = true
}

// result ends an event under the lock: it says what to do and when Poll is due.
func (m *Machine) result(a Actions, r []*Keypair) Result {
	for {
		d := m.next()
		m.deadline.Store(int64(d))
		// Traffic writes its time first and looks at the deadline second, here it is the other way round: so either traffic
		// sees this deadline, and asks for a poll when its own is earlier, or its time is seen here.
		if m.next() == d {
			return Result{Actions: a, Deadline: d, Retired: r}
		}
	}
}

// next returns when something is due, or zero.
func (m *Machine) next() time.Duration {
	if !m.up {
		return 0
	}
	first := time.Duration(never)
	at := func(event, d time.Duration) {
		if event != 0 {
			first = min(first, event+d)
		}
	}
	pair := func(k *Keypair) {
		if k != nil {
			first = min(first, k.born+RejectAfterTime)
		}
	}
	k := m.current.Load()
	pair(k)
	if p := m.rest; p != nil {
		for _, k := range p.all() {
			pair(k)
		}
		for _, d := range p.displaced {
			if d.Keypair != nil {
				first = min(first, d.until)
			}
		}
	}
	at(time.Duration(m.heard.Load()), KeepaliveTimeout)
	at(time.Duration(m.unheard.Load()), KeepaliveTimeout+RekeyTimeout)
	if i := m.keepalive.Load(); i != 0 {
		at(time.Duration(m.traffic.Load()), time.Duration(i))
	}
	wanted := m.wanted
	if k != nil {
		wanted = max(wanted, time.Duration(k.asked.Load()))
	}
	switch {
	case wanted != 0:
		// floor is zero before the first initiation, but zero would be no deadline.
		first = min(first, max(m.floor, 1), wanted+RekeyAttemptTime)
	case m.pending:
		first = min(first, m.floor)
	}
	if first == never {
		return 0
	}
	return first
}
