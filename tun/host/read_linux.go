package host

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"vpn/tun/host/dns"
)

// Read takes down the state of the calling thread's network namespace.
func Read(ctx context.Context, q Query) (*State, error) {
	return read(q, func(r *reader) []func() error {
		resolver := func() (err error) {
			r.s.Resolver, err = dns.Detect(ctx)
			return err
		}
		return append(r.own(), r.paths, r.sysctls, r.shared, r.tableNames, r.sessions, resolver)
	})
}

// Look takes down only what [Missing] and [Journal.MarkUp] look at: the journal's
// link, and routes, rules and firewall tables.
func Look(j *Journal) (*State, error) {
	return read(Query{Link: j.Link, Journal: j}, (*reader).own)
}

func read(q Query, parts func(*reader) []func() error) (*State, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("read the host's state: %w", err)
	}
	defer h.Close()
	r := &reader{nl: h, q: q, s: &State{Sysctls: map[string]string{}}}
	for _, part := range parts(r) {
		if err := part(); err != nil {
			return nil, fmt.Errorf("read the host's state: %w", err)
		}
	}
	return r.s, nil
}

// own are the parts in which a link's own things are found.
func (r *reader) own() []func() error {
	return []func() error{r.links, r.addresses, r.routes, r.rules, r.firewall, r.held, r.servers}
}

type reader struct {
	nl     *netlink.Handle
	q      Query
	s      *State
	byName map[int]netlink.Link // by index, in spite of its name
}

func (r *reader) links() error {
	return retry(func() error {
		list, err := r.nl.LinkList()
		r.s.Links, r.byName = nil, map[int]netlink.Link{}
		for _, l := range list {
			a := l.Attrs()
			kind := l.Type()
			if kind == "device" {
				kind = ""
			}
			if kind == "tuntap" {
				kind = "tun"
			}
			r.s.Links = append(r.s.Links, Link{Name: a.Name, Index: a.Index, Kind: kind, MTU: a.MTU, Up: a.RawFlags&unix.IFF_UP != 0})
			r.byName[a.Index] = l
		}
		return err
	})
}

func (r *reader) addresses() error {
	l, there := r.s.link(r.q.Link)
	if !there {
		return nil
	}
	x := executor{nl: r.nl}
	var err error
	r.s.Addresses, err = x.addresses(l.Index)
	return err
}

// paths asks for the MTU on the way to each endpoint: of the route, as far as it
// or what came back says one, else of the link.
func (r *reader) paths() error {
	r.s.Paths = map[netip.Addr]int{}
	for _, a := range r.q.Toward {
		routes, err := netlink.RouteGetWithOptions(a.AsSlice(), &netlink.RouteGetOptions{Mark: r.q.Mark})
		if err != nil || len(routes) == 0 {
			continue // there is no way to it now
		}
		mtu := routes[0].MTU
		if l, ok := r.byName[routes[0].LinkIndex]; ok && mtu == 0 {
			mtu = l.Attrs().MTU
		}
		if l, ok := r.byName[routes[0].LinkIndex]; ok && l.Attrs().Name == r.q.Link {
			continue // into the tunnel itself
		}
		if mtu != 0 {
			r.s.Paths[a] = mtu
		}
	}
	return nil
}

// held reads the variables that the journal tells of.
func (r *reader) held() error {
	if r.q.Journal == nil {
		return nil
	}
	for _, e := range r.q.Journal.Entries() {
		key := ""
		switch a := e.Do.(type) {
		case Sysctl:
			key = a.Key
		case HoldSysctl:
			key = a.Key
		}
		if key == "" {
			continue
		}
		if value, err := readSysctl(key); err == nil {
			r.s.Sysctls[key] = value
		}
	}
	return nil
}

// servers looks whether the link's name servers are in the file where the journal
// says that they were put. Who else keeps them has ways of its own to be asked.
func (r *reader) servers() error {
	if r.q.Journal == nil {
		return nil
	}
	for _, e := range r.q.Journal.Entries() {
		if a, is := e.Do.(SetDNS); is && a.Way == dns.File {
			there, err := dns.Present(context.Background(), a.Way, a.Settings)
			if err != nil {
				return err
			}
			r.s.ServersLost = !there
		}
	}
	return nil
}

func (r *reader) sysctls() error {
	keys := []string{srcValidMark, sendRedirectsOfAll, forwarding4, forwarding6}
	for _, l := range r.s.Links {
		keys = append(keys, sysctlOf("ipv6", l.Name, "accept_ra"))
		if filter, err := readSysctl(sysctlOf("ipv4", l.Name, "rp_filter")); err == nil && filter == "1" {
			r.s.StrictFilter = true
		}
	}
	for _, which := range []string{"all", "default"} {
		if filter, err := readSysctl(sysctlOf("ipv4", which, "rp_filter")); err == nil && filter == "1" {
			r.s.StrictFilter = true
		}
	}
	for _, key := range keys {
		if value, err := readSysctl(key); err == nil {
			r.s.Sysctls[key] = value
		}
	}
	r.s.SysctlsReadOnly = errors.Is(unix.Access(sysctlPath(srcValidMark), unix.W_OK), unix.EROFS)
	has := func(which string) bool {
		off, err := readSysctl(sysctlOf("ipv6", which, "disable_ipv6"))
		return err == nil && off == "0"
	}
	r.s.IPv6, r.s.LinkIPv6 = has("default"), has(r.q.Link)
	return nil
}

func (r *reader) shared() error {
	s, err := openShared()
	if err != nil {
		return err
	}
	h, err := s.read()
	if err != nil {
		return err
	}
	r.s.Held, r.s.Marks = map[string]bool{}, map[uint32]string{}
	for key, held := range h.Sysctls {
		r.s.Held[key] = len(held.By) > 0
	}
	for mark, link := range h.Marks {
		if link != r.q.Link {
			r.s.Marks[mark] = link
		}
	}
	return nil
}

// tableNames reads the files in which iproute2 names tables; what is in /etc
// goes before what came with it.
func (r *reader) tableNames() error {
	r.s.TableNames = map[string]uint32{"default": 253, "main": MainTable, "local": LocalTable}
	for _, path := range tableFiles() {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if number, name, ok := tableLine(line); ok {
				r.s.TableNames[name] = number
			}
		}
	}
	return nil
}
