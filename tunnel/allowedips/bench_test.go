package allowedips

import (
	"encoding/binary"
	"net/netip"
	"runtime"
	"testing"
)

// singlePrefix is the usual prefix of the i-th peer.
func singlePrefix(i int) netip.Prefix {
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], 10<<24|uint32(i))
	return netip.PrefixFrom(netip.AddrFrom4(a), 32)
}

func singlePrefix6(i int) netip.Prefix {
	a := [16]byte{0: 0xfd, 1: 0x12}
	binary.BigEndian.PutUint32(a[12:], uint32(i))
	return netip.PrefixFrom(netip.AddrFrom16(a), 128)
}

func BenchmarkLoad(b *testing.B) {
	all := manyPrefixes(130_560)
	for b.Loop() {
		var table Table[*int]
		p := new(int)
		table.Update(func(e *Edit[*int]) {
			for _, prefix := range all {
				e.Insert(prefix, p)
			}
		})
	}
}

// One change to a table of 100,000: what adding a peer costs a busy gateway.
func BenchmarkOneChange(b *testing.B) {
	table, owners := loaded(100_000, singlePrefix)
	i := 0
	for b.Loop() {
		table.Update(func(e *Edit[*int]) { e.Insert(singlePrefix(i%100_000), owners[(i+1)%len(owners)]) })
		i++
	}
}

func BenchmarkOneByOne(b *testing.B) {
	owners := make([]int, 10_000)
	for b.Loop() {
		var table Table[*int]
		for i := range owners {
			table.Update(func(e *Edit[*int]) { e.Insert(singlePrefix(i), &owners[i]) })
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	for _, family := range []struct {
		name   string
		prefix func(int) netip.Prefix
	}{{"IPv4", singlePrefix}, {"IPv6", singlePrefix6}} {
		b.Run(family.name, func(b *testing.B) {
			table, _ := loaded(100_000, family.prefix)
			a := make([]netip.Addr, 1024)
			for i := range a {
				a[i] = family.prefix(i * 97).Addr()
			}
			i := 0
			for b.Loop() {
				table.Lookup(a[i%len(a)])
				i++
			}
		})
	}
}

func loaded(n int, prefix func(int) netip.Prefix) (*Table[*int], []*int) {
	values := make([]int, n)
	owners := make([]*int, n)
	table := new(Table[*int])
	table.Update(func(e *Edit[*int]) {
		for i := range owners {
			owners[i] = &values[i]
			e.Insert(prefix(i), owners[i])
		}
	})
	return table, owners
}

// Memory for each of a hundred thousand owners with one prefix, and with two.
func BenchmarkMemory(b *testing.B) {
	for _, kind := range []struct {
		name     string
		prefixes []func(int) netip.Prefix
	}{
		{"IPv4", []func(int) netip.Prefix{singlePrefix}},
		{"IPv6", []func(int) netip.Prefix{singlePrefix6}},
		{"both", []func(int) netip.Prefix{singlePrefix, singlePrefix6}},
	} {
		b.Run(kind.name, func(b *testing.B) {
			const n = 100_000
			values := make([]int, n)
			for b.Loop() {
				before := heap()
				table := new(Table[*int])
				table.Update(func(e *Edit[*int]) {
					for i := range n {
						for _, prefix := range kind.prefixes {
							e.Insert(prefix(i), &values[i])
						}
					}
				})
				b.ReportMetric(float64(heap()-before)/n, "B/owner")
				runtime.KeepAlive(table)
			}
		})
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
