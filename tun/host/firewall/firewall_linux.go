package firewall

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"reflect"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

var families = map[string]nftables.TableFamily{
	"ip":   nftables.TableFamilyIPv4,
	"ip6":  nftables.TableFamilyIPv6,
	"inet": nftables.TableFamilyINet,
}

var hooks = map[string]*nftables.ChainHook{
	"prerouting":  nftables.ChainHookPrerouting,
	"forward":     nftables.ChainHookForward,
	"output":      nftables.ChainHookOutput,
	"postrouting": nftables.ChainHookPostrouting,
}

func (t Table) netlink() *nftables.Table {
	return &nftables.Table{Family: families[t.Family], Name: t.Name}
}

func (c chain) netlink(t *nftables.Table) *nftables.Chain {
	policy := nftables.ChainPolicyAccept
	if c.policyDrop {
		policy = nftables.ChainPolicyDrop
	}
	return &nftables.Chain{
		Name:     c.name,
		Table:    t,
		Type:     nftables.ChainType(c.kind),
		Hooknum:  hooks[c.hook],
		Priority: nftables.ChainPriorityRef(nftables.ChainPriority(c.priority)),
		Policy:   &policy,
	}
}

// attempt makes a connection and asks again where something else changed the
// rules in the middle of an answer.
func attempt(what string, ask func(*nftables.Conn) error) error {
	conn, err := nftables.New()
	for tries := 0; err == nil && tries < 10; tries++ {
		if err = ask(conn); !errors.Is(err, unix.EINTR) {
			break
		}
		err = nil
	}
	if err != nil {
		return fmt.Errorf("nft: %s: %w", what, err)
	}
	return nil
}

// load makes a table. One that is there is replaced: that takes the kernel a
// hundred times as long, for it waits until no packet is looked at by the old one any
// more.
func load(t Table, chains []chain) error {
	return attempt("load table "+t.String(), func(conn *nftables.Conn) error {
		table := t.netlink()
		conn.CreateTable(table)
		add(conn, t, chains)
		err := conn.Flush()
		if !errors.Is(err, unix.EEXIST) {
			return err
		}
		conn.AddTable(table) // it may have gone meanwhile
		conn.DelTable(table)
		conn.AddTable(table)
		add(conn, t, chains)
		return conn.Flush()
	})
}

// add adds the chains to a table that the transaction has made.
func add(conn *nftables.Conn, t Table, chains []chain) {
	table := t.netlink()
	for _, c := range chains {
		in := conn.AddChain(c.netlink(table))
		for _, r := range c.rules {
			conn.AddRule(&nftables.Rule{Table: table, Chain: in, Exprs: encode(t, r)})
		}
	}
}

// Delete takes tables away. It is no error if one isn't there. The kernel waits for
// each transaction until no packet is looked at by what is gone, and so they are one,
// unless a table is missing.
func Delete(tables ...Table) error {
	err := attempt(fmt.Sprintf("delete %v", tables), func(conn *nftables.Conn) error {
		for _, t := range tables {
			conn.DelTable(t.netlink())
		}
		return conn.Flush()
	})
	if !errors.Is(err, unix.ENOENT) || len(tables) == 1 {
		return ignore(err, unix.ENOENT)
	}
	var errs []error
	for _, t := range tables {
		errs = append(errs, Delete(t))
	}
	return errors.Join(errs...)
}

func ignore(err, harmless error) error {
	if errors.Is(err, harmless) {
		return nil
	}
	return err
}

// Exists says whether there is such a table, whatever it holds.
func (t Table) Exists() (bool, error) {
	all, err := List()
	return slices.Contains(all, t), err
}

// List returns the tables whose names are ours, of all links.
func List() ([]Table, error) {
	var ours []Table
	err := attempt("list tables", func(conn *nftables.Conn) error {
		ours = nil
		all, err := conn.ListTables()
		for _, table := range all {
			for name, family := range families {
				t := Table{name, table.Name}
				if _, ok := LinkOf(t); ok && family == table.Family {
					ours = append(ours, t)
				}
			}
		}
		return err
	})
	return ours, err
}

func intact(t Table, chains []chain) (is bool, err error) {
	if exists, err := t.Exists(); err != nil || !exists {
		return false, err
	}
	err = attempt("list table "+t.String(), func(conn *nftables.Conn) error {
		is, err = same(conn, t, chains)
		if errors.Is(err, unix.ENOENT) { // gone in the meantime
			return nil
		}
		return err
	})
	return is, err
}

// same compares what the kernel has with what we would load.
func same(conn *nftables.Conn, t Table, chains []chain) (bool, error) {
	all, err := conn.ListChainsOfTableFamily(families[t.Family])
	if err != nil {
		return false, err
	}
	there := map[string]*nftables.Chain{}
	for _, c := range all {
		if c.Table.Name == t.Name {
			there[c.Name] = c
		}
	}
	if len(there) != len(chains) {
		return false, nil
	}
	for _, c := range chains {
		want, got := c.netlink(t.netlink()), there[c.name]
		if got == nil || got.Type != want.Type || !equal(got.Hooknum, want.Hooknum) || !equal(got.Priority, want.Priority) || !equal(got.Policy, want.Policy) {
			return false, nil
		}
		rules, err := conn.GetRules(want.Table, want)
		if err != nil || len(rules) != len(c.rules) {
			return false, err
		}
		for i, r := range rules {
			if !reflect.DeepEqual(r.Exprs, encode(t, c.rules[i])) {
				return false, nil
			}
		}
	}
	return true, nil
}

// equal compares what two pointers point to.
func equal[T comparable](a, b *T) bool { return a == b || a != nil && b != nil && *a == *b }

// encode returns the expressions for a rule of a table: loads into a register,
// and what is done with it.
func encode(t Table, r rule) (all []expr.Any) {
	for _, s := range r {
		all = append(all, expressions(t, s)...)
	}
	return all
}

func expressions(t Table, s statement) []expr.Any {
	switch s := s.(type) {
	case link:
		key := expr.MetaKeyOIFNAME
		if s.in {
			key = expr.MetaKeyIIFNAME
		}
		name := make([]byte, unix.IFNAMSIZ)
		copy(name, s.name)
		return []expr.Any{&expr.Meta{Key: key, Register: 1}, compare(s.not, name)}
	case address:
		return s.expressions(t)
	case ports:
		both := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, s.source), s.destination)
		return append(expressions(t, protocol(udp)),
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 4}, compare(false, both))
	case protocol:
		return []expr.Any{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, compare(false, []byte{byte(s)})}
	case network:
		return []expr.Any{&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1}, compare(false, []byte{byte(s)})}
	case icmp6:
		return append(append(expressions(t, nfproto6), expressions(t, protocol(icmpv6))...),
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 1}, compare(false, []byte{byte(s)}))
	case mark:
		return []expr.Any{&expr.Meta{Key: expr.MetaKeyMARK, Register: 1}, compare(false, native(uint32(s)))}
	case notFromUs:
		return []expr.Any{&expr.Fib{Register: 1, FlagSADDR: true, ResultADDRTYPE: true}, compare(true, native(unix.RTN_LOCAL))}
	case saveMark:
		return []expr.Any{&expr.Meta{Key: expr.MetaKeyMARK, Register: 1}, &expr.Ct{Key: expr.CtKeyMARK, Register: 1, SourceRegister: true}}
	case restoreMark:
		return []expr.Any{&expr.Ct{Key: expr.CtKeyMARK, Register: 1}, &expr.Meta{Key: expr.MetaKeyMARK, Register: 1, SourceRegister: true}}
	case verdict:
		return []expr.Any{s.expression()}
	}
	panic(fmt.Sprintf("firewall: no expression for %T", s))
}

func (s verdict) expression() expr.Any {
	switch s {
	case accept:
		return &expr.Verdict{Kind: expr.VerdictAccept}
	case drop:
		return &expr.Verdict{Kind: expr.VerdictDrop}
	case masquerade:
		return &expr.Masq{}
	}
	panic("firewall: no verdict " + string(s))
}

// expressions compares an address field; in a table of both families, after the
// family. Of a prefix the whole bytes are compared, or, where it ends within one,
// the bits that count.
func (s address) expressions(t Table) (all []expr.Any) {
	a, bits := s.prefix.Masked().Addr(), s.prefix.Bits()
	family, offset := nfproto4, uint32(12) // of the source, in struct iphdr
	if a.Is6() {
		family, offset = nfproto6, 8 // in struct ipv6hdr
	}
	value := a.AsSlice()
	if !s.source {
		offset += uint32(len(value))
	}
	whole := bits > 0 && bits%8 == 0
	if whole {
		value = value[:bits/8]
	}
	size := uint32(len(value))
	if t.Family == "inet" {
		all = expressions(t, family)
	}
	all = append(all, &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: size})
	if !whole {
		mask := net.CIDRMask(bits, a.BitLen())
		all = append(all, &expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: size, Mask: mask, Xor: make([]byte, size)})
	}
	return append(all, compare(false, value))
}

// compare compares the register with data.
func compare(not bool, data []byte) *expr.Cmp {
	op := expr.CmpOpEq
	if not {
		op = expr.CmpOpNeq
	}
	return &expr.Cmp{Op: op, Register: 1, Data: data}
}

func native(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }
