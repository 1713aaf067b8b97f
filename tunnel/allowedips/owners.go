package allowedips

import (
	"cmp"
	"iter"
	"maps"
	"net/netip"
	"slices"
)

// owners is the other direction: owner to prefixes, in the order given. Most
// owners have one prefix, so that costs no allocation: a million of them are
// the reason for packing.
type owners[P comparable] struct {
	one  map[P]packed // of owners with just one
	many map[P]*list  // of owners with more
	peak int          // the most owners that the maps have room for
}

// packed is a prefix in 18 bytes instead of 32.
type packed struct {
	addr [16]byte
	bits uint8
	v4   bool
}

func pack(p netip.Prefix) packed {
	return packed{p.Addr().As16(), uint8(p.Bits()), p.Addr().Is4()}
}

func (p packed) unpack() netip.Prefix {
	a := netip.AddrFrom16(p.addr)
	if p.v4 {
		a = a.Unmap()
	}
	return netip.PrefixFrom(a, int(p.bits))
}

// list is the prefixes of an owner with more than one.
type list struct {
	order []packed // while it is short

	// When it is long, each prefix with a number that grows in the order
	// given: taking many out of a long slice would be quadratic.
	number map[packed]uint64
	next   uint64
}

const longList = 16

func (o *owners[P]) add(p P, prefix netip.Prefix) {
	x := pack(prefix)
	if l := o.many[p]; l != nil {
		l.add(x)
		return
	}
	if first, ok := o.one[p]; ok {
		delete(o.one, p)
		if o.many == nil {
			o.many = make(map[P]*list)
		}
		o.many[p] = &list{order: []packed{first, x}}
		return
	}
	if o.one == nil {
		o.one = make(map[P]packed)
	}
	o.one[p] = x
}

// remove takes out a prefix that the owner has.
func (o *owners[P]) remove(p P, prefix netip.Prefix) {
	x := pack(prefix)
	l := o.many[p]
	if l == nil {
		delete(o.one, p)
		return
	}
	if l.remove(x); l.len() == 0 {
		delete(o.many, p)
	}
}

func (o *owners[P]) forget(p P) {
	delete(o.one, p)
	delete(o.many, p)
}

func (o *owners[P]) prefixes(p P) []netip.Prefix {
	if x, ok := o.one[p]; ok {
		return []netip.Prefix{x.unpack()}
	}
	l := o.many[p]
	if l == nil {
		return nil
	}
	prefixes := make([]netip.Prefix, 0, l.len())
	for _, x := range l.ordered() {
		prefixes = append(prefixes, x.unpack())
	}
	return prefixes
}

// shrink gives memory back when most owners are gone: a map keeps room for all
// that were ever in it.
func (o *owners[P]) shrink() {
	n := len(o.one) + len(o.many)
	if o.peak = max(o.peak, n); n >= o.peak/2 {
		return
	}
	one, many := o.one, o.many
	*o = owners[P]{one: make(map[P]packed, len(one)), many: make(map[P]*list, len(many)), peak: n}
	maps.Copy(o.one, one)
	maps.Copy(o.many, many)
}

// rebuild learns the owners from a table; the order is lost.
func (o *owners[P]) rebuild(table interface {
	AllSorted() iter.Seq2[netip.Prefix, P]
}) {
	*o = owners[P]{}
	for prefix, p := range table.AllSorted() {
		o.add(p, prefix)
	}
}

func (l *list) len() int { return len(l.order) + len(l.number) }

func (l *list) add(x packed) {
	if l.number == nil && len(l.order) < longList {
		l.order = append(l.order, x)
		return
	}
	if l.number == nil {
		l.number = make(map[packed]uint64, 2*longList)
		for _, y := range l.order {
			l.append(y)
		}
		l.order = nil
	}
	l.append(x)
}

func (l *list) append(x packed) {
	l.number[x] = l.next
	l.next++
}

func (l *list) remove(x packed) {
	if l.number != nil {
		delete(l.number, x)
		return
	}
	if i := slices.Index(l.order, x); i >= 0 {
		l.order = slices.Delete(l.order, i, i+1)
	}
}

func (l *list) ordered() []packed {
	if l.number == nil {
		return l.order
	}
	all := make([]packed, 0, len(l.number))
	for x := range l.number {
		all = append(all, x)
	}
	slices.SortFunc(all, func(a, b packed) int { return cmp.Compare(l.number[a], l.number[b]) })
	return all
}
