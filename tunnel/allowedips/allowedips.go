// Package allowedips maps prefixes of inner addresses to the peers that own
// them.
package allowedips

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/gaissmai/bart"
)

// Table maps prefixes to owners. A prefix has one owner; of nested ones the
// longest counts. The zero value is an empty table. It must not be copied.
//
// All methods may be called from several goroutines at once.
type Table[P comparable] struct {
	// published never changes once it is here. Of bart's tables, Fast looks up
	// in two thirds of the time of Table for 256 bytes more a node, which is
	// one more a prefix where they are dense.
	published atomic.Pointer[bart.Fast[P]]

	mu     sync.Mutex // guards owners and all writing
	owners owners[P]
}

// Lookup finds the owner of the longest prefix that a is in. It takes no lock
// and allocates nothing. An IPv4 address in IPv6 form is in no prefix: on the
// inner side no such address is valid. A zone is ignored.
func (t *Table[P]) Lookup(a netip.Addr) (p P, ok bool) {
	published := t.published.Load()
	if published == nil || a.Is4In6() {
		return p, false
	}
	return published.Lookup(a)
}

// Prefixes are the prefixes of one owner, in the order they were given to it.
func (t *Table[P]) Prefixes(p P) []netip.Prefix {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.owners.prefixes(p)
}

// Len is the number of prefixes in the table.
func (t *Table[P]) Len() int {
	published := t.published.Load()
	if published == nil {
		return 0
	}
	return published.Size()
}

// Update changes the table. What f does to its Edit becomes visible to Lookup
// at once and as a whole when f returns, so that a prefix on its way from one
// owner to another is never without one. If f panics the table stays as it
// was.
//
// A few changes cost some 20 us and 8 KB of garbage each, many in one Update
// cost far less: set up a table in one Update. f must not use the table, and
// the Edit is no good after f has returned.
func (t *Table[P]) Update(f func(e *Edit[P])) {
	t.mu.Lock()
	defer t.mu.Unlock()
	base := t.published.Load()
	if base == nil {
		base = new(bart.Fast[P])
	}
	e := &Edit[P]{owners: &t.owners, table: base, budget: base.Size() / bulkShare}
	finished := false
	defer func() {
		if !finished {
			t.owners.rebuild(base)
		}
	}()
	f(e)
	finished = true
	t.owners.shrink()
	t.published.Store(e.table)
	e.table = nil
}

// bulkShare is the share of a table, one in so many, above which changing a
// copy of the whole beats one persistent change after another.
const bulkShare = 100

// Edit is a change of a Table, within Update.
type Edit[P comparable] struct {
	owners *owners[P]
	table  *bart.Fast[P]
	ours   bool // table is a copy that nobody else sees
	budget int  // persistent changes before it is worth making one
}

// own makes table a private copy once the budget is spent.
func (e *Edit[P]) own() {
	if !e.ours && e.budget == 0 {
		e.table, e.ours = e.table.Clone(), true
	}
	e.budget--
}

// Insert gives a prefix to an owner, taking it from any other. Bits beyond the
// prefix's length don't count; an invalid prefix does nothing.
func (e *Edit[P]) Insert(prefix netip.Prefix, p P) {
	if !prefix.IsValid() {
		return
	}
	prefix = prefix.Masked()
	if old, ok := e.table.Get(prefix); ok {
		if old == p {
			return
		}
		e.owners.remove(old, prefix)
	}
	e.owners.add(p, prefix)
	if e.own(); e.ours {
		e.table.Insert(prefix, p)
	} else {
		e.table = e.table.InsertPersist(prefix, p)
	}
}

// Remove takes a prefix from an owner. If it belongs to another, or to none,
// it does nothing.
func (e *Edit[P]) Remove(prefix netip.Prefix, p P) {
	if !prefix.IsValid() {
		return
	}
	prefix = prefix.Masked()
	if old, ok := e.table.Get(prefix); !ok || old != p {
		return
	}
	e.owners.remove(p, prefix)
	e.drop(prefix)
}

// RemoveAll takes all prefixes from an owner.
func (e *Edit[P]) RemoveAll(p P) {
	for _, prefix := range e.owners.prefixes(p) {
		e.drop(prefix)
	}
	e.owners.forget(p)
}

func (e *Edit[P]) drop(prefix netip.Prefix) {
	if e.own(); e.ours {
		e.table.Delete(prefix)
	} else {
		e.table = e.table.DeletePersist(prefix)
	}
}
