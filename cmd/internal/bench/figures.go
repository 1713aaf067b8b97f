//go:build linux

package main

import (
	"fmt"
	"strconv"
)

// figure is one thing that is measured. It is comparable: equal figures are one
// row of the report.
type figure struct {
	Name, Unit string
	Higher     bool // the more the better
	Goal       goal
}

// goal is what the project wants of a figure: against the reference, or
// absolute, in the figure's unit. Zero is none.
type goal struct{ Ratio, Value float64 }

// The figures, with the project's goals.
var (
	tcpOne      = figure{"TCP, one stream", "Gbit/s", true, goal{Ratio: 2.5}}
	tcpFour     = figure{"TCP, four streams", "Gbit/s", true, goal{}}
	tcpOneBoth  = figure{"TCP, one stream each way", "Gbit/s", true, goal{}}
	tcpFourBoth = figure{"TCP, four streams each way", "Gbit/s", true, goal{}}
	tcpCPU      = figure{"CPU time per GB", "s", false, goal{Ratio: 0.4}}
	memoryIdle  = figure{"memory, idle", "MB", false, goal{}}
	memoryBusy  = figure{"memory, under load", "MB", false, goal{Value: 25}}

	rttIdle     = figure{"RTT, idle", "ms", false, goal{Ratio: 0.8}}
	rttIdleTail = figure{"RTT, idle, 99th percentile", "ms", false, goal{}}
	rttBusy     = figure{"RTT beside a TCP stream", "ms", false, goal{Ratio: 0.15}}
	rttBusyTail = figure{"RTT beside a TCP stream, 99th percentile", "ms", false, goal{}}

	handshakeRate = figure{"handshakes answered by one processor", "1/s", true, goal{Ratio: 1.7}}
	handshakeCPU  = figure{"CPU time per 1,000 handshakes answered", "s", false, goal{}}

	floodAlone  = figure{"TCP before a flood", "Gbit/s", true, goal{}}
	floodCPU    = figure{"CPU time per forged initiation", "µs", false, goal{}}
	floodMemory = figure{"memory, under a flood", "MB", false, goal{}}

	startTime = figure{"start to first answered ping", "ms", false, goal{}}

	upSplit = figure{"up to first answered ping, one network", "ms", false, goal{Ratio: 1. / 3}}
	upFull  = figure{"up to first answered ping, everything", "ms", false, goal{Ratio: 1. / 3}}
)

// upRoutes is the time of "up" with many peers that have a route each.
func upRoutes(count int) figure {
	goals := map[int]goal{10_000: {Value: 3}}
	return figure{"up, " + thousands(count) + " peers with a route each", "s", false, goals[count]}
}

// udpRate is the highest rate of UDP packets of which less than lossLimit is lost.
func udpRate(size int) figure {
	goals := map[int]goal{64: {Ratio: 6}, 1300: {Ratio: 4}}
	return figure{fmt.Sprintf("UDP, %s bytes", thousands(size)), "1,000/s", true, goals[size]}
}

// udpCPU is the CPU time of a UDP packet at fixedRate.
func udpCPU(size int) figure {
	return figure{fmt.Sprintf("CPU time per UDP packet, %s bytes", thousands(size)), "µs", false, goal{}}
}

// floodKept is how much of a TCP stream is left beside forged initiations, floodMachine the same where they come to a port that nobody
// reads: what sending and carrying them takes from the machine.
func floodKept(rate int) figure {
	return figure{"TCP kept beside " + thousands(rate) + " forged initiations/s", "%", true, goal{Value: 80}}
}

func floodMachine(rate int) figure {
	return figure{"TCP kept beside " + thousands(rate) + "/s at another port", "%", true, goal{}}
}

func peersTime(count int) figure {
	goals := map[int]goal{20_000: {Value: 1}}
	return figure{thousands(count) + " peers, time to set", "s", false, goals[count]}
}

func peersMemory(count int) figure {
	goals := map[int]goal{1_000_000: {Value: 1200}}
	return figure{thousands(count) + " peers, memory", "MB", false, goals[count]}
}

func peersPeak(count int) figure {
	goals := map[int]goal{1_000_000: {Value: 2000}}
	return figure{thousands(count) + " peers, peak while set", "MB", false, goals[count]}
}

func peerMemory(count int) figure {
	want := goal{Value: 1}
	if count < 20_000 {
		want = goal{} // so few that the rest of the program's memory blurs it
	}
	return figure{thousands(count) + " peers, memory of each", "kB", false, want}
}

func dumpTime(count int) figure {
	return figure{thousands(count) + " peers, time of show dump", "s", false, goal{}}
}

// goalText says the goal as the tables do.
func (f figure) goalText() string {
	sign := "≤ "
	if f.Higher {
		sign = "≥ "
	}
	switch {
	case f.Goal.Ratio != 0:
		return sign + short(f.Goal.Ratio) + " ×"
	case f.Goal.Value != 0:
		return sign + short(f.Goal.Value) + " " + f.Unit
	}
	return ""
}

// met says whether a value, and its ratio to the reference's, reach the goal.
// Without a goal, or without a ratio where it is one, ok is false.
func (f figure) met(value, ratio float64) (met, ok bool) {
	got, want := value, f.Goal.Value
	if f.Goal.Ratio != 0 {
		got, want = ratio, f.Goal.Ratio
	}
	if want == 0 || got == 0 {
		return false, false
	}
	return got == want || got > want == f.Higher, true
}

// gain turns a ratio into how many times better it is, 0 if there is none.
func (f figure) gain(ratio float64) float64 {
	if f.Higher || ratio == 0 {
		return ratio
	}
	return 1 / ratio
}

// short formats a number with three digits, and none after the point that says
// nothing.
func short(x float64) string {
	switch {
	case x == 0:
		return "–"
	case x >= 1000:
		return thousands(int(x + 0.5))
	}
	text := strconv.FormatFloat(x, 'g', 3, 64)
	if plain, err := strconv.ParseFloat(text, 64); err == nil {
		return strconv.FormatFloat(plain, 'f', -1, 64)
	}
	return text
}

// thousands formats a count as in 1,000,000.
func thousands(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
