package host

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"vpn/tun/host/dns"
	"vpn/tun/host/firewall"
)

// Watch tells of what is taken away from the host that may have been a link's,
// until ctx ends; then the channel is closed. It tells of more than was ours:
// [Missing] knows. While nobody receives, changes are put together: one that is
// received late stands for all until then.
func Watch(ctx context.Context, link string) (<-chan Change, error) {
	routes, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
		unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE,
		unix.RTNLGRP_IPV4_NETCONF, unix.RTNLGRP_IPV6_NETCONF)
	if err != nil {
		return nil, fmt.Errorf("watch the host: %w", err)
	}
	sockets := []*nl.NetlinkSocket{routes}
	w := watch{link: link, changes: make(chan Change, 1)}
	if l, err := netlink.LinkByName(link); err == nil {
		w.index = l.Attrs().Index
	}
	var all sync.WaitGroup
	all.Go(func() { w.follow(routes, w.route) })
	// A kernel without nftables has nothing to tell of it.
	if tables, err := nl.Subscribe(unix.NETLINK_NETFILTER, unix.NFNLGRP_NFTABLES); err == nil {
		sockets = append(sockets, tables)
		all.Go(func() { w.follow(tables, w.table) })
	}
	variables := openVariables()
	all.Go(func() { w.variables(ctx, variables) })
	if servers, err := dns.WatchFile(ctx); err == nil { // else it is looked at with all the rest
		all.Go(func() {
			for by := range servers {
				w.tell(Change{What: "name servers", Who: by})
			}
		})
	}
	stop := context.AfterFunc(ctx, func() {
		for _, s := range sockets {
			s.Close()
		}
	})
	go func() {
		all.Wait()
		stop()
		close(w.changes)
	}()
	return w.changes, nil
}

type watch struct {
	link    string
	index   int
	changes chan Change
}

// follow reads a socket until it is closed.
func (w *watch) follow(s *nl.NetlinkSocket, what func(syscall.NetlinkMessage) string) {
	for {
		messages, _, err := s.Receive()
		switch {
		case errors.Is(err, unix.ENOBUFS): // the kernel had more to say than there was room for
			w.tell(Change{})
		case err != nil:
			s.Close()
			return
		}
		for _, m := range messages {
			if thing := what(m); thing != "" {
				w.tell(Change{What: thing, Who: process(m.Header.Pid)})
			}
		}
	}
}

// tell leaves the change for whoever receives. The last one that names somebody
// stays.
func (w *watch) tell(c Change) {
	for {
		select {
		case w.changes <- c:
			return
		case old := <-w.changes:
			if c.Who == "" {
				c.Who = old.Who
			}
		}
	}
}

// route says what a message of the routing family took away; empty: nothing that
// could be ours.
func (w *watch) route(m syscall.NetlinkMessage) string {
	b := m.Data
	switch m.Header.Type {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		if len(b) >= unix.SizeofIfInfomsg && int(binary.NativeEndian.Uint32(b[4:])) == w.index && b[0] == unix.AF_UNSPEC {
			return "link " + w.link
		}
	case unix.RTM_DELADDR:
		if len(b) >= unix.SizeofIfAddrmsg && int(binary.NativeEndian.Uint32(b[4:])) == w.index {
			return "address of " + w.link
		}
	case unix.RTM_DELROUTE:
		if d, ok := parseRoute(b, func(index int) string {
			if index == w.index {
				return w.link
			}
			return ""
		}); ok && (d.Protocol == Protocol || d.Link == w.link) {
			return "route " + routeName(d.Prefix)
		}
	case unix.RTM_DELRULE:
		return "rule"
	case unix.RTM_NEWNETCONF:
		return "sysctl"
	}
	return ""
}

// between is how often variables are read of which the kernel does not tell.
const between = 5 * time.Second

// openVariables opens those of the calling thread's network namespace that a
// tunnel may set: /proc shows whoever looks his own.
func openVariables() (files []*os.File) {
	for _, key := range []string{srcValidMark, sendRedirectsOfAll, forwarding4, forwarding6} {
		if f, err := os.Open(sysctlPath(key)); err == nil { // else there is nothing to set
			files = append(files, f)
		}
	}
	return files
}

// variables looks now and then whether any has changed.
func (w *watch) variables(ctx context.Context, files []*os.File) {
	values := func() (all string) {
		b := make([]byte, 16)
		for _, f := range files {
			n, _ := f.ReadAt(b, 0) // it is shorter than there is room
			all += string(b[:n])
		}
		return all
	}
	ticker := time.NewTicker(between)
	defer ticker.Stop()
	for was := values(); ctx.Err() == nil; {
		select {
		case <-ctx.Done():
		case <-ticker.C:
			if is := values(); is != was {
				was = is
				w.tell(Change{What: "sysctl"})
			}
		}
	}
	for _, f := range files {
		_ = f.Close() // it was only read
	}
}

func routeName(p netip.Prefix) string {
	if p.Bits() == 0 {
		return "default"
	}
	return p.String()
}

// table says which table a message of nftables took something away from.
func (w *watch) table(m syscall.NetlinkMessage) string {
	const header = 4 // struct nfgenmsg
	switch m.Header.Type & 0xff {
	case unix.NFT_MSG_DELTABLE, unix.NFT_MSG_DELCHAIN, unix.NFT_MSG_DELRULE:
	default:
		return ""
	}
	if m.Header.Type>>8 != unix.NFNL_SUBSYS_NFTABLES || len(m.Data) < header {
		return ""
	}
	for kind, value := range attributes(m.Data[header:]) {
		const table = unix.NFTA_TABLE_NAME // that of chains and rules is the same
		if kind != table {
			continue
		}
		name := unix.ByteSliceToString(value)
		if link, ours := firewall.LinkOf(firewall.Table{Name: name}); ours && link == w.link {
			return "nft table " + name
		}
	}
	return ""
}

// process names the process that a netlink port belongs to, if that can be known.
// The first socket of a process has its id as its port; others are looked for.
func process(port uint32) string {
	if port == 0 {
		return "" // the kernel itself
	}
	pid := fmt.Sprint(port)
	if int32(port) < 0 {
		if pid = ownerOf(port); pid == "" {
			return ""
		}
	}
	name, err := os.ReadFile(filepath.Join("/proc", pid, "comm"))
	if err != nil {
		return "process " + pid + ", which has ended"
	}
	return fmt.Sprintf("%s (process %s)", strings.TrimSpace(string(name)), pid)
}

// ownerOf looks for the process that has a netlink socket open.
func ownerOf(port uint32) (pid string) {
	text, err := os.ReadFile("/proc/thread-self/net/netlink")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		w := strings.Fields(line)
		if len(w) < 10 || w[2] != fmt.Sprint(port) {
			continue
		}
		files, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the pattern is right
		for _, f := range files {
			if to, err := os.Readlink(f); err == nil && to == "socket:["+w[9]+"]" {
				return strings.Split(f, "/")[2]
			}
		}
	}
	return ""
}
