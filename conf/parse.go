package conf

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"
)

type seconds = Setting[time.Duration]

// Parse gives a file its meaning. The name is for errors: they name the file as
// the user does. The text stays the caller's, who may erase it when Parse is
// done; the keys in the Config are the caller's to erase.
//
// The error is one [Error], or several joined in the order of their lines.
// Warnings are returned beside an error too.
func Parse(name string, text []byte, d Dialect) (*Config, []Warning, error) {
	p := parser{file: name, dialect: d, config: new(Config)}
	if wrong := unreadable(text); wrong.message != "" {
		return nil, nil, &Error{File: name, Message: wrong.message, Hint: wrong.hint}
	}
	for l := range scan(text) {
		p.line(l)
		if len(p.errs) >= maxErrors {
			break
		}
	}
	if len(p.errs) == 0 {
		p.checkWhole()
	}
	if len(p.errs) > 0 {
		p.config.Erase()
		return nil, p.warnings, errors.Join(p.errs...)
	}
	return p.config, p.warnings, nil
}

// maxErrors is where a file is taken for something else altogether.
const maxErrors = 50

// unreadable says why a text can't be a file of this format at all.
func unreadable(text []byte) problem {
	const hint = "save it as UTF-8"
	switch {
	case bytes.HasPrefix(text, []byte("\xff\xfe")), bytes.HasPrefix(text, []byte("\xfe\xff")):
		return problem{"the file is in UTF-16", hint}
	case bytes.IndexByte(text, 0) >= 0:
		return bad("the file has a zero byte in it: it is not text")
	}
	return problem{}
}

// place is the section that a line stands in.
type place uint8

const (
	nowhere place = iota // before the first
	inInterface
	inPeer
	unknown // in one that was complained of already
)

func (in place) String() string {
	return [...]string{nowhere: "no section", inInterface: "[Interface]", inPeer: "[Peer]"}[in]
}

type parser struct {
	file     string
	dialect  Dialect
	config   *Config
	in       place
	errs     []error
	warnings []Warning
}

func (p *parser) iface() *Interface { return &p.config.Interface }

func (p *parser) peer() *Peer { return &p.config.Peers[len(p.config.Peers)-1] }

// value is what a field is given.
type value struct {
	line  int
	field string // its documented name
	text  []byte // never empty
}

func (p *parser) fail(line int, key, val, message, hint string) {
	p.errs = append(p.errs, &Error{File: p.file, Line: line, Key: key, Value: val, Message: message, Hint: hint})
}

func (p *parser) warn(line int, key, val, message, hint string) {
	p.warnings = append(p.warnings, Warning{File: p.file, Line: line, Key: key, Value: val, Message: message, Hint: hint})
}

// refused reports what is wrong with a value, if anything is.
func (p *parser) refused(v value, item string, wrong problem) bool {
	if wrong.message == "" {
		return false
	}
	p.fail(v.line, v.field, shown(item), wrong.message, wrong.hint)
	return true
}

// again warns of a setting that is given a second time.
func (p *parser) again(v value, given bool, line int) {
	if given {
		p.warn(v.line, v.field, "", fmt.Sprintf("already given in line %d: the later one wins", line), "take one of the two out")
	}
}

func (p *parser) line(l line) {
	if p.in == unknown && l.kind != section {
		return
	}
	switch l.kind {
	case section:
		p.section(l)
	case setting:
		p.setting(l)
	case directive:
		p.directive(l)
	case friendly:
		p.friendlyName(l)
	case nearMiss:
		p.fail(l.number, string(l.name), "", "a comment that looks like a directive", p.spelling(string(l.name)))
	case malformed:
		p.fail(l.number, "", "", "neither [section] nor Key = value", "")
	}
	if len(l.after) > 0 {
		switch k, name, _ := classifyComment(l.after); k {
		case directive, nearMiss:
			p.fail(l.number, shownName(name), "", "a directive after a setting would not be read", "give it a line of its own")
		}
	}
}

// spelling says how a directive is written.
func (*parser) spelling(name string) string {
	return "a directive is written `#vpn: " + name + " = value`; put a second # before it to keep it as a comment"
}

// sectionOf says which section a header begins.
func sectionOf(l line) place {
	switch strings.ToLower(squeeze(string(l.name))) {
	case "interface":
		return inInterface
	case "peer":
		return inPeer
	}
	return unknown
}

func (p *parser) section(l line) {
	p.in = sectionOf(l)
	switch p.in {
	case inInterface:
		if first := p.iface().Line; first != 0 {
			p.warn(l.number, "[Interface]", "", fmt.Sprintf("goes on from line %d: of what both give, the later one wins", first), "one [Interface] is enough")
			return
		}
		p.iface().Line = l.number
	case inPeer:
		p.config.Peers = append(p.config.Peers, Peer{Line: l.number})
	default:
		key := ""
		if name := shownName(l.name); name != "" {
			key = "[" + name + "]"
		}
		p.fail(l.number, key, "", "no such section", "there are [Interface] and [Peer]")
	}
}

func (p *parser) setting(l line) {
	var fields map[string]field
	switch p.in {
	case nowhere:
		p.fail(l.number, shownName(l.name), "", "stands before the first section", "a file begins with [Interface]")
		return
	case inInterface:
		fields = interfaceSettings
	default:
		fields = peerSettings
	}
	f, ok := lookup(fields, l.name)
	if !ok {
		p.fail(l.number, shownName(l.name), "", "no such setting in "+p.in.String(), p.instead(l.name, fields))
		return
	}
	if f.quick && p.dialect == WG {
		p.fail(l.number, f.name, "", "not a setting that `wg setconf` takes", "it is wg-quick's: `wg-quick strip` leaves such settings out")
		return
	}
	if len(l.value) == 0 {
		p.empty(l, f)
		return
	}
	f.take(p, value{l.number, f.name, l.value})
}

// lookup finds a field. `wg` takes its names with white space anywhere,
// wg-quick does not.
func lookup(fields map[string]field, name []byte) (field, bool) {
	lower := strings.ToLower(string(name))
	f, ok := fields[lower]
	if !ok {
		f, ok = fields[squeeze(lower)]
		ok = ok && !f.quick
	}
	return f, ok
}

// empty is an error but with wg-quick's settings, where it is the same as none.
func (p *parser) empty(l line, f field) {
	switch {
	case !f.quick || f.name == "SaveConfig":
		p.fail(l.number, f.name, "", "no value", "leave the line out to have none")
	case !isHook(l.name):
		p.warn(l.number, f.name, "", "no value: the line has no effect", "give it a value, or take the line out")
	}
}

// instead says what an unknown setting may have been meant to be.
func (p *parser) instead(written []byte, fields map[string]field) string {
	name := strings.ToLower(squeeze(string(written)))
	other, section := peerSettings, inPeer
	if p.in == inPeer {
		other, section = interfaceSettings, inInterface
	}
	if f, ok := other[name]; ok {
		return f.name + " belongs in " + section.String()
	}
	if isDirective(name) {
		return "it is a directive: write it `#vpn: " + directiveName(name) + " = value`"
	}
	return didYouMean(name, fields)
}

// didYouMean names the field that is one or two slips away, if there is one.
func didYouMean(name string, fields map[string]field) string {
	const slips = 2
	best := ""
	for lower, f := range fields {
		if len(name) <= 24 && len(name) > slips && near(name, lower, slips) && (best == "" || f.name < best) {
			best = f.name
		}
	}
	if best == "" {
		return ""
	}
	return "did you mean " + best + "?"
}

func (p *parser) directive(l line) {
	name := strings.ToLower(string(l.name))
	fields, others, section := interfaceDirectives, peerDirectives, inPeer
	if p.in == inPeer {
		fields, others, section = peerDirectives, interfaceDirectives, inInterface
	}
	f, ok := fields[name]
	switch {
	case p.in == nowhere:
		p.fail(l.number, shownName(l.name), "", "a directive before the first section", "it belongs to the section that it stands in")
	case ok && len(l.value) == 0:
		p.fail(l.number, f.name, "", "a directive without a value", p.spelling(f.name))
	case ok:
		f.take(p, value{l.number, f.name, l.value})
	case isDirective(name):
		p.fail(l.number, directiveName(name), "", "no directive of "+p.in.String(), "it belongs in "+section.String())
	default:
		hint := didYouMean(name, fields)
		if hint == "" {
			hint = didYouMean(name, others)
		}
		p.fail(l.number, shownName(l.name), "", "no such directive", hint)
	}
}

// friendlyName reads a name as exporters do: in a peer's section only, and
// whatever it is.
func (p *parser) friendlyName(l line) {
	if p.in != inPeer || len(l.value) == 0 {
		return
	}
	name := plain(string(l.value))
	if s := &p.peer().Name; !s.Given || s.Value != name {
		p.again(value{l.number, "friendly_name", nil}, s.Given, s.Line)
		*s = Setting[string]{Value: name, Given: true, Line: l.number}
	}
}
