// Package lint says of a configuration file what would be refused, and where it
// would silently do something else than its author meant.
//
// The rules are pure: what the host is like is an argument, and where nothing is
// known of it, the rules that would ask for it say nothing.
package lint

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"
	"time"

	"vpn/conf"
)

// Severity says what a finding means.
type Severity string

// The severities, the worst first.
const (
	Error   Severity = "error"   // the file is refused
	Warning Severity = "warning" // it is taken, and does not do what it seems to say
)

// Finding is one thing that is wrong with a file. No field ever holds a key. The
// names are those of `vpn check --json`.
type Finding struct {
	Severity Severity `json:"severity"`
	Rule     string   `json:"rule"` // which rule found it
	File     string   `json:"file"`
	Line     int      `json:"line,omitempty"` // 0: the file as a whole
	Key      string   `json:"key,omitempty"`
	Value    string   `json:"value,omitempty"`
	Message  string   `json:"message"`
	Hint     string   `json:"hint,omitempty"`
}

// String reads as a [conf.Error] does.
func (f Finding) String() string {
	return (&conf.Error{File: f.File, Line: f.Line, Key: f.Key, Value: f.Value, Message: f.Message}).Error()
}

// Rules of findings that are not this package's own.
const (
	RuleFile   = "file"   // the file can't be read, or by too many
	RuleSyntax = "syntax" // conf.Parse refuses it
	RuleParse  = "parse"  // conf.Parse warns of it
)

// Host is what is known of the host on which the file is to be used.
type Host struct {
	Link    string  // the interface's name: what it has itself is no obstacle
	Links   []Link  // all others
	Routes  []Route // of the main table, those of Link left out
	PathMTU map[netip.Addr]int
	// KeyFile says what is wrong with a file that the configuration names; nil if
	// nothing is, or if it can't be told. The function may be nil.
	KeyFile func(name string, private bool) error
}

// Link is an interface of the host.
type Link struct {
	Name      string
	MTU       int
	Addresses []netip.Prefix // not masked
}

// Route is a route of the host.
type Route struct {
	Prefix netip.Prefix
	Link   string
	Metric int
}

// Check finds what is wrong with a file's text, in the order of its lines. The
// name is for the findings. The host may be nil.
func Check(file string, text []byte, now time.Time, h *Host) []Finding {
	l := linter{file: file, text: text, now: now, host: h}
	c, warnings, err := conf.Parse(file, text, conf.WGQuick)
	l.found = append(OfError(RuleSyntax, err), OfWarnings(RuleParse, warnings)...)
	if err == nil {
		defer c.Erase()
		l.c = c
		for _, r := range rules {
			l.rule = r.name
			r.check(&l)
		}
	}
	slices.SortStableFunc(l.found, func(a, b Finding) int { return cmp.Compare(a.Line, b.Line) })
	return l.found
}

// OfError makes findings of what [conf.Parse] or [conf.Read] refuses.
func OfError(rule string, err error) (all []Finding) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			all = append(all, OfError(rule, e)...)
		}
		return all
	}
	if e := (*conf.Error)(nil); errors.As(err, &e) {
		return []Finding{finding(Error, rule, *e)}
	}
	if err != nil {
		return []Finding{{Severity: Error, Rule: rule, Message: err.Error()}}
	}
	return nil
}

// OfWarnings makes findings of what they warn of.
func OfWarnings(rule string, warnings []conf.Warning) (all []Finding) {
	for _, w := range warnings {
		all = append(all, finding(Warning, rule, conf.Error(w)))
	}
	return all
}

func finding(s Severity, rule string, e conf.Error) Finding {
	return Finding{Severity: s, Rule: rule, File: e.File, Line: e.Line, Key: e.Key, Value: e.Value, Message: e.Message, Hint: e.Hint}
}

// Refused says whether one of the findings is an error.
func Refused(all []Finding) bool {
	return slices.ContainsFunc(all, func(f Finding) bool { return f.Severity == Error })
}

// rules are all, in the order in which they look.
var rules = []struct {
	name  string
	check func(*linter)
}{
	{"private-key", (*linter).privateKey},
	{"key-file", (*linter).keyFiles},
	{"listen-port", (*linter).listenPort},
	{"save-config", (*linter).saveConfig},
	{"hooks", (*linter).hooks},
	{"dns-outside", (*linter).dnsOutside},
	{"mtu", (*linter).mtu},
	{"address-taken", (*linter).addressTaken},
	{"masquerade", (*linter).masquerade},
	{"no-allowed-ips", (*linter).noAllowedIPs},
	{"own-address", (*linter).ownAddress},
	{"endpoint-inside", (*linter).endpointInside},
	{"route-taken", (*linter).routeTaken},
	{"ipv6-outside", (*linter).sixOutside},
	{"name-twice", (*linter).nameTwice},
	{"expired", (*linter).expired},
}

// linter is one look at one file.
type linter struct {
	file string
	text []byte
	now  time.Time
	host *Host
	c    *conf.Config

	rule  string // that looks
	found []Finding
}

func (l *linter) add(s Severity, line int, key, value, message, hint string) {
	l.found = append(l.found, Finding{Severity: s, Rule: l.rule, File: l.file, Line: line, Key: key, Value: value, Message: message, Hint: hint})
}

func (l *linter) warn(line int, key, value, message, hint string) {
	l.add(Warning, line, key, value, message, hint)
}

// warned says whether a warning of that key is there already.
func (l *linter) warned(key string) bool {
	return slices.ContainsFunc(l.found, func(f Finding) bool { return f.Key == key })
}
