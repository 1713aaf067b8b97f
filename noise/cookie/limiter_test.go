package cookie

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// allowed counts how many of n messages at once get through.
func allowed(l *Limiter, from netip.Addr, n int, now time.Duration) (count int) {
	for range n {
		if l.Allow(from, now) {
			count++
		}
	}
	return count
}

func TestLimit(t *testing.T) {
	l := NewLimiter()
	a := netip.MustParseAddr("192.0.2.1")
	for _, step := range []struct {
		now  time.Duration
		want int
	}{
		{0, 5},
		{0, 0},
		{50*time.Millisecond - 1, 0},
		{50 * time.Millisecond, 1},
		{100 * time.Millisecond, 1},
		{200 * time.Millisecond, 2},
		{450 * time.Millisecond, LimitBurst},
		{time.Hour, LimitBurst},      // and no more than the burst
		{time.Hour - time.Second, 0}, // a reading that is a little older than the last
	} {
		if got := allowed(l, a, 10, step.now); got != step.want {
			t.Errorf("at %v %d of 10 messages get through, want %d", step.now, got, step.want)
		}
	}
	// Over a long time: twenty a second.
	start := 2 * time.Hour
	count := 0
	for now := start; now < start+10*time.Second; now += time.Millisecond {
		count += allowed(l, a, 1, now)
	}
	if want := 10*20 + 5 - 1; count != want {
		t.Errorf("%d messages in ten seconds, want %d", count, want)
	}
}

func TestSources(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true},
		{"fe80::1%eth0", "fe80::2%eth1", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"0.0.0.1", "0:0:0:1::", false},
		{"0.0.0.0", "::", false},
	} {
		l := NewLimiter()
		allowed(l, netip.MustParseAddr(c.a), 10, 0)
		want := LimitBurst
		if c.same {
			want = 0
		}
		if got := allowed(l, netip.MustParseAddr(c.b), 10, 0); got != want {
			t.Errorf("after %s %s gets %d messages through, want %d", c.a, c.b, got, want)
		}
	}
	if NewLimiter().Allow(netip.Addr{}, 0) {
		t.Error("nobody gets through")
	}
}

func numbered(n int) netip.Addr {
	var b [16]byte
	b[0] = 0x20
	binary.BigEndian.PutUint32(b[4:], uint32(n))
	return netip.AddrFrom16(b)
}

// A flood from ever new sources shuts nobody out, and takes no more memory than the table.
func TestFlood(t *testing.T) {
	l := NewLimiter()
	victim := netip.MustParseAddr("192.0.2.1")
	shut := 0
	for n := range 20 * sets * ways {
		now := time.Duration(n) * time.Microsecond
		if !l.Allow(numbered(n), now) {
			t.Fatalf("source %d does not get its first message through", n)
		}
		if n%100_000 == 0 && !l.Allow(victim, now) { // every 100 ms: half of what it may
			shut++
		}
	}
	if shut > 0 {
		t.Errorf("a flood has shut a victim out %d times", shut)
	}
}

// A source that has spent its burst does not get it back while others come in at a lower rate than the table forgets.
func TestFloodKeepsTheSpent(t *testing.T) {
	l := NewLimiter()
	flooder := netip.MustParseAddr("192.0.2.1")
	allowed(l, flooder, 100, 0)
	for n := range sets {
		l.Allow(numbered(n), 0)
	}
	if got := allowed(l, flooder, 100, 0); got != 0 {
		t.Errorf("%d sources make a spent one forgotten: %d messages", sets, got)
	}
}

func TestLimiterConcurrently(t *testing.T) {
	l := NewLimiter()
	var count atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { count.Add(int64(allowed(l, netip.MustParseAddr("192.0.2.1"), 100, 0))) })
	}
	if wg.Wait(); count.Load() != LimitBurst {
		t.Errorf("%d messages get through, want %d", count.Load(), LimitBurst)
	}
}

func TestLimiterIsLean(t *testing.T) {
	l := NewLimiter()
	if l.table != nil {
		t.Error("an unused limiter has its table")
	}
	a := netip.MustParseAddr("2001:db8::1")
	l.Allow(a, 0)
	if n := testing.AllocsPerRun(100, func() { l.Allow(a, 0) }); n != 0 {
		t.Errorf("Allow allocates %v times", n)
	}
}
