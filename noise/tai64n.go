package noise

import (
	"bytes"
	"encoding/binary"
	"time"
)

// TAI64N is the timestamp of an initiation: seconds since 1970 TAI plus 2^62, and nanoseconds, big-endian, so that byte
// order is time order. A responder takes from each peer only ever greater ones.
// See https://cr.yp.to/libtai/tai64.html.
type TAI64N [12]byte

const (
	// tai64Epoch is 1970 in TAI64, with the ten seconds that TAI was ahead then. Later leap seconds are left out, as all
	// implementations do: peers compare timestamps with earlier ones of the same sender only.
	tai64Epoch = 1<<62 + 10

	// tick is the resolution that is shown, in nanoseconds. A finer one would let peers watch our clock, and with it how
	// busy the processor is.
	tick = 1 << 24

	second = uint32(time.Second)
)

// Stamp returns the timestamp of t, rounded down to 2^24 ns (16.8 ms).
func Stamp(t time.Time) TAI64N {
	return tai64n(tai64Epoch+uint64(t.Unix()), uint32(t.Nanosecond())&^(tick-1))
}

func tai64n(seconds uint64, nanoseconds uint32) TAI64N {
	var t TAI64N
	binary.BigEndian.PutUint64(t[:8], seconds)
	binary.BigEndian.PutUint32(t[8:], nanoseconds)
	return t
}

// After reports whether t is later than o.
func (t TAI64N) After(o TAI64N) bool { return bytes.Compare(t[:], o[:]) > 0 }

// IsZero reports whether t is the zero value, which is earlier than any other and stands for "never".
func (t TAI64N) IsZero() bool { return t == TAI64N{} }

// Next returns the earliest timestamp that Stamp can return and that is later than t. At the end of time, which only a
// forger reaches, it returns t.
func (t TAI64N) Next() TAI64N {
	seconds, nanoseconds := binary.BigEndian.Uint64(t[:8]), binary.BigEndian.Uint32(t[8:])
	switch next := uint64(nanoseconds)&^(tick-1) + tick; {
	case next < uint64(second):
		return tai64n(seconds, uint32(next))
	case seconds == 1<<64-1:
		return t
	default:
		return tai64n(seconds+1, 0)
	}
}

// Add returns the timestamp of a time that is d later, rounded down as Stamp does.
func (t TAI64N) Add(d time.Duration) TAI64N { return Stamp(t.Time().Add(d)) }

// Time returns the time that Stamp was given, less what was rounded off.
func (t TAI64N) Time() time.Time {
	seconds := binary.BigEndian.Uint64(t[:8]) - tai64Epoch
	return time.Unix(int64(seconds), int64(binary.BigEndian.Uint32(t[8:])))
}
