// Package dns makes the host ask a tunnel's name servers, in the way that the
// host has: systemd-resolved over D-Bus, resolvconf, or /etc/resolv.conf itself.
//
// What is set is undone from the way and the link's name alone, by any process
// and after a crash or a reboot: systemd-resolved and resolvconf know what belongs
// to a link, and for /etc/resolv.conf what was there before lies in a backup below
// /var/lib/vpn. Functions may be called concurrently, also by several processes.
package dns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Kind is a way to set name servers.
type Kind string

// The ways.
const (
	Resolved   Kind = "resolved"   // systemd-resolved over D-Bus, per link
	Resolvconf Kind = "resolvconf" // the program of openresolv or of Debian's resolvconf
	File       Kind = "file"       // /etc/resolv.conf itself
)

// Settings are what a tunnel wants.
type Settings struct {
	Link    string       `json:"link"`
	Servers []netip.Addr `json:"servers"` // at least one
	Search  []string     `json:"search,omitempty"`
	Routes  []string     `json:"routes,omitempty"` // the only domains to ask Servers for; empty: all
}

// ErrSplit is why Routes are refused: only systemd-resolved asks different servers
// for different names.
var ErrSplit = errors.New("needs systemd-resolved: any other way sends all names to the same servers")

// Check says whether the settings can be made in a way, before anything is changed.
func (s Settings) Check(k Kind) error {
	switch {
	case len(s.Servers) == 0:
		return errors.New("no name server to set")
	case len(s.Routes) > 0 && k != Resolved:
		return ErrSplit
	}
	return nil
}

// Set makes the settings, or puts them in the place of those that the link has.
// After an error nothing is changed.
func Set(ctx context.Context, k Kind, s Settings) error {
	err := s.Check(k)
	if err == nil {
		switch k {
		case Resolved:
			err = setResolved(ctx, s)
		case Resolvconf:
			err = setResolvconf(ctx, s)
		case File:
			err = setFile(s)
		default:
			err = fmt.Errorf("no way called %q", k)
		}
	}
	if err != nil {
		return fmt.Errorf("set name servers of %s: %w", s.Link, err)
	}
	return nil
}

// Unset takes away what Set has made for a link. It is no error if there is
// nothing. The note, if there is one, is for the user: somebody else changed what
// Set had made, and what that meant.
func Unset(ctx context.Context, k Kind, link string) (note string, err error) {
	switch k {
	case Resolved:
		err = unsetResolved(ctx, link)
	case Resolvconf:
		note, err = unsetResolvconf(ctx, link)
	case File:
		note, err = unsetFile(link)
	default:
		err = fmt.Errorf("no way called %q", k)
	}
	if err != nil {
		return note, fmt.Errorf("unset name servers of %s: %w", link, err)
	}
	return note, nil
}

// Present says whether the settings are in force as Set makes them.
func Present(ctx context.Context, k Kind, s Settings) (is bool, err error) {
	switch k {
	case Resolved:
		is, err = presentResolved(ctx, s)
	case Resolvconf:
		is, err = presentResolvconf(ctx, s)
	case File:
		is, err = presentFile(s)
	default:
		err = fmt.Errorf("no way called %q", k)
	}
	if err != nil {
		return false, fmt.Errorf("look for name servers of %s: %w", s.Link, err)
	}
	return is, nil
}

// Command returns what a person types to do what [Set] does.
func (s Settings) Command(k Kind) string {
	switch k {
	case Resolved:
		return fmt.Sprintf("resolvectl dns %[1]s %[2]s && resolvectl domain %[1]s %[3]s && resolvectl default-route %[1]s %[4]s",
			s.Link, joined(s.Servers), strings.Join(quoted(s.domains()), " "), yes(s.isDefault()))
	case Resolvconf:
		return fmt.Sprintf("resolvconf -a %s -m 0 -x <<EOF\n%sEOF", interfacePrefix()+s.Link, s.lines())
	default:
		return fmt.Sprintf("cat >%s <<EOF\n%sEOF", resolvConf, s.lines())
	}
}

// UndoCommand returns what a person types to do what [Unset] does.
func UndoCommand(k Kind, link string) string {
	switch k {
	case Resolved:
		return "resolvectl revert " + link
	case Resolvconf:
		return fmt.Sprintf("resolvconf -d %s -f", interfacePrefix()+link)
	default:
		return fmt.Sprintf("restore %s from %s", resolvConf, backupPath(link))
	}
}

// isDefault says whether Servers are asked for names of no known domain.
func (s Settings) isDefault() bool { return len(s.Routes) == 0 }

// domains returns the link's domains as systemd-resolved writes them: a tilde
// stands before those that are no search domains, and "~." is all names.
func (s Settings) domains() []string {
	all := slices.Clone(s.Search)
	if s.isDefault() {
		return append(all, "~.")
	}
	for _, route := range s.Routes {
		all = append(all, "~"+strings.TrimPrefix(route, "~"))
	}
	return all
}

// lines returns the settings as /etc/resolv.conf has them.
func (s Settings) lines() string {
	var b strings.Builder
	for _, server := range s.Servers {
		fmt.Fprintf(&b, "nameserver %s\n", server)
	}
	if len(s.Search) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(s.Search, " "))
	}
	return b.String()
}

func joined[T fmt.Stringer](all []T) string {
	words := make([]string, len(all))
	for i, v := range all {
		words[i] = v.String()
	}
	return strings.Join(words, " ")
}

// quoted keeps the shell from replacing tildes.
func quoted(words []string) []string {
	all := make([]string, len(words))
	for i, word := range words {
		all[i] = "'" + word + "'"
	}
	return all
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}
