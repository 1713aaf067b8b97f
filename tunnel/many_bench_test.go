package tunnel

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"vpn/noise/aead"
	"vpn/noise/key"
	"vpn/rekey"
	"vpn/tun"
	"vpn/tunnel/uapi"
)

// The benchmarks in this file are about an engine with many peers that are configured and silent.
//
//	go test ./tunnel -run '^$' -bench 'Configured|Set|Schedule|Lookup'

// newIdle makes an engine outside of any bubble that is up, has a key and a device that nothing comes out of.
func newIdle(tb testing.TB) *Tunnel {
	tb.Helper()
	w := &world{t: tb, sockets: make(map[netip.AddrPort]*memSocket)}
	device := newMemDevice()
	t, err := New(Config{
		Device: device, Sockets: &memOpener{w: w, v4: netip.MustParseAddr("192.0.2.1"), v6: netip.MustParseAddr("2001:db8::1")},
		Clock: SystemClock(), Arena: aead.NewArena(nil), Rand: rand.Reader, Log: slog.New(slog.DiscardHandler), Processors: 2,
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { t.Close() })
	private, err := key.NewPrivate(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	if err := t.Set(&uapi.Config{PrivateKey: &private}); err != nil {
		tb.Fatal(err)
	}
	device.events <- tun.Up
	return t
}

// manyPeers makes a change that adds n peers, each with an address of its own.
func manyPeers(n int) *uapi.Config {
	c := &uapi.Config{Peers: make([]uapi.PeerConfig, n)}
	prefixes := make([]uapi.AllowedIP, n)
	for i := range c.Peers {
		rand.Read(c.Peers[i].PublicKey[:])
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], 10<<24+uint32(i))
		prefixes[i].Prefix = netip.PrefixFrom(netip.AddrFrom4(a), 32)
		c.Peers[i].AllowedIPs = prefixes[i : i+1 : i+1]
	}
	return c
}

// heapInUse is how many bytes of the heap are in use once the collector has run.
func heapInUse() uint64 {
	runtime.GC()
	runtime.GC() // what had a finalizer or lay in a pool
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

// BenchmarkConfiguredPeers tells what a silent peer costs, and what is left of it when it is gone.
func BenchmarkConfiguredPeers(b *testing.B) {
	const n = 100_000
	for b.Loop() {
		b.StopTimer()
		t := newIdle(b)
		before := heapInUse()
		c := manyPeers(n)
		b.StartTimer()
		if err := t.Set(c); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		b.ReportMetric(float64(heapInUse()-before)/n, "B/peer")
		if err := t.Set(&uapi.Config{ReplacePeers: true}); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric((float64(heapInUse())-float64(before))/n, "B/removed-peer")
		t.Close()
		b.StartTimer()
	}
}

// BenchmarkSet adds so many peers in one change.
func BenchmarkSet(b *testing.B) {
	for _, n := range []int{1000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c := manyPeers(n)
			for b.Loop() {
				b.StopTimer()
				t := newIdle(b)
				b.StartTimer()
				if err := t.Set(c); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				t.Close()
				b.StartTimer()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/peer")
		})
	}
}

// BenchmarkSchedule moves one of many deadlines to another time, and BenchmarkLookup finds one of many peers by address, by index and by
// key: neither may depend much on how many there are.
func BenchmarkSchedule(b *testing.B) {
	for _, n := range []int{1000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			x := newSchedule(SystemClock())
			defer x.timer.Stop()
			peers := make([]Peer, n)
			r := mathrand.New(mathrand.NewPCG(1, 2))
			at := func() time.Duration { return time.Hour*1000 + time.Duration(r.Int64N(int64(rekey.RejectAfterTime))) }
			for i := range peers {
				x.arm(&peers[i], at())
			}
			for b.Loop() {
				x.arm(&peers[r.IntN(n)], at())
			}
		})
	}
}

func BenchmarkLookup(b *testing.B) {
	for _, n := range []int{1000, 100_000, 1_000_000} {
		t, c := newIdle(b), manyPeers(n)
		if err := t.Set(c); err != nil {
			b.Fatal(err)
		}
		indices := make([]uint32, n)
		for i, p := range t.peers.all() {
			var err error
			if indices[i], err = t.index.reserve(p); err != nil {
				b.Fatal(err)
			}
		}
		r := mathrand.New(mathrand.NewPCG(1, 2))
		for what, find := range map[string]func(i int) bool{
			"address": func(i int) bool { _, ok := t.allowed.Lookup(c.Peers[i].AllowedIPs[0].Prefix.Addr()); return ok },
			"index":   func(i int) bool { _, ok := t.index.lookup(indices[i]); return ok },
			"key":     func(i int) bool { return t.peers.get(c.Peers[i].PublicKey) != nil },
		} {
			b.Run(fmt.Sprintf("%s/%d", what, n), func(b *testing.B) {
				for b.Loop() {
					if !find(r.IntN(n)) {
						b.Fatal("a peer is not found")
					}
				}
			})
		}
	}
}
