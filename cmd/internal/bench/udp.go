//go:build linux

package main

import (
	"vpn/cmd/internal/testnet"
)

var udpSizes = []int{64, 512, 1300}

const (
	lossLimit = 0.01 // of the packets: "less than 1 %"
	fixedRate = 10_000

	firstRate  = 4_000     // where a search begins
	lastRate   = 8_000_000 // and the most it tries
	leastRate  = 250
	bisections = 5   // the result is exact to 1/2^5, 3 %
	behind     = 0.9 // of a rate, which the generator falls short of at its own limit
)

// benchUDP looks for the highest rates that a pair carries, and for the CPU time
// of a packet at a rate that every daemon carries.
func benchUDP(tb testnet.TB, s *settings, kind testnet.Kind, r *report) {
	s.noteGenerator(tb, r)
	p := testnet.NewPair(tb, kind, kind, 0, false)
	p.A.MustPing(p.B.Inner4)
	g := newGun(tb, p.A.Host, p.B.Host, p.B.Inner4)
	for _, size := range udpSizes {
		g.shoot(size, firstRate, s.probe) // whatever grows or is made at the first packets
		rate := highest(func(rate int) shot { return g.shoot(size, rate, s.probe) })
		if rate == 0 {
			tb.Fatalf("%d bytes: %v of the packets or more is lost at any rate", size, lossLimit)
		}
		r.add(tb, kind, udpRate(size), rate/1e3)
	}
	for _, size := range udpSizes {
		cpu := cpuSeconds(tb, p.A.Daemon, p.B.Daemon)
		fixed := g.shoot(size, fixedRate, s.seconds)
		cpu = cpuSeconds(tb, p.A.Daemon, p.B.Daemon) - cpu
		if fixed.Loss > lossLimit {
			r.note("%s lost %.1f %% of UDP packets of %d bytes at %s a second.", kind, 100*fixed.Loss, size, thousands(fixedRate))
		}
		r.add(tb, kind, udpCPU(size), cpu*1e6/float64(fixed.Sent))
	}
}

// highest returns the highest rate, as really offered, of which less than
// lossLimit is lost, or 0. It doubles the rate until too much is lost, and then
// narrows the gap. A rate fails if it does twice: once may be anything. So it is
// with a rate that the generator falls short of, which ends the search.
func highest(shoot func(rate int) shot) (best float64) {
	passes := func(rate int) (ok, more bool) {
		short := false
		for range 2 {
			x := shoot(rate)
			if x.Loss >= lossLimit {
				continue
			}
			best = max(best, x.Rate)
			if x.Rate >= behind*float64(rate) {
				return true, true
			}
			short = true
		}
		return short, !short
	}
	low, high := 0, firstRate
	for high <= lastRate {
		ok, more := passes(high)
		if !more {
			return best
		}
		if !ok {
			break
		}
		low, high = high, 2*high
	}
	for low == 0 && high > leastRate {
		if ok, _ := passes(high / 2); ok {
			low = high / 2
		} else {
			high /= 2
		}
	}
	if low == 0 {
		return 0
	}
	for range bisections {
		middle := (low + high) / 2
		if ok, _ := passes(middle); ok {
			low = middle
		} else {
			high = middle
		}
	}
	return best
}

// noteGenerator says what the generator alone reaches on the same hosts, without
// a tunnel: it must not be what limits the others.
func (s *settings) noteGenerator(tb testnet.TB, r *report) {
	if s.generatorNoted {
		return
	}
	s.generatorNoted = true
	p := testnet.NewHosts(tb, 0)
	g := newGun(tb, p.A.Host, p.B.Host, p.B.Outer4)
	for _, size := range udpSizes {
		g.shoot(size, firstRate, s.probe)
		rate := highest(func(rate int) shot { return g.shoot(size, rate, s.probe) })
		r.note("Without a tunnel the UDP generator reaches %s packets of %s bytes a second.", thousands(int(rate)), thousands(size))
	}
}
