// Package status draws interfaces for people, and as JSON for programs.
package status

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"vpn/cmd/internal/report"
)

// Interface is one interface with its peers, as asked for once.
type Interface struct {
	*report.Interface
	Peers []report.Peer
}

// A painter writes with ANSI escapes, or without.
type painter struct {
	w      io.Writer
	colour bool
	err    error
}

// Paint is the escape sequence that begins a colour.
type Paint string

const (
	bold   Paint = "\x1b[1m"
	dim    Paint = "\x1b[2m"
	red    Paint = "\x1b[31m"
	green  Paint = "\x1b[32m"
	yellow Paint = "\x1b[33m"
	cyan   Paint = "\x1b[36m"
	reset        = "\x1b[0m"
)

// On returns text in that colour.
func (c Paint) On(text string) string { return string(c) + text + reset }

func (p *painter) in(c Paint, text string) string {
	if !p.colour {
		return text
	}
	return c.On(text)
}

func (p *painter) line(text string) {
	if p.err == nil {
		_, p.err = io.WriteString(p.w, strings.TrimRight(text, " ")+"\n")
	}
}

const (
	width  = 80
	indent = "    "
	column = 11 // where values begin, behind the indent
)

// entry writes a value behind its label, on as many lines as it takes; parts are not broken.
func (p *painter) entry(label, between string, parts ...string) {
	if len(parts) == 0 {
		return
	}
	room := width - len(indent) - column
	line, used := "", 0
	first := true
	flush := func() {
		head := strings.Repeat(" ", column)
		if first {
			head = p.in(dim, label) + strings.Repeat(" ", max(column-len(label), 1))
			first = false
		}
		p.line(indent + head + line)
		line, used = "", 0
	}
	for n, part := range parts {
		if n < len(parts)-1 {
			part += between
		}
		if used > 0 && used+1+len(part) > room {
			flush()
		}
		if used > 0 {
			line, used = line+" ", used+1
		}
		line, used = line+part, used+len(part)
	}
	flush()
}

// Draw writes interfaces for people.
func Draw(w io.Writer, is []Interface, colour bool) error {
	p := &painter{w: w, colour: colour}
	for n := range is {
		if n > 0 {
			p.line("")
		}
		p.drawInterface(&is[n])
	}
	return p.err
}

// Condition says how an interface is, and in which colour that is written.
func Condition(i *report.Interface) (text string, c Paint) {
	text, how := i.Condition()
	return text, map[report.Health]Paint{report.Well: green, report.Strained: yellow, report.Ill: red}[how]
}

func (p *painter) drawInterface(i *Interface) {
	state, c := Condition(i.Interface)
	head := p.in(bold, i.Name) + "  " + p.in(c, state)
	if i.ListenPort != 0 {
		head += fmt.Sprintf("  port %d", i.ListenPort)
	}
	if i.FwMark != 0 {
		head += fmt.Sprintf("  mark %#x", i.FwMark)
	}
	p.line(head)
	if !i.PublicKey.IsZero() {
		p.entry("public key", "", i.PublicKey.String())
	}
	p.entry("run by", ",", runBy(i)...)
	p.entry("dropped", ",", drops(i.Now, i.Drops)...)
	for _, fault := range i.Faults {
		p.entry("trouble", "", strings.Fields(fault)...)
	}
	for n := range i.Peers {
		p.line("")
		p.drawPeer(i, &i.Peers[n])
	}
	if len(i.Peers) == 0 && i.PeerCount == 0 {
		p.entry("peers", "", "none")
	}
}

func runBy(i *Interface) []string {
	who := map[string]string{
		report.EngineVPN: "vpn", report.EngineKernel: "the kernel", report.EngineOther: "another program, which tells little",
	}[i.Engine]
	parts := []string{who}
	if i.PID != 0 {
		parts[0] += fmt.Sprintf(" (process %d)", i.PID)
	}
	if !i.Since.IsZero() {
		parts = append(parts, "for "+report.Span(i.Now.Sub(i.Since)))
	}
	if i.File != "" {
		parts = append(parts, "as "+i.File+" says")
	}
	return parts
}

// Colours are those that states are written in.
var Colours = map[report.State]Paint{
	report.Up: green, report.Idle: cyan, report.Waiting: cyan, report.Never: yellow, report.Handshake: yellow,
	report.Silent: red, report.Unresolved: red, report.Off: red,
}

func (p *painter) drawPeer(i *Interface, peer *report.Peer) {
	v := report.Judge(i.Interface, peer)
	p.line("  " + p.in(bold, peer.Title()) + "  " + p.in(Colours[v.State], v.Text))
	for _, e := range Details(i.Interface, peer) {
		p.entry(e.Label, e.Between, e.Parts...)
	}
}

// Entry is what is told of a peer under one label. Between goes between two parts, and then a space.
type Entry struct {
	Label, Between string
	Parts          []string
}

// Details is what is told of a peer below its name and verdict.
func Details(i *report.Interface, peer *report.Peer) (all []Entry) {
	if peer.Name != "" {
		all = append(all, Entry{"key", "", []string{peer.PublicKey.String()}})
	}
	for _, e := range []Entry{
		{"endpoint", ",", endpoint(peer)},
		{"allowed", ",", prefixes(peer.AllowedIPs)},
		{"handshake", ",", handshake(i, peer)},
		{"traffic", ",", traffic(peer)},
		{"dropped", ",", drops(i.Now, peer.Drops)},
	} {
		if len(e.Parts) > 0 {
			all = append(all, e)
		}
	}
	return all
}

var origins = map[report.Origin]string{
	report.OriginSet: "set by hand", report.OriginFile: "from the file", report.OriginCandidate: "the candidate that answered",
	report.OriginRoamed: "it roamed there", report.OriginCache: "where it was last",
}

func endpoint(p *report.Peer) []string {
	var parts []string
	switch {
	case p.Endpoint.IsValid() && p.EndpointFrom == report.OriginName:
		parts = append(parts, p.Endpoint.String(), p.Configured)
	case p.Endpoint.IsValid():
		parts = append(parts, p.Endpoint.String())
		if text := origins[p.EndpointFrom]; text != "" {
			parts = append(parts, text)
		}
	case p.Configured != "":
		parts = append(parts, p.Configured)
	default:
		return nil
	}
	if p.LookupError != "" {
		parts = append(parts, "its name does not resolve: "+p.LookupError)
	}
	if p.Source.IsValid() {
		parts = append(parts, "reached from "+p.Source.String())
	}
	return parts
}

// maxPrefixes is how many of a peer's prefixes are listed.
const maxPrefixes = 16

func prefixes(all []netip.Prefix) []string {
	if len(all) == 0 {
		return []string{"none: no packet can go there"}
	}
	var parts []string
	for n, prefix := range all {
		if n == maxPrefixes {
			return append(parts, fmt.Sprintf("and %d more", len(all)-n))
		}
		parts = append(parts, prefix.String())
	}
	return parts
}

func handshake(i *report.Interface, p *report.Peer) []string {
	if p.LatestHandshake.IsZero() && p.Attempt == nil {
		return nil
	}
	var parts []string
	if !p.LatestHandshake.IsZero() {
		parts = append(parts, report.Span(i.Now.Sub(p.LatestHandshake))+" ago")
	}
	if s := p.Current(); s != nil {
		parts = append(parts, "session "+s.Name)
		switch {
		case s.ReplacedAt.IsZero():
			parts = append(parts, "which the peer replaces", "ends in "+report.Span(s.Expires.Sub(i.Now)))
		case s.ReplacedAt.After(i.Now):
			parts = append(parts, "replaced in "+report.Span(s.ReplacedAt.Sub(i.Now)))
		default:
			parts = append(parts, "replaced when something is sent")
		}
	}
	if a := p.Attempt; a != nil {
		text := "shaking hands"
		if a.Unanswered > 0 {
			text = fmt.Sprintf("%d initiations without an answer", a.Unanswered+1)
		}
		if next := a.Next.Sub(i.Now); next > 0 {
			text += ", the next in " + report.Span(next)
		}
		parts = append(parts, text)
	}
	if p.Keepalive != 0 {
		parts = append(parts, fmt.Sprintf("keepalive every %d s", p.Keepalive))
	}
	return parts
}

func traffic(p *report.Peer) []string {
	if p.RxBytes == 0 && p.TxBytes == 0 {
		return nil
	}
	var parts []string
	if p.RxRate != nil && p.TxRate != nil {
		parts = append(parts, report.Rate(*p.RxRate)+" in", report.Rate(*p.TxRate)+" out")
	}
	return append(parts, report.Bytes(p.RxBytes)+" received in all", report.Bytes(p.TxBytes)+" sent")
}

// drops lists reasons, the most frequent first.
func drops(now time.Time, all []report.Drop) (parts []string) {
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, func(a, b report.Drop) int {
		switch {
		case a.Count > b.Count:
			return -1
		case a.Count < b.Count:
			return 1
		}
		return 0
	})
	for _, d := range sorted {
		text := fmt.Sprintf("%d %s", d.Count, strings.ReplaceAll(d.Reason, "_", " "))
		if !d.Last.IsZero() {
			text += " (" + report.Span(max(now.Sub(d.Last), 0)) + " ago)"
		}
		parts = append(parts, text)
	}
	return parts
}
