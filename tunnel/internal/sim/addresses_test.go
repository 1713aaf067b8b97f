package sim

import (
	"net/netip"
)

// The families of addresses, inside and outside of the tunnel.
const (
	v4 = iota
	v6
	families
)

func familyOf(a netip.Addr) int {
	if a.Is4() {
		return v4
	}
	return v6
}

// innerOf is the inner address of a node.
func innerOf(i, family int) netip.Addr {
	if family == v4 {
		return netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)})
	}
	return netip.AddrFrom16([16]byte{0: 0xfd, 15: byte(i + 1)})
}

// anInner is one of the inner addresses of a node.
func (w *world) anInner(i int) netip.Addr { return innerOf(i, w.random.IntN(families)) }

// outerOf is where a node is seen, behind one of many NATs.
func outerOf(i, family int, nat byte, port uint16) netip.AddrPort {
	a := netip.AddrFrom4([4]byte{192, 0, nat, byte(i + 1)})
	if family == v6 {
		a = netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 7: nat, 15: byte(i + 1)})
	}
	return netip.AddrPortFrom(a, port)
}

var (
	// nowhere is where no node ever is.
	nowhere = [families]netip.AddrPort{v4: netip.MustParseAddrPort("203.0.113.1:9"), v6: netip.MustParseAddrPort("[2001:db8:ffff::1]:9")}
	// attackersPlace is where the attacker is when he does not pretend to be elsewhere.
	attackersPlace = [families]netip.AddrPort{
		v4: netip.MustParseAddrPort("198.51.100.66:4000"), v6: netip.MustParseAddrPort("[2001:db8:bad::66]:4000"),
	}
)

// isAt reports whether a node is seen at an address.
func (n *node) isAt(a netip.AddrPort) bool { return a.IsValid() && n.at[familyOf(a.Addr())] == a }

// source is where a node is seen by whom it sends to at an address; the zero value if it can't send there.
func (n *node) source(to netip.AddrPort) netip.AddrPort { return n.at[familyOf(to.Addr())] }

// whereabouts are the addresses of another node that a node can send to.
func (n *node) whereabouts(m *node) (all []netip.AddrPort) {
	for _, a := range m.at {
		if a.IsValid() && n.source(a).IsValid() {
			all = append(all, a)
		}
	}
	return all
}

// somewhere is one of the whereabouts of another node; nowhere if there is none.
func (n *node) somewhere(m *node) netip.AddrPort {
	all := n.whereabouts(m)
	if len(all) == 0 {
		return nowhere[n.w.random.IntN(families)]
	}
	return pick(n.w, all...)
}

// any address of a node.
func (n *node) anyAddress() netip.AddrPort {
	var all []netip.AddrPort
	for _, a := range n.at {
		if a.IsValid() {
			all = append(all, a)
		}
	}
	return pick(n.w, all...)
}

// move has a node seen at another address, in either family or both, or not at all in one of them: it goes from network to network.
// Messages under way to where it was are lost.
func (w *world) move(n *node, _ int) {
	lost := -1
	if n.hasFamily[v6] && w.chance(0.3) {
		lost = w.random.IntN(families)
	}
	for f := range families {
		switch {
		case f == lost || !n.hasFamily[f]:
			n.at[f] = netip.AddrPort{}
		case n.at[f].IsValid() && lost < 0 && w.chance(0.3): // stays
		default:
			n.at[f] = outerOf(n.number, f, byte(3+w.random.IntN(9)), uint16(1024+w.random.IntN(60000)))
		}
	}
}

// meet makes sure that a node and another one can send to each other.
func (n *node) meet(m *node) {
	if len(n.whereabouts(m)) > 0 {
		return
	}
	for _, x := range []*node{n, m} {
		if !x.at[v4].IsValid() {
			x.at[v4] = outerOf(x.number, v4, 2, 51820)
		}
	}
}
