package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"vpn/tun/host/dns"
)

// executor does actions in the network namespace that it was made in.
type executor struct {
	nl      *netlink.Handle
	journal *Journal
	owner   Owner // may be nil, where there is nothing for it to do
	shared  shared
	index   map[string]int // of links; asked for once
	show    func(Action)

	configuring chan error // holds how Configure went, once it is done; nil: it is not under way
}

func newExecutor(j *Journal, o Owner, show func(Action)) (*executor, error) {
	nl.EnableErrorMessageReporting = true
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("netlink: %w", err)
	}
	shared, err := openShared()
	if err != nil {
		h.Close()
		return nil, err
	}
	return &executor{nl: h, journal: j, owner: o, shared: shared, index: map[string]int{}, show: show}, nil
}

func (x *executor) close() { x.nl.Close() }

// do does one action. What is done already is no error.
func (x *executor) do(ctx context.Context, a Action) error {
	if set, is := a.(SetLink); is && set.Up {
		if err := x.settle(); err != nil {
			return err
		}
	}
	switch a := a.(type) {
	case OpenLink, Configure, SetMark, Hook:
		return x.ask(ctx, a) // whose error says enough
	case Unknown:
		return fmt.Errorf("the journal of %s has a step of a kind that this version does not know: %q (undo it with the version that made it, or delete %s)",
			x.journal.Link, a.Kind, x.journal.run.path)
	}
	if err := x.change(ctx, a); err != nil {
		what := a.String()
		if what == "" {
			what = strings.TrimPrefix(fmt.Sprintf("%T", a), "host.")
		}
		if strings.Contains(what, "\n") { // a file's text: the error says what it is about
			return err
		}
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// ask has the owner do what is its own.
func (x *executor) ask(ctx context.Context, a Action) error {
	if x.owner == nil {
		return nil
	}
	switch a := a.(type) {
	case OpenLink:
		index, err := x.owner.OpenLink(ctx, a.Link)
		if err != nil {
			return err
		}
		return x.journal.Opened(index)
	case Configure:
		configuring := make(chan error, 1)
		go func() { configuring <- x.owner.Configure(ctx) }()
		x.configuring = configuring
	case SetMark:
		if err := x.settle(); err != nil {
			return err
		}
		return x.owner.SetMark(ctx, a.Mark)
	case Hook:
		if err := errors.Join(x.settle(), x.noteRules()); err != nil {
			return err
		}
		return x.owner.Hook(ctx, a)
	}
	return nil
}

// settle returns when the link has been configured. It gets its addresses meanwhile, but
// nothing passes through it before.
func (x *executor) settle() (err error) {
	if x.configuring != nil {
		err = <-x.configuring
		x.configuring = nil
	}
	return err
}

// noteRules takes down which policy rules there are before the first hook is run.
func (x *executor) noteRules() (err error) {
	if x.journal.rules == nil {
		x.journal.rules, err = readRules()
	}
	return err
}

func (x *executor) change(ctx context.Context, a Action) error {
	switch a := a.(type) {
	case DeleteLink:
		return x.deleteLink(a.Link)
	case SetLink:
		return x.setLink(a)
	case AddAddress:
		return x.addAddress(a)
	case DeleteAddress:
		return x.deleteAddress(a)
	case AddRoute:
		return x.addRoute(a.Route)
	case DeleteRoute:
		return x.deleteRoute(a.Route)
	case RestoreRoute:
		return restore(unix.RTM_NEWROUTE, a.Message)
	case RestoreRule:
		return restore(unix.RTM_NEWRULE, a.Message)
	case AddRule:
		return not(x.nl.RuleAdd(a.netlink()), unix.EEXIST)
	case DeleteRule:
		return not(x.nl.RuleDel(a.netlink()), unix.ENOENT, unix.EAFNOSUPPORT)
	case Sysctl:
		return writeSysctl(a.Key, a.Value)
	case HoldSysctl:
		return x.shared.hold(a)
	case ReleaseSysctl:
		return x.shared.release(a.Link, a.Key)
	case ClaimMark:
		return x.shared.claim(a)
	case ReleaseMark:
		return x.shared.unclaim(a)
	case LoadTable:
		if r := a.ruleset(); r != nil {
			return r.Load()
		}
	case DeleteTable:
		return a.Table.Delete()
	case SetDNS:
		return dns.Set(ctx, a.Way, a.Settings)
	case UnsetDNS:
		note, err := dns.Unset(ctx, a.Way, a.Link)
		if note != "" {
			x.show(Note(note))
		}
		return err
	case RemoveFile:
		if err := os.Remove(a.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	return fmt.Errorf("%T can't be done", a)
}

// not returns err unless it is one that does not matter.
func not(err error, harmless ...error) error {
	for _, h := range harmless {
		if errors.Is(err, h) {
			return nil
		}
	}
	return err
}

// link returns the index of a link.
func (x *executor) link(name string) (int, error) {
	if index, ok := x.index[name]; ok {
		return index, nil
	}
	l, err := x.nl.LinkByName(name)
	if err != nil {
		return 0, err
	}
	x.index[name] = l.Attrs().Index
	return l.Attrs().Index, nil
}

func isGone(err error) bool {
	var gone netlink.LinkNotFoundError
	return errors.As(err, &gone) || errors.Is(err, unix.ENODEV)
}

func (x *executor) deleteLink(name string) error {
	l, err := x.nl.LinkByName(name)
	if isGone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if opened := x.journal.Index(); l.Type() != "tuntap" || opened != 0 && opened != l.Attrs().Index {
		return nil // another one that has taken the name
	}
	delete(x.index, name)
	return not(x.nl.LinkDel(l), unix.ENODEV)
}

func (x *executor) setLink(a SetLink) error {
	l, err := x.nl.LinkByName(a.Link)
	if err != nil {
		return err
	}
	if err := x.nl.LinkSetMTU(l, a.MTU); err != nil || !a.Up {
		return err
	}
	return x.nl.LinkSetUp(l)
}

func (x *executor) address(link string, p netip.Prefix) (*netlink.Addr, error) {
	index, err := x.link(link)
	return &netlink.Addr{IPNet: ipNet(p), LinkIndex: index, Broadcast: net.IPv4zero}, err
}

func (x *executor) addAddress(a AddAddress) error {
	address, err := x.address(a.Link, a.Prefix)
	if err != nil {
		return err
	}
	return not(x.nl.AddrAdd(nil, address), unix.EEXIST)
}

// deleteAddress takes away nothing else. The kernel would take the other addresses
// of a subnet with its first one, and all routes of the family with the last.
func (x *executor) deleteAddress(a DeleteAddress) error {
	address, err := x.address(a.Link, a.Prefix)
	if isGone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	promote := sysctlOf("ipv4", a.Link, "promote_secondaries")
	if was, err := readSysctl(promote); err == nil && was == "0" && writeSysctl(promote, "1") == nil {
		defer func() { _ = writeSysctl(promote, was) }()
	}
	if err := not(x.nl.AddrDel(nil, address), unix.EADDRNOTAVAIL); err != nil {
		return err
	}
	left, err := x.addresses(address.LinkIndex)
	if err != nil || slices.ContainsFunc(left, func(p netip.Prefix) bool { return p.Addr().Is4() }) {
		return err
	}
	for _, e := range x.journal.Entries() {
		if r, ok := e.Do.(AddRoute); ok && r.Link == a.Link && r.Prefix.Addr().Is4() {
			if err := x.addRoute(r.Route); err != nil {
				return err
			}
		}
	}
	return nil
}

func (x *executor) addresses(index int) ([]netip.Prefix, error) {
	var all []netip.Prefix
	err := retry(func() error {
		list, err := x.nl.AddrList(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: index}}, netlink.FAMILY_ALL)
		all = all[:0]
		for _, a := range list {
			all = append(all, prefixOf(a.IPNet))
		}
		return err
	})
	return all, err
}

// retry asks again where something changed in the middle of the answer.
func retry(dump func() error) (err error) {
	for range 20 {
		if err = dump(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return err
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func prefixOf(n *net.IPNet) netip.Prefix {
	a, _ := netip.AddrFromSlice(n.IP)
	ones, bits := n.Mask.Size()
	if bits == 32 {
		a = a.Unmap()
	}
	return netip.PrefixFrom(a, ones)
}
