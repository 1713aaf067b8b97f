package host

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
)

// SSHPeers returns the other ends of the SSH sessions with this host, as far as this
// process can see them: the one that it was called in, and if it is to look for others
// too the TCP connections of SSH servers.
func SSHPeers(others bool) (peers []netip.Addr) {
	if words := strings.Fields(calledIn()); len(words) > 0 {
		if a, err := netip.ParseAddr(words[0]); err == nil {
			peers = append(peers, a.Unmap())
		}
	}
	var sockets map[string]bool
	if others {
		sockets = serverSockets()
	}
	if len(sockets) > 0 {
		for _, file := range []string{"/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"} {
			peers = append(peers, connected(file, sockets)...)
		}
	}
	return peers
}

// calledIn returns the SSH_CONNECTION of this process, or else of the nearest process
// above it that has one: sudo takes it out of the environment.
func calledIn() string {
	const variable = "SSH_CONNECTION="
	if own := os.Getenv("SSH_CONNECTION"); own != "" {
		return own
	}
	for pid := os.Getppid(); pid > 1; pid = parentOf(pid) {
		environ, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
		if err != nil {
			return "" // another user's, or gone
		}
		for e := range strings.SplitSeq(string(environ), "\x00") {
			if value, is := strings.CutPrefix(e, variable); is {
				return value
			}
		}
	}
	return ""
}

// parentOf returns the process that has started another; 0 if there is none.
func parentOf(pid int) int {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0
	}
	const parent = 1 // the place after the name; see proc(5)
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) <= parent {
		return 0
	}
	n, _ := strconv.Atoi(fields[parent]) // 0 if it is none
	return n
}

// sessions finds the SSH sessions with this host.
func (r *reader) sessions() error {
	peers := slices.Clone(r.q.Sessions)
	if r.q.SSH != Nobodys {
		peers = append(peers, SSHPeers(r.q.SSH == Everybodys)...)
	}
	slices.SortFunc(peers, netip.Addr.Compare)
	for _, peer := range slices.Compact(peers) {
		s := Session{Peer: peer}
		if routes, err := netlink.RouteGet(peer.AsSlice()); err == nil && len(routes) > 0 {
			if l, ok := r.byName[routes[0].LinkIndex]; ok {
				s.Link = l.Attrs().Name
			}
		}
		r.s.Sessions = append(r.s.Sessions, s)
	}
	return nil
}

// serverSockets returns the inodes of the sockets that SSH servers have open.
func serverSockets() map[string]bool {
	sockets := map[string]bool{}
	names, _ := filepath.Glob("/proc/[0-9]*/comm") // the pattern is right
	for _, path := range names {
		name, err := os.ReadFile(path)
		if err != nil || !strings.HasPrefix(string(name), "sshd") && !strings.HasPrefix(string(name), "dropbear") {
			continue
		}
		files, _ := filepath.Glob(filepath.Dir(path) + "/fd/*")
		for _, f := range files {
			to, err := os.Readlink(f)
			if inode, ok := strings.CutPrefix(to, "socket:["); ok && err == nil {
				sockets[strings.TrimSuffix(inode, "]")] = true
			}
		}
	}
	return sockets
}

// connected returns the other ends of established connections, as far as they are
// those of some sockets.
func connected(file string, sockets map[string]bool) (peers []netip.Addr) {
	f, err := os.Open(file)
	if err != nil {
		return nil
	}
	defer f.Close()
	const established = "01"
	for lines := bufio.NewScanner(f); lines.Scan(); {
		w := strings.Fields(lines.Text())
		if len(w) < 10 || w[3] != established || !sockets[w[9]] {
			continue
		}
		address, _, _ := strings.Cut(w[2], ":")
		if a, ok := procAddress(address); ok {
			peers = append(peers, a)
		}
	}
	return peers
}

// procAddress reads an address as /proc/net/tcp has it: words of the machine's
// own byte order in hexadecimal.
func procAddress(text string) (netip.Addr, bool) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b)%4 != 0 {
		return netip.Addr{}, false
	}
	for i := 0; i < len(b); i += 4 {
		word, err := strconv.ParseUint(text[2*i:2*i+8], 16, 32)
		if err != nil {
			return netip.Addr{}, false
		}
		binary.NativeEndian.PutUint32(b[i:], uint32(word))
	}
	a, ok := netip.AddrFromSlice(b)
	return a.Unmap(), ok
}
