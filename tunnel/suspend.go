package tunnel

import "vpn/rekey"

// Suspend is for when the machine is about to sleep: all session keys are erased, as soon as the last packet in work lets go of them, and
// nothing is sent or answered until Resume. Packets are dropped meanwhile.
func (t *Tunnel) Suspend() {
	t.config.mu.Lock()
	defer t.config.mu.Unlock()
	if t.config.asleep || t.config.closed {
		return
	}
	t.config.asleep = true
	if !t.up.Load() {
		return
	}
	now := t.clock.Now()
	for _, p := range t.peers.all() {
		p.mu.Lock()
		if p.machine.Current() != nil || p.machine.Next() != nil {
			t.config.awaited = append(t.config.awaited, p)
		}
		p.forget(rekey.Suspended, now)
		p.mu.Unlock()
	}
	t.rest()
}

// Resume ends what Suspend began. A handshake starts at once with each peer that had a session.
func (t *Tunnel) Resume() {
	t.config.mu.Lock()
	defer t.config.mu.Unlock()
	if !t.config.asleep || t.config.closed {
		return
	}
	awaited := t.config.awaited
	t.config.asleep, t.config.awaited = false, nil
	t.wake()
	if !t.up.Load() {
		return
	}
	now := t.clock.Now()
	for _, p := range awaited {
		p.mu.Lock()
		if !p.removed {
			p.apply(p.machine.Want(now, t.jitter()), now)
		}
		p.mu.Unlock()
	}
}
