package host

import (
	"bytes"
	"encoding/json"
	"slices"
)

// Missing returns what was there when the link had come up and is there no more:
// steps to be done again with [Redo], in the order of the journal. There are none
// while the link is gone or administratively down.
func Missing(s *State, j *Journal) []Step {
	up := j.Up()
	if l, there := s.link(j.Link); up == nil || !there || !l.Up {
		return nil
	}
	var steps []Step
	for _, e := range j.Entries() {
		if !s.has(e.Do) && !slices.Contains(up.Absent, e.ID) {
			do := e.Do
			if held, is := do.(HoldSysctl); is {
				held.Was = s.Sysctls[held.Key] // now
				do = held
			}
			steps = append(steps, Step{Do: do, Undo: e.Undo})
		}
	}
	return steps
}

// absent returns the numbers of the entries whose effect is not there.
func absent(s *State, j *Journal) (ids []int) {
	for _, e := range j.Entries() {
		if !s.has(e.Do) {
			ids = append(ids, e.ID)
		}
	}
	return ids
}

// has says whether an action's effect is there, as far as a state can tell.
func (s *State) has(a Action) bool {
	switch a := a.(type) {
	case AddAddress:
		return slices.Contains(s.Addresses, a.Prefix)
	case AddRoute:
		return s.routeSet()[placed{placeOf(a.Route), a.Type, a.Link}]
	case RestoreRoute:
		return s.routeSet()[placed{placeOf(a.Route), a.Type, a.Link}]
	case RestoreRule:
		return slices.ContainsFunc(s.Rules, FoundRule{Message: a.Message}.equal)
	case AddRule:
		return slices.ContainsFunc(s.Rules, func(r FoundRule) bool {
			r.For = a.For
			return r.Rule == a.Rule && !r.Other
		})
	case LoadTable:
		r := a.ruleset()
		return r == nil || !s.Damaged[r.Table().String()]
	case Sysctl:
		return s.isSet(a.Key, a.Value)
	case HoldSysctl:
		return s.isSet(a.Key, a.Value)
	case SetDNS:
		return !s.ServersLost
	}
	return true
}

// isSet says whether a variable has a value. One that is not there is nobody's to
// set.
func (s *State) isSet(key, value string) bool {
	is, there := s.Sysctls[key]
	return !there || is == value
}

// placed is a route that is found by all that it is.
type placed struct {
	place
	kind RouteType
	link string
}

// routeSet returns all routes that are there, indexed once.
func (s *State) routeSet() map[placed]bool {
	if s.placed == nil {
		s.placed = make(map[placed]bool, len(s.Routes))
		for _, r := range s.Routes {
			s.placed[placed{placeOf(r.Route), r.Type, r.Link}] = true
		}
	}
	return s.placed
}

// sameText compares two actions as a journal keeps them.
func sameText(a, b Action) bool {
	textA, errA := json.Marshal(a)
	textB, errB := json.Marshal(b)
	return errA == nil && errB == nil && bytes.Equal(textA, textB)
}
