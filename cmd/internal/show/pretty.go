package show

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"vpn/tunnel/uapi"
)

// Style says how Pretty prints.
type Style struct {
	Colour   bool      // with ANSI escapes
	ShowKeys bool      // private and preshared keys themselves, not "(hidden)"
	Now      time.Time // what "ago" is counted from
}

// A paint is an ANSI escape sequence.
type paint string

const (
	reset  paint = "\x1b[0m"
	bold   paint = "\x1b[1m"
	red    paint = "\x1b[31m"
	green  paint = "\x1b[32m"
	yellow paint = "\x1b[33m"
	cyan   paint = "\x1b[36m"
)

func (s Style) paint(text string, ps ...paint) string {
	if !s.Colour {
		return text
	}
	var b strings.Builder
	for _, p := range ps {
		b.WriteString(string(p))
	}
	return b.String() + text + string(reset)
}

// Pretty appends an interface to b in the form for people. Peers come in the
// order of their latest handshake, the most recent first, and those without one
// last.
func Pretty(b *bytes.Buffer, i Interface, s Style) {
	if s.Colour {
		b.WriteString(string(reset))
	}
	s.heading(b, "interface", i.Name, green)
	if !i.PublicKey.IsZero() {
		s.entry(b, "public key", i.PublicKey.String())
	}
	if !i.PrivateKey.IsZero() {
		s.entry(b, "private key", s.secret(i.PrivateKey.Base64))
	}
	if i.ListenPort != 0 {
		s.entry(b, "listening port", decimal(i.ListenPort))
	}
	if i.FwMark != 0 {
		s.entry(b, "fwmark", mark(i.FwMark))
	}
	for _, peer := range byHandshake(i.Peers) {
		b.WriteByte('\n')
		s.peer(b, peer)
	}
}

func (s Style) peer(b *bytes.Buffer, p *uapi.Peer) {
	s.heading(b, "peer", p.PublicKey.String(), yellow)
	if !p.Preshared.IsZero() {
		s.entry(b, "preshared key", s.secret(p.Preshared.Base64))
	}
	if p.Endpoint.IsValid() {
		s.entry(b, "endpoint", endpoint(p.Endpoint))
	}
	ips := strings.ReplaceAll(prefixes(p.AllowedIPs, ", "), "/", s.paint("/", cyan))
	s.entry(b, "allowed ips", ips)
	if !p.LastHandshake.IsZero() {
		s.entry(b, "latest handshake", s.ago(p.LastHandshake))
	}
	if p.Rx != 0 || p.Tx != 0 {
		s.entry(b, "transfer", s.amount(p.Rx)+" received, "+s.amount(p.Tx)+" sent")
	}
	if p.Keepalive != 0 {
		s.entry(b, "persistent keepalive", "every "+s.span(int64(p.Keepalive)))
	}
}

func (s Style) heading(b *bytes.Buffer, label, name string, colour paint) {
	fmt.Fprintf(b, "%s: %s\n", s.paint(label, colour, bold), s.paint(name, colour))
}

func (s Style) entry(b *bytes.Buffer, label, value string) {
	fmt.Fprintf(b, "  %s: %s\n", s.paint(label, bold), value)
}

func (s Style) secret(text func() string) string {
	if s.ShowKeys {
		return text()
	}
	return "(hidden)"
}

// ago tells how long before now t was, in whole seconds.
func (s Style) ago(t time.Time) string {
	switch seconds := s.Now.Unix() - t.Unix(); {
	case seconds < 0:
		return "(" + s.paint("System clock wound backward; connection problems may ensue.", red) + ")"
	case seconds == 0:
		return "Now"
	default:
		return s.span(seconds) + " ago"
	}
}

// span writes a number of seconds, at least one, in years of 365 days and the
// smaller units; units that count nothing are left out.
func (s Style) span(seconds int64) string {
	var parts []string
	for _, unit := range []struct {
		name    string
		seconds int64
	}{{"year", 365 * 86400}, {"day", 86400}, {"hour", 3600}, {"minute", 60}, {"second", 1}} {
		n := seconds / unit.seconds
		seconds %= unit.seconds
		switch {
		case n == 1:
			parts = append(parts, "1 "+s.paint(unit.name, cyan))
		case n > 1:
			parts = append(parts, fmt.Sprint(n)+" "+s.paint(unit.name+"s", cyan))
		}
	}
	return strings.Join(parts, ", ")
}

// amount writes a number of bytes in binary units.
func (s Style) amount(n uint64) string {
	if n < 1<<10 {
		return fmt.Sprint(n) + " " + s.paint("B", cyan)
	}
	unit, scaled := "KiB", float64(n)/(1<<10)
	for _, larger := range []string{"MiB", "GiB", "TiB"} {
		if scaled < 1<<10 {
			break
		}
		unit, scaled = larger, scaled/(1<<10)
	}
	return fmt.Sprintf("%.2f ", scaled) + s.paint(unit, cyan)
}

func byHandshake(peers []uapi.Peer) []*uapi.Peer {
	sorted := make([]*uapi.Peer, len(peers))
	for i := range peers {
		sorted[i] = &peers[i]
	}
	slices.SortStableFunc(sorted, func(a, b *uapi.Peer) int {
		return b.LastHandshake.Compare(a.LastHandshake)
	})
	return sorted
}
