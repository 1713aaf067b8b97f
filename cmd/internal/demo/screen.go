package demo

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"
)

const (
	redrawInterval = 100 * time.Millisecond
	barWidth       = 40
)

// screen shows a run to a person. It belongs to one goroutine.
type screen struct {
	w        io.Writer
	terminal bool
	style    style

	size    int64 // of the file that is being fetched; 0: there is no bar
	bar     bool  // the last line is the bar
	quarter int64 // of the file were told, where there is no terminal
}

// style is how things look.
type style struct{ colour, unicode bool }

func (s style) paint(code, text string) string {
	if !s.colour || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s style) bold(text string) string  { return s.paint("1", text) }
func (s style) dim(text string) string   { return s.paint("2", text) }
func (s style) green(text string) string { return s.paint("32", text) }
func (s style) cyan(text string) string  { return s.paint("36", text) }

// sign picks one of two ways to write something.
func (s style) sign(unicode, ascii string) string {
	if s.unicode {
		return unicode
	}
	return ascii
}

func newScreen(o Options) *screen {
	if o.JSON {
		return &screen{w: io.Discard}
	}
	return &screen{w: o.Out, terminal: o.Terminal, style: style{o.Colour, o.Unicode}}
}

// line prints one line above the bar, which comes back with the next progress.
func (s *screen) line(format string, args ...any) {
	s.clear()
	fmt.Fprintf(s.w, format+"\n", args...)
}

// clear takes the bar away.
func (s *screen) clear() {
	if s.bar {
		fmt.Fprint(s.w, "\r\x1b[K")
		s.bar = false
	}
}

func (s *screen) heading(n int, format string, args ...any) {
	s.line("")
	s.line("%s", s.style.bold(fmt.Sprintf("%d. ", n)+fmt.Sprintf(format, args...)))
	s.line("")
}

func (s *screen) title(lines []string) {
	for _, l := range lines {
		s.line("%s", l)
	}
}

func (s *screen) configs(folder string, files ...*configFile) {
	s.heading(1, "Two config files")
	s.line("   In %s, for you alone (0600), until the end:", folder)
	for _, f := range files {
		s.line("")
		s.line("   %s", s.style.cyan(filepath.Base(f.path)))
		for _, l := range f.shown {
			s.line("%s", strings.TrimRight("     "+s.configLine(l), " "))
		}
	}
	s.line("")
	s.line("   Lines with #vpn: are this program's own, and comments to wg-quick. Each file")
	s.line("   was read back, checked, and given to its engine over a control socket, in")
	s.line("   the text protocol that wg speaks.")
}

// configLine dims what stands for a secret.
func (s *screen) configLine(l string) string {
	if before, ok := strings.CutSuffix(l, hidden); ok {
		return before + s.style.dim(hidden)
	}
	return l
}

func (s *screen) download(address string, p *plan) {
	s.heading(2, "A download while the keys change")
	s.line("   GET %s at an even %s/s: %s of random bytes.", address+pathPaced, mib(p.rate), mib(float64(p.size)))
	s.line("")
	s.line("   client.conf wants new session keys after %s packets, which come in about", count(p.limit))
	s.line("   %.0f s. WireGuard leaves at least 5 s between two handshakes, so there are new", p.timeToLimit().Seconds())
	s.line("   keys every 5 s or a little more. A session that is replaced still receives")
	s.line("   for a while what is under way; then its keys are erased. Sessions go by")
	s.line("   random names:")
	s.line("")
}

// timeToLimit is how long it takes until the packet limit is passed.
func (p *plan) timeToLimit() time.Duration {
	const payload = 1367 // bytes of the file in a full packet; TCP's has one more
	return time.Duration(float64(p.limit) * payload / p.rate * float64(time.Second))
}

// change shows the beginning or the end of a session. The limit is in packets.
func (s *screen) change(c change, limit uint64) {
	at := seconds(c.at)
	if c.Why != "" {
		s.line("%s", s.style.dim(fmt.Sprintf("%s  - %s  %s after %.1f s, %s packets: keys erased",
			at, c.Name, c.Why, c.Ended-c.Began, count(c.Sent+c.Received))))
		return
	}
	what := "first handshake: the tunnel is there"
	if c.before != "" {
		what = fmt.Sprintf("new keys: %s has passed %s packets", c.before, count(limit))
	}
	s.line("%s  %s %s  %s", at, s.style.green("+"), s.style.bold(c.Name), what)
}

// begin starts the bar for a file of that size.
func (s *screen) begin(size int64) { s.size, s.quarter = size, 0 }

// progress shows how much of the file has arrived: on a terminal now, elsewhere a
// line for each quarter.
func (s *screen) progress(since time.Duration, passed uint64) {
	if s.size == 0 {
		return
	}
	share := min(float64(passed)/float64(s.size), 1)
	of := fmt.Sprintf("%4.1f of %s", float64(passed)/(1<<20), mib(float64(s.size)))
	if s.terminal {
		fmt.Fprintf(s.w, "\r%s  %s  %s\x1b[K", seconds(since.Seconds()), s.style.bar(share, barWidth), of)
		s.bar = true
		return
	}
	if q := int64(share * 4); q > s.quarter {
		s.quarter = q
		s.line("%s    %d %%, %s", seconds(since.Seconds()), q*25, strings.TrimSpace(of))
	}
}

// bar is a bar of that many columns, a share of them full.
func (s style) bar(share float64, columns int) string {
	full := int(share * float64(columns))
	return s.cyan(strings.Repeat(s.sign("━", "#"), full)) + s.dim(strings.Repeat(s.sign("─", "."), columns-full))
}

func (s *screen) again(rekeys, want int) {
	s.line("   Keys were replaced %d times so far; once more, until it is %d times.", rekeys, want)
}

// fetched ends the bar.
func (s *screen) fetched(r *Report) {
	s.clear()
	s.size = 0
	s.line("")
	verdict := s.style.green("the file's own")
	if !r.Match {
		verdict = "NOT the file's"
	}
	s.line("   %s in %.1f s. The SHA-256 of what arrived is %s:", mib(float64(r.Bytes)), r.Seconds, verdict)
	s.line("   %s", s.style.dim(r.Checksum))
	d := r.Datagrams
	s.line("   Beside it went %s numbered datagrams: %s arrived, %s.", count(d.Sent), count(d.Received), inOrder(d))
}

func inOrder(d Datagrams) string {
	if d.InOrder {
		return "in order"
	}
	return "NOT in order"
}

func (s *screen) burst(d time.Duration) {
	s.heading(3, "As fast as it goes, for %.0f s", d.Seconds())
}

func (s *screen) bursted(r *Report) {
	s.line("   %s: %s, both ends and their programs on this one machine.", mib(float64(r.BurstBytes)), s.style.bold(mbps(r.Mbps)))
}

// closing begins the end.
func (s *screen) closing() { s.heading(4, "Both ends are closed") }

// end is the last line.
func (s *screen) end() { s.line("%s", s.style.green("demo: ok")) }
