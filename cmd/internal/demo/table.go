package demo

import (
	"fmt"
	"strings"
)

// report shows the table of the end.
func (s *screen) report(r *Report) {
	s.line("")
	for i, row := range sessionTable(r.Sessions) {
		if i == 0 {
			row = s.style.dim(row)
		}
		s.line("   %s", row)
	}
	s.line("")
	for _, row := range summary(r) {
		s.line("   %-12s%s", row[0], row[1])
	}
	s.line("")
}

// sessionTable has a heading and a row for each session.
func sessionTable(sessions []Session) []string {
	rows := []string{fmt.Sprintf("%-11s %8s %8s  %-9s %12s %11s %10s", "session", "began", "ended", "why", "packets out", "packets in", "download")}
	for _, s := range sessions {
		rows = append(rows, fmt.Sprintf("%-11s %6.1f s %6.1f s  %-9s %12s %11s %10s",
			s.Name, s.Began, s.Ended, s.Why, count(s.Sent), count(s.Received), mib(float64(s.Bytes))))
	}
	return rows
}

// summary is what the table does not say: names and values.
func summary(r *Report) [][2]string {
	drops := "nothing"
	if len(r.Client.Drops) > 0 {
		var reasons []string
		for _, d := range r.Client.Drops {
			reasons = append(reasons, fmt.Sprintf("%s %s", d.Reason, count(d.Count)))
		}
		drops = strings.Join(reasons, ", ")
	}
	return [][2]string{
		{"handshakes", fmt.Sprintf("%d: the first, and %d that replaced keys in use", r.Handshakes, r.Rekeys)},
		{"bytes", fmt.Sprintf("%s in, %s out at the client, with all overhead", mib(float64(r.Client.Received)), mib(float64(r.Client.Sent)))},
		{"dropped", drops},
		{"speed", mbps(r.Mbps) + " in the burst"},
		{"keys left", fmt.Sprintf("%d in the memory of both ends", r.LiveKeys)},
	}
}

// seconds is a time in a column of its own.
func seconds(s float64) string { return fmt.Sprintf("%7.1f s", s) }

func mib(bytes float64) string { return fmt.Sprintf("%.1f MiB", bytes/(1<<20)) }

func mbps(n float64) string { return count(uint64(n+0.5)) + " Mbit/s" }

// count writes a number with a comma before every three digits.
func count(n uint64) string {
	digits := fmt.Sprint(n)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}
