//go:build linux

package residue

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"vpn/cmd/internal/testnet"
	"vpn/rekey"
)

func TestMain(m *testing.M) {
	if pid := os.Getenv(tracer); pid != "" {
		if err := printRegisters(pid); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(testnet.Main(m))
}

// A device is a running `vpn device` with peers on its own host.
type device struct {
	*testnet.Daemon
	t     *testing.T
	key   [32]byte // private
	peers []*peer
}

// newDevice starts a daemon with so many peers.
func newDevice(t *testing.T, peers int) *device {
	t.Helper()
	h := testnet.NewHost(t, "a")
	d := &device{Daemon: h.StartDaemon(testnet.Plain), t: t}
	d.Up()
	for i := range peers {
		d.peers = append(d.peers, newPeer(t, h, byte(i+1)))
		d.Address(fmt.Sprintf("10.77.%d.1/24", i+1))
		d.Set(d.peers[i].lines()...)
	}
	d.setKey()
	return d
}

// setKey gives the daemon another private key.
func (d *device) setKey() {
	d.t.Helper()
	k := newKey()
	d.key = [32]byte(k.Bytes())
	d.key[0] &= 248 // as it is kept
	d.key[31] = d.key[31]&127 | 64
	d.Set("private_key=" + hex.EncodeToString(d.key[:]))
	for _, p := range d.peers {
		p.daemon = public(k)
	}
}

func (d *device) port() int {
	n, err := strconv.Atoi(d.Get().Device["listen_port"])
	if err != nil {
		d.t.Fatal(err)
	}
	return n
}

// secretKey is the daemon's private key.
func (d *device) secretKey() secret { return secret{"private key", d.key} }

// present and gone look at the daemon's memory.
func (d *device) present(when string, secrets ...secret) {
	d.t.Helper()
	present(d.t, d.PID(), when, secrets...)
}

func (d *device) gone(when string, secrets ...secret) {
	d.t.Helper()
	gone(d.t, d.PID(), when, secrets...)
}

// passing are a session's secrets that its handshake alone has needed: all but its keys, and what both static keys share.
func (s *session) passing() []secret {
	return slices.DeleteFunc(slices.Clone(s.secrets), func(x secret) bool {
		return x.name == "ss" || slices.Contains(s.keys(), x)
	})
}

// talk has the sessions in use, so that keys are where use has put them.
func talk(sessions ...*session) {
	for range 20 {
		for _, s := range sessions {
			s.ping(20)
		}
	}
}

// TestDevice ends sessions in each way that needs no waiting, in a daemon of one process.
func TestDevice(t *testing.T) {
	t.Parallel()
	d := newDevice(t, 3)
	port := d.port()
	one, two, three := d.peers[0], d.peers[1], d.peers[2]
	theirs, ours := one.initiate(port), two.respond()
	stays := three.initiate(port)
	talk(theirs, ours, stays)
	d.Get()
	keys := slices.Concat(theirs.keys(), ours.keys(), stays.keys())
	d.present("in use", append(keys, d.secretKey(), one.secretPSK(), two.secretPSK())...)
	d.gone("the handshakes are over", slices.Concat(theirs.passing(), ours.passing(), stays.passing())...)

	d.Set("public_key="+one.keyText(), "remove=true")
	d.gone("a peer is removed", append(theirs.secrets, one.secretPSK())...)

	old := two.secretPSK()
	rand.Read(two.psk[:])
	d.Set("public_key="+two.keyText(), "preshared_key="+two.pskText())
	again := two.initiate(port)
	talk(again)
	d.present("with another preshared key", append(again.keys(), two.secretPSK())...)
	d.gone("with another preshared key", old)

	was := d.secretKey()
	d.setKey()
	d.gone("the private key has changed", slices.Concat(ours.secrets, again.secrets, stays.secrets, []secret{was})...)

	last, more := two.initiate(port), three.respond()
	talk(last, more)
	d.present("with another private key", append(slices.Concat(last.keys(), more.keys()), d.secretKey())...)
	d.Down()
	d.gone("the device is down", slices.Concat(last.secrets, more.secrets)...)
	d.Set("private_key="+hex.EncodeToString(make([]byte, 32)), "replace_peers=true")
	d.gone("without a key", append([]secret{d.secretKey()}, two.secretPSK(), three.secretPSK())...)
}

// TestDisplaced has sessions displaced by newer ones.
func TestDisplaced(t *testing.T) {
	t.Parallel()
	d := newDevice(t, 1)
	port, p := d.port(), d.peers[0]
	var all []*session
	for range 3 {
		s := p.initiate(port)
		talk(s)
		all = append(all, s)
	}
	d.present("with room for two", slices.Concat(all[0].keys(), all[1].keys(), all[2].keys())...)
	<-time.After(rekey.DisplacedTime)
	d.gone("displaced", all[0].keys()...)
	d.gone("the handshakes are over", slices.Concat(all[0].passing(), all[1].passing(), all[2].passing())...)
	d.present("current and previous", slices.Concat(all[1].keys(), all[2].keys())...)
}

// TestAge has sessions end by their age: the current one, and one that was replaced, which began before.
func TestAge(t *testing.T) {
	t.Parallel()
	d := newDevice(t, 2)
	port := d.port()
	replaced, ours := d.peers[0].initiate(port), d.peers[1].respond()
	talk(replaced, ours)
	current := d.peers[0].initiate(port)
	talk(current)
	all := []*session{replaced, ours, current}
	for _, s := range all {
		d.present("in use", s.keys()...)
	}
	for _, s := range all {
		<-time.After(time.Until(s.since.Add(rekey.RejectAfterTime)))
		d.gone("by age", append(s.keys(), s.passing()...)...)
	}
	d.gone("by age", slices.Concat(replaced.secrets, ours.secrets, current.secrets)...)
}
