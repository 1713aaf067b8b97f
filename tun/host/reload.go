package host

import (
	"fmt"
	"reflect"
	"slices"

	"vpn/conf"
)

// Reload plans what takes a link that is up from what the journal says is ours to
// what the config wants. It is pure. Keys and peers are their holder's to compare,
// before the plan is done: it has neither Configure nor hooks. The mark is the
// plan's to change, at the right moment. What is new comes before what is old
// goes; a plan without steps leaves the host as it is.
func Reload(c *conf.Config, j *Journal, s *State, o Options) (*Plan, error) {
	l, there := s.link(o.Link)
	if !there {
		return nil, fmt.Errorf("%s: the link is gone", o.Link)
	}
	m := maker{c: c, s: s, o: o, ipv6: s.LinkIPv6, prev: j}
	if err := m.prepare(); err != nil {
		return nil, err
	}
	if err := m.all(); err != nil {
		return nil, err
	}
	had := make(map[string]Entry)
	for _, e := range j.Entries() {
		if k := identity(e.Do); k != "" {
			had[k] = e
		}
	}
	var added []Step
	for _, step := range m.plan.Steps {
		k := identity(step.Do)
		if k == "" {
			continue
		}
		e, is := had[k]
		delete(had, k)
		if is && same(e.Do, step.Do) && s.has(e.Do) {
			continue
		}
		if is {
			step.Back, step.Ends = e.Do, e.ID
		}
		added = append(added, step)
	}
	var rules, others []Step // that go
	for _, e := range slices.Backward(j.Entries()) {
		if k := identity(e.Do); k == "" || had[k].ID != e.ID || e.Undo == nil {
			continue
		}
		step := Step{Do: e.Undo, Back: e.Do, Ends: e.ID}
		if _, isRule := e.Do.(AddRule); isRule {
			rules = append(rules, step)
		} else {
			others = append(others, step)
		}
	}
	m.plan.Steps = m.order(l, added, rules, others)
	return &m.plan, nil
}

// order puts the steps of a reload in an order in which the tunnel's messages are
// never sent into the tunnel itself: not those that have the old mark, nor those
// that have the new one.
func (m *maker) order(l Link, added, rules, others []Step) (steps []Step) {
	if m.plan.MTU != l.MTU {
		steps = append(steps, Step{Do: SetLink{Link: l.Name, MTU: m.plan.MTU}, Back: SetLink{Link: l.Name, MTU: l.MTU}})
	}
	if m.plan.Mark == m.o.Mark {
		return slices.Concat(steps, added, rules, others)
	}
	mark := Step{Do: SetMark{l.Name, m.plan.Mark}, Back: SetMark{l.Name, m.o.Mark}}
	if len(rules) == 0 {
		return slices.Concat(steps, []Step{mark}, added, others)
	}
	steps = slices.Concat(steps, added, rules, []Step{mark}, others)
	for _, s := range added {
		if a, ok := s.Do.(AddRule); ok && !a.Not && a.Mark == m.o.Mark && a.Mark != 0 { // for the meantime only
			steps = append(steps, Step{Do: s.Undo, Back: s.Do})
		}
	}
	return steps
}

// identity tells what an action is about: of two with one identity the later
// takes the place of the earlier. Empty: it is not compared.
func identity(a Action) string {
	switch a := a.(type) {
	case ClaimMark:
		return fmt.Sprintf("mark %d", a.Mark)
	case AddAddress:
		return "address " + a.Prefix.String()
	case AddRoute:
		return fmt.Sprintf("route %+v", placeOf(a.Route))
	case RestoreRoute:
		return fmt.Sprintf("route %+v", placeOf(a.Route))
	case RestoreRule:
		return "foreign rule " + string(a.Message)
	case AddRule:
		a.Priority = 0
		return fmt.Sprintf("rule %+v", a.Rule)
	case Sysctl:
		return "sysctl " + a.Key
	case HoldSysctl:
		return "sysctl " + a.Key
	case LoadTable:
		if r := a.ruleset(); r != nil {
			return "table " + r.Table().String()
		}
	case SetDNS:
		return "dns"
	}
	return ""
}

// same says whether two actions of one identity have the same effect.
func same(a, b Action) bool {
	switch a.(type) {
	case AddRoute, LoadTable, SetDNS:
		return sameText(a, b)
	}
	return reflect.TypeOf(a) == reflect.TypeOf(b)
}
