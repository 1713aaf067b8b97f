//go:build linux

package main

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"vpn/cmd/internal/testnet"
	"vpn/noise/cookie"
	"vpn/noise/key"
	"vpn/noise/wire"

	"golang.org/x/sys/unix"
)

// floodRates are how many initiations come in a second.
var floodRates = []int{10_000, 30_000}

const (
	floodSources  = "100.64.0.0/10" // four million addresses, all behind the attacker
	floodMessages = 1024            // different ones
	floodPort     = "9"             // that nobody reads from

	sizeIPv4, sizeUDP = 20, 8
)

// benchFlood lets a stream run through a pair while its receiver is flooded with
// initiations from another cable: junk, but for a good mac1, each from another address.
func benchFlood(tb testnet.TB, s *settings, kind testnet.Kind, r *report) {
	p := testnet.NewPair(tb, kind, kind, 0, false)
	attacker := testnet.NewHost(tb, "attacker")
	atVictim, out := testnet.Connect(p.B.Host, attacker, 0)
	atVictim.Address("192.168.79.2/24")
	out.Address("192.168.79.1/24")
	atVictim.Route(floodSources, "192.168.79.1", 0)
	attacker.Link("lo").Address("100.127.255.254/32") // replies to all others are dropped without a word
	attacker.MustPing("192.168.79.2")
	p.A.MustPing(p.B.Inner4)
	p.B.ListenUDP("192.168.79.2:" + floodPort)

	public, err := hex.DecodeString(p.B.Daemon.Key.Public)
	if err != nil {
		tb.Fatalf("%v", err)
	}
	f := newFlood(tb, attacker, key.Public(public))
	load := streams{startStream(tb, testnet.Dial(p.A.Host, p.B.Host, p.B.Inner4))}
	measure := func() float64 {
		<-time.After(s.seconds / 16)
		begin, bytes := time.Now(), load.received()
		<-time.After(s.seconds / 4)
		return float64(load.received()-bytes) * 8 / 1e9 / time.Since(begin).Seconds()
	}
	alone := []float64{measure()}
	var memory []float64
	for _, rate := range floodRates {
		var elsewhere, flooded []float64 // in percent
		for range s.turns {              // in turn and often, as the machine's own pace changes
			stop := f.start("192.168.79.2:"+floodPort, rate)
			a := measure()
			stop()
			stop = f.start("192.168.79.2:"+strconv.Itoa(p.B.Port), rate)
			b := measure()
			memory = append(memory, megabytes(tb, p.B.Daemon, "VmRSS"))
			stop()
			before := alone[len(alone)-1]
			after := measure()
			alone = append(alone, after)
			elsewhere = append(elsewhere, 100*a/((before+after)/2))
			flooded = append(flooded, 100*b/((before+after)/2))
		}
		r.add(tb, kind, floodKept(rate), percentile(flooded, 50))
		r.add(tb, kind, floodMachine(rate), percentile(elsewhere, 50))
	}
	load.stop()
	cpu := cpuSeconds(tb, p.B.Daemon)
	stop := f.start("192.168.79.2:"+strconv.Itoa(p.B.Port), floodRates[0])
	<-time.After(s.seconds / 2)
	sent := stop()
	r.add(tb, kind, floodCPU, (cpuSeconds(tb, p.B.Daemon)-cpu)*1e6/float64(sent))
	r.add(tb, kind, floodAlone, percentile(alone, 50))
	r.add(tb, kind, floodMemory, slices.Max(memory))
}

// A flood sends forged initiations from a host.
type flood struct {
	tb       testnet.TB
	from     *testnet.Host
	messages []wire.Initiation
}

// newFlood makes initiations that only lack a sender: anybody who knows the
// public key can.
func newFlood(tb testnet.TB, from *testnet.Host, to key.Public) *flood {
	f := &flood{tb: tb, from: from, messages: make([]wire.Initiation, floodMessages)}
	macs := cookie.NewGenerator(to)
	for i := range f.messages {
		m := &f.messages[i]
		_, _ = rand.Read(m[:]) // never fails
		binary.LittleEndian.PutUint32(m[:], uint32(wire.TypeInitiation))
		macs.AddMACs(m[:], 0)
	}
	return f
}

// start sends rate messages a second to an address until stop is called, which
// returns how many it were.
func (f *flood) start(to string, rate int) (stop func() (sent int)) {
	f.tb.Helper()
	at := netip.MustParseAddrPort(to)
	fd := -1
	f.from.Do(func() {
		var err error
		if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW); err == nil {
			err = unix.Connect(fd, &unix.SockaddrInet4{Addr: at.Addr().As4()})
		}
		if err != nil {
			f.tb.Fatalf("raw socket: %v", err)
		}
	})
	var over atomic.Bool
	sent := make(chan int, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		b := newBatch(sizeIPv4 + sizeUDP + wire.SizeInitiation)
		sent <- b.pace(fd, rate, func(time.Time) bool { return over.Load() }, func(i, number int) {
			f.put(b.data[i], number, at)
		})
	}()
	begin := time.Now()
	return func() int {
		over.Store(true)
		n := <-sent
		if got := float64(n) / time.Since(begin).Seconds(); got < 0.8*float64(rate) {
			f.tb.Logf("a flood of %.0f/s only", got)
		}
		_ = unix.Close(fd)
		return n
	}
}

// put writes one IPv4 packet with the message that has its turn, and an address
// and port that don't come again soon.
func (f *flood) put(b []byte, number int, to netip.AddrPort) {
	sources := netip.MustParsePrefix(floodSources)
	source := sources.Addr().As4()
	mixed := uint32(number) * 2654435761 // Knuth's multiplicative hash: a permutation
	binary.BigEndian.PutUint32(source[:], binary.BigEndian.Uint32(source[:])|mixed>>sources.Bits())
	destination := to.Addr().As4()

	clear(b[:sizeIPv4+sizeUDP])
	b[0] = 0x45 // version 4, five words
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	b[8], b[9] = 64, unix.IPPROTO_UDP // TTL; the kernel adds the checksum
	copy(b[12:], source[:])
	copy(b[16:], destination[:])
	udp := b[sizeIPv4:]
	binary.BigEndian.PutUint16(udp, 1024+uint16(mixed%60_000))
	binary.BigEndian.PutUint16(udp[2:], to.Port())
	binary.BigEndian.PutUint16(udp[4:], uint16(len(udp))) // and no checksum
	copy(udp[sizeUDP:], f.messages[number%len(f.messages)][:])
}
