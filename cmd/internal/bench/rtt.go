//go:build linux

package main

import (
	"time"

	"vpn/cmd/internal/testnet"
)

// pingInterval is the time from one reply to the next request.
const pingInterval = 10 * time.Millisecond

// benchRTT pings through a pair that does nothing else, and looks at its memory.
func benchRTT(tb testnet.TB, s *settings, kind testnet.Kind, r *report) {
	p := testnet.NewPair(tb, kind, kind, 0, false)
	p.A.MustPing(p.B.Inner4)
	addRTT(tb, r, kind, pingFor(tb, p, s.seconds), rttIdle, rttIdleTail)
	r.add(tb, kind, memoryIdle, max(megabytes(tb, p.A.Daemon, "VmRSS"), megabytes(tb, p.B.Daemon, "VmRSS")))
}

// pingFor sends one request after another and returns the round-trip times in
// milliseconds. A request without a reply in a second is left out: it is not a
// time.
func pingFor(tb testnet.TB, p *testnet.Pair, d time.Duration) (rtt []float64) {
	tb.Helper()
	pinger := p.A.NewPinger(p.B.Inner4, 16)
	for end := time.Now().Add(d); time.Now().Before(end); <-time.After(pingInterval) {
		begin := time.Now()
		seq, err := pinger.Send()
		if err != nil {
			tb.Fatalf("echo request: %v", err)
		}
		if pinger.Receive(seq, time.Second) {
			rtt = append(rtt, time.Since(begin).Seconds()*1e3)
		}
	}
	if len(rtt) == 0 {
		tb.Fatalf("no reply to any ping in %v", d)
	}
	return rtt
}

func addRTT(tb testnet.TB, r *report, kind testnet.Kind, rtt []float64, middle, tail figure) {
	tb.Helper()
	r.add(tb, kind, middle, percentile(rtt, 50))
	r.add(tb, kind, tail, percentile(rtt, 99))
}
