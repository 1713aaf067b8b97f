//go:build linux

package testnet

import (
	"bufio"
	"cmp"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
)

// Key is a private key and its public one, as the configuration protocol writes
// them: lower-case hexadecimal.
type Key struct{ Private, Public string }

// NewKey makes a key.
func NewKey() Key {
	private, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		panic(err) // the system's random numbers never fail
	}
	return Key{hex.EncodeToString(private.Bytes()), hex.EncodeToString(private.PublicKey().Bytes())}
}

// Daemon is a running WireGuard implementation with one device.
type Daemon struct {
	*Process
	*Link // its device

	Kind Kind
	Key  Key // the one to configure it with; it has none at first
}

// linkPrefix begins the names of all devices. The control sockets of all
// namespaces lie in one folder, so the process id and a count follow.
const linkPrefix = "vt"

var linkCount atomic.Int64

// NewLinkName returns a name for a device that no other test uses.
func NewLinkName() string {
	return linkPrefix + strconv.FormatInt(int64(os.Getpid()), 36) + "-" + strconv.FormatInt(linkCount.Add(1), 36)
}

func socketPath(link string) string { return "/var/run/wireguard/" + link + ".sock" }

// StartDaemon starts a daemon and waits until its control socket answers. It
// has a key of its own, not configured yet.
func (h *Host) StartDaemon(kind Kind) *Daemon {
	h.tb.Helper()
	d := h.StartDaemonAs(kind, NewLinkName())
	Until(h.tb, "the daemon answers", func() bool {
		if !d.Running() {
			h.tb.Fatalf("%s: %s ended at once", h.Name, kind)
		}
		_, err := h.exchange(d.Link.Name, "get=1\n\n")
		return err == nil
	})
	return d
}

// StartDaemonAs starts a daemon for a device name and does not wait for it.
func (h *Host) StartDaemonAs(kind Kind, link string) *Daemon {
	h.tb.Helper()
	path := Binary(h.tb, kind)
	if h.files == nil {
		h.tb.Cleanup(func() { _ = os.Remove(socketPath(link)) }) // a daemon that obeyed SIGTERM has removed it
	}
	p := h.Start(programs[kind].env, path, programs[kind].arguments(link)...)
	return &Daemon{Process: p, Link: h.Link(link), Kind: kind, Key: NewKey()}
}

// SocketPath returns the path of the daemon's control socket.
func (d *Daemon) SocketPath() string { return socketPath(d.Link.Name) }

// Set configures the daemon with lines of the configuration protocol.
func (d *Daemon) Set(lines ...string) {
	d.Host.tb.Helper()
	_, err := d.Host.exchange(d.Link.Name, "set=1\n"+strings.Join(lines, "\n")+"\n\n")
	d.Host.check(err, "set %s", d.Link.Name)
}

// Get returns the daemon's configuration and state.
func (d *Daemon) Get() State {
	d.Host.tb.Helper()
	lines, err := d.Host.exchange(d.Link.Name, "get=1\n\n")
	d.Host.check(err, "get %s", d.Link.Name)
	return parseState(lines)
}

// State is what a daemon answers to a get, by the protocol's names.
type State struct {
	Device map[string]string
	Peers  map[string]map[string]string // by public key; of repeated names the last
}

// Number returns a peer's value as a number, 0 if there is none.
func (s State) Number(peer, name string) int {
	n, _ := strconv.Atoi(s.Peers[peer][name])
	return n
}

func parseState(lines []string) State {
	s := State{Device: map[string]string{}, Peers: map[string]map[string]string{}}
	values := s.Device
	for _, line := range lines {
		name, value, _ := strings.Cut(line, "=")
		if name == "public_key" {
			values = map[string]string{}
			s.Peers[value] = values
		}
		values[name] = value
	}
	return s
}

// exchange sends one operation and returns the lines of its answer, without errno.
func (h *Host) exchange(link, operation string) (lines []string, err error) {
	h.Do(func() { lines, err = exchange(link, operation) })
	return lines, err
}

func exchange(link, operation string) ([]string, error) {
	conn, err := net.Dial("unix", socketPath(link))
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte(operation)); err != nil {
		return nil, err
	}
	var lines []string
	for scanner := bufio.NewScanner(conn); ; {
		if !scanner.Scan() {
			return nil, fmt.Errorf("the answer ends early: %w", cmp.Or(scanner.Err(), io.ErrUnexpectedEOF))
		}
		line := scanner.Text()
		if errno, ok := strings.CutPrefix(line, "errno="); ok {
			if errno != "0" {
				return nil, fmt.Errorf("errno %s", errno)
			}
			return lines, nil
		}
		lines = append(lines, line)
	}
}
