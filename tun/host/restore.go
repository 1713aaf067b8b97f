package host

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// RestoreRoute makes a route through the link again that others have made, just as
// it was.
type RestoreRoute struct {
	Route
	Via     netip.Addr `json:"via,omitzero"`
	Message []byte     `json:"message"` // how the kernel told of it
}

func (a RestoreRoute) String() string {
	if !a.Via.IsValid() {
		return a.command("add")
	}
	return a.command("add") + " via " + a.Via.String()
}

// RestoreRule makes a policy rule of a hook's again, just as it was.
type RestoreRule struct {
	Command string `json:"command"`
	Message []byte `json:"message"` // how the kernel told of it
}

func (a RestoreRule) String() string { return a.Command }

// command is what a person would have typed to make the rule.
func (f FoundRule) command() string {
	var b strings.Builder
	b.WriteString("ip -4")
	if f.Six {
		b.Reset()
		b.WriteString("ip -6")
	}
	fmt.Fprintf(&b, " rule add priority %d", f.Priority)
	if f.Not {
		b.WriteString(" not")
	}
	for _, p := range []struct {
		word string
		is   netip.Prefix
	}{{"from", f.From}, {"to", f.To}} {
		if p.is.IsValid() {
			fmt.Fprintf(&b, " %s %v", p.word, p.is)
		}
	}
	for _, l := range []struct{ word, is string }{{"iif", f.In}, {"oif", f.Out}} {
		if l.is != "" {
			b.WriteString(" " + l.word + " " + l.is)
		}
	}
	if f.Mark != 0 {
		fmt.Fprintf(&b, " fwmark %d", f.Mark)
	}
	if f.Table != 0 {
		b.WriteString(" table " + tableName(f.Table))
	}
	if f.NoDefault {
		b.WriteString(" suppress_prefixlength 0")
	}
	return b.String()
}

// extra returns steps that would make what is on the link and not in the journal,
// and the rules about the link that are new since the first hook was run. They need
// no undo: what is on the link goes with it, and a rule is its hook's to delete.
func extra(s *State, j *Journal, mark uint32) (steps []Step) {
	had := make(map[string]bool)
	for _, e := range j.Entries() {
		had[identity(e.Do)] = true
	}
	var all []Action
	for _, a := range s.Addresses {
		all = append(all, AddAddress{j.Link, a})
	}
	for _, behind := range []bool{false, true} { // a gateway is reached by another route
		for _, r := range s.Routes {
			if r.Message != nil && r.Link == j.Link && r.Via.IsValid() == behind {
				all = append(all, RestoreRoute{r.Route, r.Via, r.Message})
			}
		}
	}
	for _, r := range s.Rules {
		if j.rules != nil && !slices.ContainsFunc(j.rules, r.equal) && r.Protocol != Protocol && s.isAbout(r, j.Link, mark) {
			all = append(all, RestoreRule{r.command(), r.Message})
		}
	}
	for _, a := range all {
		if !had[identity(a)] {
			steps = append(steps, Step{Do: a})
		}
	}
	return steps
}

func (f FoundRule) equal(other FoundRule) bool { return bytes.Equal(f.Message, other.Message) }

// isAbout says whether a rule has to do with a link: by name, by the mark of its
// messages, by an address, by a table that leads into it, or because it keeps the
// neighbourhood out of such a table. A rule of another tunnel's hooks, which comes up
// at the same time, has not.
func (s *State) isAbout(f FoundRule, link string, mark uint32) bool {
	if f.In == link || f.Out == link || mark != 0 && f.Mark == mark || f.Table == MainTable && f.NoDefault {
		return true
	}
	for _, p := range []netip.Prefix{f.From, f.To} {
		if p.IsValid() && slices.ContainsFunc(s.Addresses, p.Overlaps) {
			return true
		}
	}
	return f.Table != MainTable && slices.ContainsFunc(s.Routes, func(r FoundRoute) bool { return r.Table == f.Table && r.Link == link })
}
