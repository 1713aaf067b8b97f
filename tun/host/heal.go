package host

import "time"

// Change says that something was removed from the host, or may have been.
type Change struct {
	What string // such as "route 10.0.0.0/8"; empty: look at everything
	Who  string // the program that did it, if that is known: "ip (process 4711)"
}

// The bounds of healing: the same thing is put back so many times in so long.
const (
	HealTimes  = 5
	HealWithin = time.Minute
)

// Limiter stops healing what is removed again and again. The zero value has
// seen nothing. It is not safe for concurrent use.
type Limiter struct {
	seen map[string][]time.Time
	over map[string]bool
}

// Allow takes the steps that would put things back now, and returns those that
// are to be done, and those that are given up with this call. What was given up
// before is in neither.
func (l *Limiter) Allow(now time.Time, steps []Step) (again, givenUp []Step) {
	if l.seen == nil {
		l.seen, l.over = map[string][]time.Time{}, map[string]bool{}
	}
	for _, s := range steps {
		key := s.Do.String()
		if l.over[key] {
			continue
		}
		recent := l.seen[key][:0]
		for _, t := range l.seen[key] {
			if now.Sub(t) < HealWithin {
				recent = append(recent, t)
			}
		}
		if len(recent) >= HealTimes {
			l.over[key] = true
			givenUp = append(givenUp, s)
			continue
		}
		l.seen[key] = append(recent, now)
		again = append(again, s)
	}
	return again, givenUp
}
