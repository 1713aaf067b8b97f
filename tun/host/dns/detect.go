package dns

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

const (
	resolvConf  = "/etc/resolv.conf"
	resolvedDir = "/run/systemd/resolve" // where systemd-resolved keeps the files that resolv.conf is linked to
)

// resolvedStub are the addresses at which systemd-resolved itself answers.
var resolvedStub = []netip.Addr{netip.MustParseAddr("127.0.0.53"), netip.MustParseAddr("127.0.0.54")}

// Detect returns the way that the host has now: systemd-resolved where it runs,
// or can be started, and /etc/resolv.conf leads to it; else resolvconf where it is
// installed; else /etc/resolv.conf.
func Detect(ctx context.Context) (Kind, error) {
	if leadsToResolved() && resolvedAvailable(ctx) {
		return Resolved, nil
	}
	program, err := exec.LookPath("resolvconf")
	if err != nil {
		return File, nil //nolint:nilerr // not installed
	}
	if program, err = filepath.EvalSymlinks(program); err != nil {
		return "", err
	}
	// Under this name it speaks to systemd-resolved, which nobody asks here: it
	// would itself read what /etc/resolv.conf says.
	if filepath.Base(program) == "resolvectl" {
		return File, nil
	}
	return Resolvconf, nil
}

// leadsToResolved says whether /etc/resolv.conf is a link to a file of
// systemd-resolved's, which need not be there yet, or names nobody but it.
func leadsToResolved() bool {
	path := resolvConf
	for range 8 {
		target, err := os.Readlink(path)
		if err != nil {
			break // the end of the chain
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = filepath.Clean(target)
		if dir, name := filepath.Split(path); strings.TrimPrefix(filepath.Clean(dir), "/var") == resolvedDir ||
			name == "resolv.conf" && strings.HasSuffix(dir, "/lib/systemd/") {
			return true
		}
	}
	text, err := os.ReadFile(resolvConf)
	if err != nil {
		return false
	}
	servers := nameservers(text)
	return len(servers) > 0 && !slices.ContainsFunc(servers, func(a netip.Addr) bool { return !slices.Contains(resolvedStub, a) })
}

// keyword splits a line of resolv.conf. A comment has none.
func keyword(line string) (word, value string) {
	line = strings.TrimSpace(line)
	if at := strings.IndexAny(line, " \t"); at > 0 && line[0] != '#' && line[0] != ';' {
		return line[:at], strings.TrimSpace(line[at:])
	}
	return "", ""
}

// nameservers returns the servers of a resolv.conf. What is no address is left out.
func nameservers(text []byte) (all []netip.Addr) {
	for line := range strings.Lines(string(text)) {
		if word, value := keyword(line); word == "nameserver" {
			if a, err := netip.ParseAddr(value); err == nil {
				all = append(all, a)
			}
		}
	}
	return all
}
