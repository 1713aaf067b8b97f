package udp

import (
	"fmt"
	"testing"
)

// Sending and receiving what a superpacket becomes, in one goroutine over
// loopback: the kernel's part of it and ours.
func BenchmarkSuperpacket(b *testing.B) {
	for _, kind := range []struct {
		name  string
		plain bool
		noGRO bool
	}{
		{"segmented", false, false},
		{"segmented-noGRO", false, true},
		{"plain", true, false},
		{"plain-noGRO", true, true},
	} {
		b.Run(kind.name, func(b *testing.B) { benchmark(b, systemOpener{noGRO: kind.noGRO}, kind.plain, 1452, 46) })
	}
}

func BenchmarkSmall(b *testing.B) {
	for _, n := range []int{1, 8, 64} {
		for _, plain := range []bool{false, true} {
			b.Run(fmt.Sprintf("%dx96/plain=%v", n, plain), func(b *testing.B) { benchmark(b, systemOpener{}, plain, 96, n) })
		}
	}
}

func benchmark(b *testing.B, o systemOpener, plain bool, segment, segments int) {
	s := open(b, o)
	one, there := loopback(b, s, "IPv4")
	there.Source = there.Addr.Addr()
	data := pattern(segment*segments, 1)
	ms := []Outgoing{{Data: data, Segment: segment, To: there, Plain: plain}}
	batch := NewBatch()
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		mustSend(b, one, ms...)
		for got := 0; got < segments; {
			if err := one.Receive(batch); err != nil {
				b.Fatal(err)
			}
			for i := range batch.Messages {
				got += batch.Messages[i].Datagrams()
			}
		}
	}
}

func BenchmarkParseControl(b *testing.B) {
	c := controls()["IPv4"].b
	for b.Loop() {
		if _, ok := parseControl(c); !ok {
			b.Fatal("not well formed")
		}
	}
}
