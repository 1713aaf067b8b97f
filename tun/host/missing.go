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
			steps = append(steps, Step{Do: e.Do, Undo: e.Undo})
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

// extra returns steps that would make what is on the link and not in the journal.
// They need no undo: it goes with the link.
func extra(s *State, j *Journal) (steps []Step) {
	had := make(map[string]bool)
	for _, e := range j.Entries() {
		had[identity(e.Do)] = true
	}
	var all []Action
	for _, a := range s.Addresses {
		all = append(all, AddAddress{j.Link, a})
	}
	for _, r := range s.Routes {
		if r.Link == j.Link && r.Plain {
			all = append(all, AddRoute{r.Route})
		}
	}
	for _, a := range all {
		if !had[identity(a)] {
			steps = append(steps, Step{Do: a})
		}
	}
	return steps
}

// has says whether an action's effect is there, as far as a state can tell.
func (s *State) has(a Action) bool {
	switch a := a.(type) {
	case AddAddress:
		return slices.Contains(s.Addresses, a.Prefix)
	case AddRoute:
		return s.routeSet()[placed{placeOf(a.Route), a.Type, a.Link}]
	case AddRule:
		return slices.ContainsFunc(s.Rules, func(r FoundRule) bool {
			r.For = a.For
			return r.Rule == a.Rule && !r.Other
		})
	case LoadTable:
		r := a.ruleset()
		return r == nil || !s.Damaged[r.Table().String()]
	}
	return true
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
