package cli

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// expiry reads how long from now, a day or a time.
func expiry(text string, now time.Time) (time.Time, error) {
	at, err := time.Parse(time.DateOnly, text)
	if err != nil {
		at, err = time.Parse(time.RFC3339, text)
	}
	if err != nil {
		var d time.Duration
		if d, err = span(text); err == nil {
			at = now.Add(d)
		}
	}
	at = at.UTC().Truncate(time.Second)
	switch {
	case err != nil:
		return at, hint(fmt.Errorf("--expires %q is neither a time nor how long from now", text), "write it as in 30d, 12h, 2030-12-31 or 2030-12-31T18:00:00Z")
	case !at.After(now.Truncate(time.Second)):
		return at, fmt.Errorf("--expires %q is over already", text)
	case at.Year() > 9999:
		return at, fmt.Errorf("--expires %q is too far away", text)
	}
	return at, nil
}

// span reads a duration, in whole days and weeks too.
func span(text string) (time.Duration, error) {
	for unit, length := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		if number, is := strings.CutSuffix(text, unit); is {
			n, err := strconv.ParseUint(number, 10, 63)
			if err == nil && n > uint64(math.MaxInt64/length) {
				err = strconv.ErrRange
			}
			return time.Duration(n) * length, err
		}
	}
	return time.ParseDuration(text)
}
