//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os/exec"
	"strings"
	"time"

	"vpn/cmd/internal/testnet"
)

// setPatience is how long a daemon may take for one set, and for one dump.
const setPatience = 3 * time.Minute

// dumped is the highest count of peers of which showing them is timed too.
const dumped = 100_000

// roomPerPeer is the memory that a machine must have to try, in bytes: some for
// the daemon, more than our goal, some for the text of the configuration.
const roomPerPeer = 3000

// mostPeers are the most that a daemon takes.
var mostPeers = map[testnet.Kind]int{testnet.WireGuardGo: 1 << 16}

// benchPeers configures many peers in one set, looks at the memory after, and
// shows them all. A daemon that takes fewer has no value for that count.
func benchPeers(tb testnet.TB, s *settings, kind testnet.Kind, r *report) {
	for _, count := range s.peers {
		if most, ok := mostPeers[kind]; ok && count > most {
			r.note("%s takes %s peers at most.", kind, thousands(most))
			continue
		}
		if room := availableBytes(tb); room < float64(count)*roomPerPeer {
			r.note("%s peers are left out: %.1f GB of memory are too few.", thousands(count), room/1e9)
			continue
		}
		var refused error
		if err := attempt(func(tb testnet.TB) { refused = configurePeers(tb, s, kind, count, r) }); err != nil {
			tb.Fatalf("%s peers: %v", thousands(count), err)
		}
		if refused != nil {
			r.note("%s does not take %s peers: %v.", kind, thousands(count), refused)
		}
	}
}

// configurePeers does it for one count, and returns an error if the daemon takes
// no such configuration.
func configurePeers(tb testnet.TB, s *settings, kind testnet.Kind, count int, r *report) (refused error) {
	d := testnet.NewHost(tb, "gateway").StartDaemon(kind)
	d.Set("private_key="+d.Key.Private, "listen_port=51820")
	d.Up()
	before := megabytes(tb, d, "VmRSS")
	config := peerConfig(count)
	begin := time.Now()
	if refused = setAll(d, config); refused != nil {
		return refused
	}
	r.add(tb, kind, peersTime(count), time.Since(begin).Seconds())
	<-time.After(s.settle)
	after := megabytes(tb, d, "VmRSS")
	r.add(tb, kind, peersMemory(count), after)
	r.add(tb, kind, peerMemory(count), (after-before)*1e3/float64(count))
	r.add(tb, kind, peersPeak(count), megabytes(tb, d, "VmHWM"))
	if count <= dumped {
		r.add(tb, kind, dumpTime(count), timeDump(tb, d, count).Seconds())
	}
	return nil
}

// peerConfig writes the set of count peers, with an address each.
func peerConfig(count int) []byte {
	var b bytes.Buffer
	b.Grow(count * len("public_key=\nallowed_ip=10.255.255.255/32\n"+strings.Repeat("0", 64)))
	b.WriteString("set=1\n")
	keys := rand.NewChaCha8([32]byte{1}) // public keys need no secret behind them
	var public [32]byte
	for i := range count {
		_, _ = keys.Read(public[:]) // never fails
		_, _ = fmt.Fprintf(&b, "public_key=%s\nallowed_ip=10.%d.%d.%d/32\n", hex.EncodeToString(public[:]), i>>16&255, i>>8&255, i&255)
	}
	b.WriteString("\n")
	return b.Bytes()
}

// setAll sends a set operation and waits for the answer.
func setAll(d *testnet.Daemon, operation []byte) error {
	conn, err := net.Dial("unix", d.SocketPath())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(setPatience)); err != nil {
		return err
	}
	if _, err := conn.Write(operation); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	if line != "errno=0\n" {
		return errors.New(strings.TrimSpace(line))
	}
	return nil
}

// timeDump times "vpn show NAME dump", which shows any daemon's peers.
func timeDump(tb testnet.TB, d *testnet.Daemon, count int) time.Duration {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), setPatience)
	defer cancel()
	lines := &lineCounter{}
	show := exec.CommandContext(ctx, testnet.Binary(tb, testnet.VPN), "show", d.Link.Name, "dump")
	var stderr bytes.Buffer
	show.Stdout, show.Stderr = lines, &stderr
	begin := time.Now()
	if err := show.Run(); err != nil {
		tb.Fatalf("show dump: %v\n%s", err, &stderr)
	}
	if lines.count != count+1 { // the first is the interface's
		tb.Fatalf("show dump printed %d lines for %d peers", lines.count, count)
	}
	return time.Since(begin)
}

// lineCounter counts the lines written to it.
type lineCounter struct{ count int }

var _ io.Writer = &lineCounter{}

func (l *lineCounter) Write(b []byte) (int, error) {
	l.count += bytes.Count(b, []byte("\n"))
	return len(b), nil
}
