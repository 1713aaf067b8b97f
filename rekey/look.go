package rekey

import "time"

// SessionName writes a session's random number as Keypair.Name does: its low 32 bits count.
func SessionName(id uint64) string { return name(uint32(id)) }

// RekeyAt is when traffic makes this side replace the session: the next message sent at or after the first time, or received at or after
// the second. Zero: it never does, because the other side is to do it or the session has been replaced.
func (k *Keypair) RekeyAt() (sending, receiving time.Duration) {
	at := func(t int64) time.Duration {
		if t == never {
			return 0
		}
		return time.Duration(t)
	}
	return at(k.sendRekeyAt.Load()), at(k.receiveRekeyAt.Load())
}

// Confirmed reports whether the other side is known to have the session: always so for an initiator, for a responder once data arrived.
func (k *Keypair) Confirmed() bool { return k.role == Initiator || k.confirmed.Load() }

// Displaced calls f with the pairs that were pushed out of their place and receive for a while yet. It is called under the lock.
func (m *Machine) Displaced(f func(*Keypair)) {
	if m.rest == nil {
		return
	}
	for _, d := range m.rest.displaced {
		if d.Keypair != nil {
			f(d.Keypair)
		}
	}
}

// Unheard returns when data was sent that nothing has answered yet, or zero. Any goroutine may call it.
func (m *Machine) Unheard() time.Duration { return time.Duration(m.unheard.Load()) }

// Attempt reports whether a session is asked for, and when the next initiation may go out. It is called under the lock.
func (m *Machine) Attempt() (wanted bool, next time.Duration) {
	if !m.Wanted() {
		return false, 0
	}
	return true, m.floor
}
