//go:build linux

package testnet

import (
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// TranslateTo rewrites the source of IPv4 UDP that leaves by the link to an
// address of the link and a port from first to last. A second call replaces the
// first and forgets the mappings, as a rebooted router does.
func (l *Link) TranslateTo(address string, first, last uint16) {
	l.Host.tb.Helper()
	conn, err := nftables.New(nftables.WithNetNSFd(int(l.Host.ns)))
	l.Host.check(err, "nftables")
	table := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "testnet"})
	conn.FlushTable(table)
	chain := conn.AddChain(&nftables.Chain{
		Name: "postrouting", Table: table, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource,
	})
	name := make([]byte, unix.IFNAMSIZ)
	copy(name, l.Name)
	conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: name},
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_UDP}},
		&expr.Immediate{Register: 1, Data: netip.MustParseAddr(address).AsSlice()},
		&expr.Immediate{Register: 2, Data: binaryutil.BigEndian.PutUint16(first)},
		&expr.Immediate{Register: 3, Data: binaryutil.BigEndian.PutUint16(last)},
		&expr.NAT{Type: expr.NATTypeSourceNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: 1, RegProtoMin: 2, RegProtoMax: 3, Specified: true},
	}})
	l.Host.check(conn.Flush(), "translation on %s", l.Name)
	l.Host.check(l.Host.nl.ConntrackTableFlush(netlink.ConntrackTable), "forget the mappings")
}
