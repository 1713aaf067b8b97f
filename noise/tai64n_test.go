package noise

import (
	"encoding/hex"
	"testing"
	"time"
)

func TestStamp(t *testing.T) {
	for _, c := range []struct {
		at   time.Time
		want string
	}{
		{time.Unix(0, 0), "400000000000000a00000000"},
		{time.Unix(-11, 0), "3fffffffffffffff00000000"},
		{time.Unix(1700000000, 0), "400000006553f10a00000000"},
		{time.Unix(1700000000, 1<<24-1), "400000006553f10a00000000"},
		{time.Unix(1700000000, 1<<24), "400000006553f10a01000000"},
		{time.Unix(1700000000, 999999999), "400000006553f10a3b000000"},
	} {
		got := Stamp(c.at)
		if hex.EncodeToString(got[:]) != c.want {
			t.Errorf("Stamp(%v) is %x, want %s", c.at, got, c.want)
		}
		if back := got.Time(); back.After(c.at) || c.at.Sub(back) >= tick {
			t.Errorf("Stamp(%v).Time is %v", c.at, back)
		}
	}
}

func TestTAI64NOrder(t *testing.T) {
	at := time.Unix(1700000000, 0)
	var zero TAI64N
	if !zero.IsZero() || Stamp(at).IsZero() || zero.After(zero) || !Stamp(at).After(zero) {
		t.Error("the zero timestamp is not before all others")
	}
	// Next walks through just what Stamp returns.
	for now, s := at, Stamp(at); now.Before(at.Add(3 * time.Second)); now = now.Add(time.Millisecond) {
		next := Stamp(now)
		if next != s {
			if next != s.Next() || !next.After(s) || s.After(next) {
				t.Fatalf("after %x comes %x, but Next is %x", s, next, s.Next())
			}
			s = next
		}
	}
	for _, odd := range []TAI64N{tai64n(7, 1), tai64n(7, 1e9), tai64n(7, 1<<32-1), tai64n(1<<64-2, 1<<32-1)} {
		if next := odd.Next(); !next.After(odd) || next[9] != 0 || next[10] != 0 || next[11] != 0 {
			t.Errorf("Next of %x is %x", odd, next)
		}
	}
	if end := tai64n(1<<64-1, 999999999); end.Next() != end {
		t.Errorf("Next of the end of time is %x", end.Next())
	}
}

func TestAdd(t *testing.T) {
	base := time.Date(2024, 2, 29, 23, 59, 59, 999_999_999, time.UTC)
	for _, d := range []time.Duration{0, 1, tick - 1, tick, time.Second, 10 * time.Second, -time.Hour, 24 * time.Hour} {
		s := Stamp(base)
		got := s.Add(d)
		if off := s.Time().Add(d).Sub(got.Time()); off < 0 || off >= tick || got != Stamp(got.Time()) {
			t.Errorf("%v after %v comes %v", d, s.Time(), got.Time())
		}
	}
}
