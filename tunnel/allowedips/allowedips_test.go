package allowedips

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// naive is a Table as one would write it without a thought for time.
type naive struct{ entries []entry }

type entry struct {
	prefix netip.Prefix
	owner  int
}

func (n *naive) insert(prefix netip.Prefix, owner int) {
	e := entry{prefix.Masked(), owner}
	if slices.Contains(n.entries, e) {
		return
	}
	n.entries = slices.DeleteFunc(n.entries, func(o entry) bool { return o.prefix == e.prefix })
	n.entries = append(n.entries, e)
}

func (n *naive) remove(prefix netip.Prefix, owner int) {
	n.entries = slices.DeleteFunc(n.entries, func(o entry) bool { return o == entry{prefix.Masked(), owner} })
}

func (n *naive) removeAll(owner int) {
	n.entries = slices.DeleteFunc(n.entries, func(o entry) bool { return o.owner == owner })
}

func (n *naive) lookup(a netip.Addr) (owner int, ok bool) {
	if a.Is4In6() {
		return 0, false
	}
	longest := -1
	for _, e := range n.entries {
		if e.prefix.Contains(a.WithZone("")) && e.prefix.Bits() > longest {
			longest, owner, ok = e.prefix.Bits(), e.owner, true
		}
	}
	return owner, ok
}

func (n *naive) prefixes(owner int) []netip.Prefix {
	var all []netip.Prefix
	for _, e := range n.entries {
		if e.owner == owner {
			all = append(all, e.prefix)
		}
	}
	return all
}

// addrs draws addresses that are often near one another: in few networks.
func addrs() *rapid.Generator[netip.Addr] {
	return rapid.Custom(func(t *rapid.T) netip.Addr {
		last := rapid.Byte().Draw(t, "last")
		middle := rapid.ByteRange(0, 3).Draw(t, "middle")
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0, 1, 2, 3, 4:
			return netip.AddrFrom4([4]byte{10, 0, middle, last})
		case 5, 6, 7, 8:
			return netip.AddrFrom16([16]byte{0: 0xfd, 6: middle, 7: last & 0xf0, 15: last})
		default:
			return netip.AddrFrom16([16]byte{10: 0xff, 11: 0xff, 12: 10, 14: middle, 15: last})
		}
	})
}

func prefixes() *rapid.Generator[netip.Prefix] {
	return rapid.Custom(func(t *rapid.T) netip.Prefix {
		a := addrs().Draw(t, "addr")
		return netip.PrefixFrom(a, rapid.IntRange(0, a.BitLen()).Draw(t, "bits"))
	})
}

// The table does what the naive one does, whether changes come one by one or
// many in one update, to a small table or to a large one.
func TestTableLikeNaive(t *testing.T) {
	for _, filling := range []int{0, 500} {
		t.Run(fmt.Sprintf("%d others", filling), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) { checkLikeNaive(t, filling) })
		})
	}
}

func checkLikeNaive(t *rapid.T, filling int) {
	const owners, filler = 5, 99
	var table Table[int]
	var twin naive
	table.Update(func(e *Edit[int]) {
		for i := range filling {
			prefix := netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 16, byte(i >> 8), byte(i)}), 32)
			e.Insert(prefix, filler)
			twin.insert(prefix, filler)
		}
	})
	for range rapid.IntRange(1, 6).Draw(t, "updates") {
		table.Update(func(e *Edit[int]) {
			for range rapid.IntRange(0, 40).Draw(t, "changes") {
				p := rapid.IntRange(0, owners-1).Draw(t, "owner")
				switch rapid.IntRange(0, 9).Draw(t, "change") {
				case 0:
					e.RemoveAll(p)
					twin.removeAll(p)
				case 1, 2:
					prefix := prefixes().Draw(t, "prefix")
					e.Remove(prefix, p)
					twin.remove(prefix, p)
				default:
					prefix := prefixes().Draw(t, "prefix")
					e.Insert(prefix, p)
					twin.insert(prefix, p)
				}
			}
		})
		for p := range owners {
			if diff := cmp.Diff(twin.prefixes(p), table.Prefixes(p), cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
				t.Fatalf("prefixes of %d (-want +got):\n%s", p, diff)
			}
		}
		if table.Len() != len(twin.entries) {
			t.Fatalf("Len() = %d, want %d", table.Len(), len(twin.entries))
		}
		for range 20 {
			a := addrs().Draw(t, "looked up")
			got, ok := table.Lookup(a)
			if want, wantOK := twin.lookup(a); got != want || ok != wantOK {
				t.Fatalf("Lookup(%v) = %d, %v, want %d, %v", a, got, ok, want, wantOK)
			}
		}
	}
}

func mustPrefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func TestZeroTable(t *testing.T) {
	var table Table[string]
	if p, ok := table.Lookup(netip.MustParseAddr("10.0.0.1")); ok {
		t.Errorf("found %q in an empty table", p)
	}
	if n, all := table.Len(), table.Prefixes("a"); n != 0 || all != nil {
		t.Errorf("an empty table has %d prefixes, %v", n, all)
	}
	table.Update(func(*Edit[string]) {})
	table.Update(func(e *Edit[string]) {
		e.Insert(netip.Prefix{}, "a")
		e.Remove(netip.Prefix{}, "a")
		e.Remove(mustPrefix("10.0.0.0/8"), "a")
		e.RemoveAll("a")
	})
	if n := table.Len(); n != 0 {
		t.Errorf("%d prefixes in a table that was given none", n)
	}
}

// Addresses that carry an IPv4 address in IPv6 form reach nobody, not even who
// owns everything.
func TestMappedAddressNeverMatches(t *testing.T) {
	var table Table[int]
	table.Update(func(e *Edit[int]) {
		e.Insert(mustPrefix("0.0.0.0/0"), 1)
		e.Insert(mustPrefix("::/0"), 2)
		e.Insert(mustPrefix("::ffff:10.0.0.0/104"), 3)
	})
	if p, ok := table.Lookup(netip.MustParseAddr("::ffff:10.0.0.1")); ok {
		t.Errorf("a mapped address belongs to %d", p)
	}
	if p, ok := table.Lookup(netip.MustParseAddr("fe80::1%eth0")); !ok || p != 2 {
		t.Errorf("an address with a zone belongs to %d, %v, want 2", p, ok)
	}
}

// An update that panics changes nothing, whichever way it was being made.
func TestPanicUndoesUpdate(t *testing.T) {
	for _, filling := range []int{0, 2000} {
		var table Table[int]
		table.Update(func(e *Edit[int]) {
			e.Insert(mustPrefix("10.0.0.0/8"), 1)
			for i := range filling {
				e.Insert(netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 16, byte(i >> 8), byte(i)}), 32), 9)
			}
		})
		func() {
			defer func() {
				if recover() == nil {
					t.Fatal("Update swallowed a panic")
				}
			}()
			table.Update(func(e *Edit[int]) {
				e.Insert(mustPrefix("10.0.0.0/8"), 2)
				e.Insert(mustPrefix("11.0.0.0/8"), 2)
				panic("half done")
			})
		}()
		if p, _ := table.Lookup(netip.MustParseAddr("10.0.0.1")); p != 1 {
			t.Errorf("10.0.0.1 belongs to %d, want 1", p)
		}
		if all := table.Prefixes(1); len(all) != 1 {
			t.Errorf("1 has %v", all)
		}
		if all := table.Prefixes(2); len(all) != 0 || table.Len() != filling+1 {
			t.Errorf("2 has %v, the table %d prefixes", all, table.Len())
		}
	}
}

// Prefixes that wander between owners are never without one, although each
// update takes them away before it gives them.
func TestNoGap(t *testing.T) {
	for _, filling := range []int{0, 2000} {
		t.Run(fmt.Sprintf("%d others", filling), func(t *testing.T) { checkNoGap(t, filling) })
	}
}

func checkNoGap(t *testing.T, filling int) {
	first, second := mustPrefix("10.0.0.0/24"), mustPrefix("fd00::/64")
	var table Table[int]
	table.Update(func(e *Edit[int]) {
		e.Insert(first, 1)
		e.Insert(second, 1)
		for i := range filling {
			e.Insert(netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 16, byte(i >> 8), byte(i)}), 32), 9)
		}
	})
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if p, ok := table.Lookup(first.Addr()); !ok || p == 9 {
					t.Errorf("%v without its owner: %d, %v", first, p, ok)
					return
				}
				if p, ok := table.Lookup(second.Addr()); !ok || p == 9 {
					t.Errorf("%v without its owner: %d, %v", second, p, ok)
					return
				}
			}
		})
	}
	for i := range 2000 {
		p := 1 + i%2
		table.Update(func(e *Edit[int]) {
			e.RemoveAll(3 - p)
			e.Insert(first, p)
			e.Insert(second, p)
		})
	}
	close(done)
	readers.Wait()
}

func TestLookupAllocates(t *testing.T) {
	var table Table[*int]
	table.Update(func(e *Edit[*int]) {
		e.Insert(mustPrefix("10.0.0.0/8"), new(int))
		e.Insert(mustPrefix("fd00::/8"), new(int))
	})
	for _, s := range []string{"10.1.2.3", "fd00::1", "11.0.0.1", "::ffff:10.0.0.1"} {
		a := netip.MustParseAddr(s)
		if n := testing.AllocsPerRun(100, func() { table.Lookup(a) }); n != 0 {
			t.Errorf("Lookup(%v) allocates %v times", a, n)
		}
	}
}

// Loading, replacing and moving the most that a test of others ever loaded
// takes no time worth mentioning; quadratic work would take minutes.
func TestManyPrefixes(t *testing.T) {
	all := manyPrefixes(130_560)
	var table Table[int]
	insert := func(p int) {
		table.Update(func(e *Edit[int]) {
			for _, prefix := range all {
				e.Insert(prefix, p)
			}
		})
	}
	insert(1)
	insert(1)
	insert(2) // each taken from 1
	if got := table.Prefixes(2); !slices.Equal(got, all) {
		t.Errorf("%d prefixes of the new owner, or in another order", len(got))
	}
	table.Update(func(e *Edit[int]) {
		e.RemoveAll(2)
		for _, prefix := range all[1:] {
			e.Insert(prefix, 2)
		}
	})
	if n := len(table.Prefixes(1)); n != 0 || table.Len() != len(all)-1 {
		t.Errorf("%d prefixes of the old owner, %d in all", n, table.Len())
	}
}

// manyPrefixes are nested and adjacent ones of all lengths that occur.
func manyPrefixes(n int) []netip.Prefix {
	all := make([]netip.Prefix, 0, n)
	for i := 0; len(all) < n; i++ {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		all = append(all, netip.PrefixFrom(a, 32))
		if len(all) < n && i%256 == 0 {
			all = append(all, netip.PrefixFrom(a, 24))
		}
	}
	return all
}
