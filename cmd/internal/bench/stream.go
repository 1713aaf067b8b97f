//go:build linux

package main

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"vpn/cmd/internal/testnet"
)

// benches are the measurements, in the order of the report.
var benches = []struct {
	name string
	run  func(tb testnet.TB, s *settings, kind testnet.Kind, r *report)
}{
	{"tcp", benchTCP},
	{"rtt", benchRTT},
	{"peers", benchPeers},
}

// benchTCP runs one TCP stream through a pair, with a ping beside it.
func benchTCP(tb testnet.TB, s *settings, kind testnet.Kind, r *report) {
	p := testnet.NewPair(tb, kind, kind, 0, false)
	p.A.MustPing(p.B.Inner4)
	stream := testnet.Dial(p.A.Host, p.B.Host, p.B.Inner4)
	flood := startFlood(stream)
	tb.Cleanup(flood.stop)
	<-time.After(s.seconds / 4) // the stream finds its speed

	begin, bytes, cpu := time.Now(), flood.received.Load(), cpuSeconds(tb, p)
	loaded := pingFor(p, s.seconds)
	took := time.Since(begin)
	bytes, cpu = flood.received.Load()-bytes, cpuSeconds(tb, p)-cpu
	resident := max(memory(tb, p.A.Daemon.PID(), "VmRSS"), memory(tb, p.B.Daemon.PID(), "VmRSS"))

	r.add(kind, tcpRate, float64(bytes)*8/1e9/took.Seconds())
	r.add(kind, tcpCPU, cpu/(float64(bytes)/1e9))
	r.add(kind, tcpMemory, resident/1e6)
	if len(loaded.RTT) > 0 {
		r.add(kind, rttLoaded, float64(loaded.Median())/1e6)
	}
}

// pingFor sends a request each 20 ms or so, and none before the last's reply.
func pingFor(p *testnet.Pair, d time.Duration) (all testnet.Pings) {
	for begin := time.Now(); time.Since(begin) < d; <-time.After(20 * time.Millisecond) {
		one := p.A.Ping(p.B.Inner4, 1, time.Second)
		all.Sent, all.Received, all.RTT = all.Sent+1, all.Received+one.Received, append(all.RTT, one.RTT...)
	}
	return all
}

// benchRTT pings through a pair that does nothing else.
func benchRTT(tb testnet.TB, s *settings, kind testnet.Kind, r *report) {
	p := testnet.NewPair(tb, kind, kind, 0, false)
	p.A.MustPing(p.B.Inner4)
	r.add(kind, rttIdle, float64(pingFor(p, s.seconds/2).Median())/1e6)
}

// flood is a TCP stream that never ends.
type flood struct {
	stream   *testnet.Stream
	received atomic.Int64
	ended    chan struct{}
}

func startFlood(s *testnet.Stream) *flood {
	f := &flood{stream: s, ended: make(chan struct{}, 2)}
	go func() {
		block := make([]byte, 128<<10)
		for {
			if _, err := s.From.Write(block); err != nil {
				break // closed by stop
			}
		}
		f.ended <- struct{}{}
	}()
	go func() {
		block := make([]byte, 256<<10)
		for {
			n, err := s.To.Read(block)
			f.received.Add(int64(n))
			if err != nil {
				break // closed by stop
			}
		}
		f.ended <- struct{}{}
	}()
	return f
}

func (f *flood) stop() {
	f.stream.Close()
	<-f.ended
	<-f.ended
}

// clockTicks is the unit of times in /proc/PID/stat: USER_HZ, 100 everywhere.
const clockTicks = 100

// cpuSeconds returns what both daemons have used, in user and system mode.
func cpuSeconds(tb testnet.TB, p *testnet.Pair) (sum float64) {
	for _, side := range []*testnet.Side{p.A, p.B} {
		text, err := os.ReadFile("/proc/" + strconv.Itoa(side.Daemon.PID()) + "/stat")
		if err != nil {
			tb.Fatalf("%v", err)
		}
		// The name in parentheses may hold anything; the fields are counted after it.
		_, after, _ := strings.Cut(string(text[strings.LastIndexByte(string(text), ')'):]), " ")
		fields := strings.Fields(after)
		for _, i := range []int{11, 12} {
			n, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				tb.Fatalf("/proc/PID/stat: %v", err)
			}
			sum += n / clockTicks
		}
	}
	return sum
}

// memory returns a figure of /proc/PID/status in bytes.
func memory(tb testnet.TB, pid int, name string) float64 {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		tb.Fatalf("%v", err)
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) == 3 && fields[0] == name+":" {
			n, err := strconv.ParseFloat(fields[1], 64)
			if err != nil {
				tb.Fatalf("/proc/PID/status: %v", err)
			}
			return n * 1024
		}
	}
	tb.Fatalf("/proc/PID/status has no %s", name)
	return 0
}
