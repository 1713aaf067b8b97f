//go:build linux

package main

import (
	"errors"
	"sync/atomic"
	"syscall"
	"time"

	"vpn/cmd/internal/testnet"

	"golang.org/x/sys/unix"
)

// flows are the TCP loads, in the order measured: how many streams run there,
// and how many back at the same time.
var flows = []struct {
	there, back int
	rate        figure
}{
	{1, 0, tcpOne},
	{4, 0, tcpFour},
	{1, 1, tcpOneBoth},
	{4, 4, tcpFourBoth},
}

// benchTCP runs streams that never end through a pair: with one stream it pings
// beside it and looks at the CPU time, and after all of them at the memory.
func benchTCP(tb testnet.TB, s *settings, kind testnet.Kind, r *report) {
	p := testnet.NewPair(tb, kind, kind, 0, false)
	p.A.MustPing(p.B.Inner4)
	var resident, perGB float64
	var rtt []float64
	for _, flow := range flows {
		var load streams
		for range flow.there {
			load = append(load, startStream(tb, testnet.Dial(p.A.Host, p.B.Host, p.B.Inner4)))
		}
		for range flow.back {
			load = append(load, startStream(tb, testnet.Dial(p.B.Host, p.A.Host, p.A.Inner4)))
		}
		<-time.After(s.seconds / 4) // the streams find their speed

		begin, bytes, cpu := time.Now(), load.received(), cpuSeconds(tb, p.A.Daemon, p.B.Daemon)
		if flow.rate == tcpOne {
			rtt = pingFor(tb, p, s.seconds)
		} else {
			<-time.After(s.seconds)
		}
		took := time.Since(begin)
		bytes, cpu = load.received()-bytes, cpuSeconds(tb, p.A.Daemon, p.B.Daemon)-cpu
		resident = max(resident, megabytes(tb, p.A.Daemon, "VmRSS"), megabytes(tb, p.B.Daemon, "VmRSS"))
		load.stop()

		r.add(tb, kind, flow.rate, float64(bytes)*8/1e9/took.Seconds())
		if flow.rate == tcpOne {
			perGB = cpu / (float64(bytes) / 1e9)
		}
	}
	r.add(tb, kind, tcpCPU, perGB)
	addRTT(tb, r, kind, rtt, rttBusy, rttBusyTail)
	r.add(tb, kind, memoryBusy, resident)
}

// congestionControl is every stream's, whatever this machine prefers: how much a
// stream lets wait depends on it more than on anything else.
const congestionControl = "cubic"

// setCongestionControl has the sending end of s use it.
func setCongestionControl(tb testnet.TB, s *testnet.Stream) {
	tb.Helper()
	raw, err := s.From.(syscall.Conn).SyscallConn()
	if err == nil {
		closed := raw.Control(func(fd uintptr) {
			err = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, congestionControl)
		})
		err = errors.Join(closed, err)
	}
	if err != nil {
		tb.Fatalf("TCP congestion control %s (modprobe tcp_%s): %v", congestionControl, congestionControl, err)
	}
}

// endless is a TCP stream that never ends.
type endless struct {
	stream *testnet.Stream
	bytes  atomic.Int64 // received
	ended  chan struct{}
}

func startStream(tb testnet.TB, s *testnet.Stream) *endless {
	tb.Helper()
	setCongestionControl(tb, s)
	f := &endless{stream: s, ended: make(chan struct{}, 2)}
	go func() {
		block := make([]byte, 128<<10)
		for {
			if _, err := s.From.Write(block); err != nil {
				break // closed, by stop or at the trial's end
			}
		}
		f.ended <- struct{}{}
	}()
	go func() {
		block := make([]byte, 256<<10)
		for {
			n, err := s.To.Read(block)
			f.bytes.Add(int64(n))
			if err != nil {
				break // closed, by stop or at the trial's end
			}
		}
		f.ended <- struct{}{}
	}()
	return f
}

type streams []*endless

func (fs streams) received() (bytes int64) {
	for _, f := range fs {
		bytes += f.bytes.Load()
	}
	return bytes
}

func (fs streams) stop() {
	for _, f := range fs {
		f.stream.Close()
	}
	for _, f := range fs {
		<-f.ended
		<-f.ended
	}
}
