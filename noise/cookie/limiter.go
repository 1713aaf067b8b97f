package cookie

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// The limit for each source, in messages.
const (
	LimitPerSecond = 20
	LimitBurst     = 5
)

const (
	interval  = time.Second / LimitPerSecond
	tolerance = (LimitBurst - 1) * interval

	// The table remembers 8,192 sources in 192 KiB. Whoever has more addresses than that is no longer limited by
	// anything that counts addresses.
	ways = 8
	sets = 1024
)

// Limiter limits how many handshakes one source can make us do: LimitPerSecond, LimitBurst at once. A source is an IPv4
// address, or the /64 of an IPv6 one, which one host has to itself. It is safe for concurrent use.
//
// The table has a fixed size and is made at first use. No flood can shut others out: a source with no entry is always let
// in, in place of the entry in its set that has most of its burst left, which loses least; and which sources share a set
// is a secret of this process.
type Limiter struct {
	seed maphash.Seed

	mu    sync.Mutex
	table *[sets][ways]bucket // guarded by mu
}

// bucket is the state of one source in the generic cell rate algorithm: the time at which it will have its whole burst
// again, were it to send nothing more. The zero bucket is free.
type bucket struct {
	source source
	full   time.Duration
}

// source is an IPv4 address, or the upper half of an IPv6 address. The zero source is nobody.
type source struct {
	prefix uint64
	family uint8
}

const (
	ipv4 = 4
	ipv6 = 6
)

// NewLimiter makes a limiter that has seen nobody.
func NewLimiter() *Limiter { return &Limiter{seed: maphash.MakeSeed()} }

// Allow reports whether a message from this address may be worked on now, and counts it if so. It is false for the zero
// Addr.
func (l *Limiter) Allow(from netip.Addr, now time.Duration) bool {
	if !from.IsValid() {
		return false
	}
	s := sourceOf(from)
	set := maphash.Comparable(l.seed, s) % sets
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.table == nil {
		l.table = new([sets][ways]bucket)
	}
	b := find(&l.table[set], s)
	if b.full-now > tolerance {
		return false
	}
	b.full = max(b.full, now) + interval
	return true
}

// find returns the bucket of s, a new one if it had none.
func find(set *[ways]bucket, s source) *bucket {
	fullest := &set[0]
	for i := range set {
		b := &set[i]
		if b.source == s {
			return b
		}
		if b.full < fullest.full {
			fullest = b
		}
	}
	*fullest = bucket{source: s}
	return fullest
}

func sourceOf(a netip.Addr) source {
	a = a.Unmap()
	if a.Is4() {
		b := a.As4()
		return source{uint64(b[0])<<24 | uint64(b[1])<<16 | uint64(b[2])<<8 | uint64(b[3]), ipv4}
	}
	b := a.As16()
	var prefix uint64
	for _, octet := range b[:8] {
		prefix = prefix<<8 | uint64(octet)
	}
	return source{prefix, ipv6}
}
