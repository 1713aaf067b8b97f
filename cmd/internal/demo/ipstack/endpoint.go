package ipstack

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// endpoint is what connections of both kinds have in common: two addresses, and
// waiting with deadlines.
type endpoint struct {
	stack         *Stack
	local, remote netip.AddrPort
	changed       sync.Cond // of the stack's lock: there is news for who waits
	reads, writes deadline  // guarded by the stack's lock
}

// deadline is a time after which there is no more waiting.
type deadline struct {
	timer  *time.Timer
	passed bool
}

// LocalAddr implements net.Conn.
func (e *endpoint) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(e.local) }

// RemoteAddr implements net.Conn.
func (e *endpoint) RemoteAddr() net.Addr {
	if !e.remote.IsValid() {
		return nil
	}
	return net.UDPAddrFromAddrPort(e.remote)
}

// SetDeadline implements net.Conn.
func (e *endpoint) SetDeadline(t time.Time) error { return e.set(t, &e.reads, &e.writes) }

// SetReadDeadline implements net.Conn.
func (e *endpoint) SetReadDeadline(t time.Time) error { return e.set(t, &e.reads) }

// SetWriteDeadline implements net.Conn.
func (e *endpoint) SetWriteDeadline(t time.Time) error { return e.set(t, &e.writes) }

func (e *endpoint) set(t time.Time, deadlines ...*deadline) error {
	e.stack.mu.Lock()
	defer e.stack.mu.Unlock()
	for _, d := range deadlines {
		d.stop()
		if t.IsZero() {
			continue
		}
		left := time.Until(t)
		if left <= 0 {
			d.passed = true
			continue
		}
		var timer *time.Timer
		timer = time.AfterFunc(left, func() {
			e.stack.mu.Lock()
			defer e.stack.mu.Unlock()
			if d.timer == timer { // and not another by now
				d.passed = true
				e.changed.Broadcast()
			}
		})
		d.timer = timer
	}
	e.changed.Broadcast()
	return nil
}

// stop makes it as if none had been set.
func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
	*d = deadline{}
}

// end wakes all who wait, after the last change there is.
func (e *endpoint) end() {
	e.reads.stop()
	e.writes.stop()
	e.changed.Broadcast()
}

// failure is an error in the form of package net.
func (e *endpoint) failure(op string, err error) error {
	return &net.OpError{Op: op, Net: "udp", Source: e.LocalAddr(), Addr: e.RemoteAddr(), Err: err}
}

// expired is what there is to say when waiting must end.
func (d *deadline) expired() error {
	if d.passed {
		return os.ErrDeadlineExceeded
	}
	return nil
}
