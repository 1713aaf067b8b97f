package tunnel

import (
	"crypto/rand"
	"net/netip"
	"testing"

	"vpn/noise/cookie"
	"vpn/noise/wire"
	"vpn/tunnel/udp"
)

// flooded is an engine under load, with no goroutine at work, and a batch of forged initiations, each from an address of its own.
type flooded struct {
	in    *inbound
	end   *deadEnd
	junk  []byte
	count int // messages in a batch
	next  uint32
}

func newFlooded(t testing.TB) *flooded {
	t.Helper()
	e, end := newBenchTunnel(t)
	f := &flooded{in: newInbound(e, end, end), end: end, junk: make([]byte, wire.SizeInitiation), count: 8}
	rand.Read(f.junk)
	copy(f.junk, []byte{byte(wire.TypeInitiation), 0, 0, 0})
	cookie.NewGenerator(e.identity.Load().local.Public()).AddMACs(f.junk, 0)
	e.handshakes.loadedAt = e.clock.Now()
	return f
}

func (f *flooded) receive() {
	f.in.in.Reset()
	for range f.count {
		f.next++
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{100, byte(f.next >> 16), byte(f.next >> 8), byte(f.next)}), 51820)
		f.in.in.Add(copy(f.in.in.Room(), f.junk), 0, udp.Endpoint{Addr: from}, 0)
	}
	f.in.plan()
	f.in.work()
	f.in.finish()
}

// A flood takes no memory, and each of its messages is answered with a cookie.
func TestForgedInitiationAllocatesNothing(t *testing.T) {
	f := newFlooded(t)
	if n := testing.AllocsPerRun(100, f.receive); n != 0 && !raced {
		t.Errorf("%d forged initiations allocate %v times", f.count, n)
	}
	f.end.sent = udp.NewBatch()
	f.receive()
	if got := len(f.end.sent.Messages); got != f.count {
		t.Errorf("%d answers to %d forged initiations", got, f.count)
	}
	for i := range f.end.sent.Messages {
		if kind, ok := wire.Classify(f.end.sent.Messages[i].Data); !ok || kind != wire.TypeCookieReply {
			t.Errorf("answer %d is no cookie reply", i)
		}
	}
}

func BenchmarkForgedInitiation(b *testing.B) {
	f := newFlooded(b)
	b.ReportAllocs()
	for b.Loop() {
		f.receive()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(f.next), "ns/message")
}
