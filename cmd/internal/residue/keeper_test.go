//go:build linux

package residue

import (
	"encoding/base64"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"vpn/cmd/internal/testnet"
)

// A link is one that `vpn up` has made of a file, with peers on its own host.
type link struct {
	*testnet.Host
	t     *testing.T
	vpn   string
	key   [32]byte
	peers []*peer
}

const linkPort = 51820

func newLink(t *testing.T, peers int) *link {
	t.Helper()
	l := &link{Host: testnet.NewMachine(t, "a"), t: t, vpn: testnet.Binary(t, testnet.Plain)}
	for i := range peers {
		l.peers = append(l.peers, newPeer(t, l.Host, byte(i+1)))
	}
	return l
}

func inBase64(k [32]byte) string { return base64.StdEncoding.EncodeToString(k[:]) }

// write writes the file, with another private key if that is wanted.
func (l *link) write(newPrivate bool) {
	l.t.Helper()
	if newPrivate {
		k := newKey()
		l.key = [32]byte(k.Bytes())
		l.key[0] &= 248 // as it is kept
		l.key[31] = l.key[31]&127 | 64
		for _, p := range l.peers {
			p.daemon = public(k)
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "[Interface]\nPrivateKey = %s\nListenPort = %d\nAddress = 10.77.1.1/24, 10.77.2.1/24\n", inBase64(l.key), linkPort)
	for _, p := range l.peers {
		fmt.Fprintf(&b, "[Peer]\nPublicKey = %s\nPresharedKey = %s\nEndpoint = %s\nAllowedIPs = %s/32\n",
			inBase64(public(p.key)), inBase64(p.psk), p.outer(), p.inner())
	}
	l.WriteFile("/etc/wireguard/wg0.conf", b.String(), 0o600)
}

// processes returns the keeper and its engine.
func (l *link) processes() (keeper, engine int) {
	l.t.Helper()
	for _, pid := range l.Processes() {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil {
			continue // it has ended
		}
		switch fields := strings.Split(string(line), "\x00"); {
		case len(fields) > 1 && fields[1] == "device":
			engine = pid
		case len(fields) > 1 && fields[1] == "run":
			keeper = pid
		}
	}
	if keeper == 0 || engine == 0 {
		l.t.Fatalf("keeper %d, engine %d", keeper, engine)
	}
	return keeper, engine
}

// TestLink ends sessions and keys of a link that has a keeper: by reload, and by setting them with the link up.
func TestLink(t *testing.T) {
	t.Parallel()
	l := newLink(t, 2)
	l.write(true)
	l.MustRun(l.vpn, "up", "wg0")
	keeper, engine := l.processes()
	one, two := l.peers[0], l.peers[1]
	private := func() secret { return secret{"private key", l.key} }

	theirs, ours := one.initiate(linkPort), two.respond()
	talk(theirs, ours)
	l.MustRun(l.vpn, "showconf", "wg0")
	inForce := []secret{private(), one.secretPSK(), two.secretPSK()}
	present(t, engine, "up", slices.Concat(theirs.keys(), ours.keys(), inForce)...)
	gone(t, engine, "up", slices.Concat(theirs.passing(), ours.passing())...)
	gone(t, keeper, "up", slices.Concat(theirs.secrets, ours.secrets, inForce)...)

	was := one.secretPSK()
	one.psk = [32]byte(newKey().Bytes())
	l.write(false)
	l.MustRun(l.vpn, "reload", "wg0")
	theirs = one.initiate(linkPort)
	talk(theirs)
	for _, pid := range []int{keeper, engine} {
		gone(t, pid, "another preshared key", was)
	}

	before := slices.Concat(theirs.secrets, ours.secrets, []secret{private()})
	l.write(true)
	l.MustRun(l.vpn, "reload", "wg0")
	last := one.initiate(linkPort)
	talk(last)
	present(t, engine, "another private key", append(last.keys(), private())...)
	gone(t, engine, "another private key", before...)
	gone(t, keeper, "another private key", append(before, private(), one.secretPSK())...)

	l.WriteFile("/run/psk", inBase64([32]byte(newKey().Bytes())), 0o600)
	l.MustRun(l.vpn, "set", "wg0", "peer", inBase64(public(two.key)), "preshared-key", "/run/psk")
	for _, pid := range []int{keeper, engine} {
		gone(t, pid, "a preshared key set by hand", two.secretPSK())
	}
	l.MustRun(l.vpn, "set", "wg0", "peer", inBase64(public(one.key)), "remove")
	for _, pid := range []int{keeper, engine} {
		gone(t, pid, "a peer is removed", append(last.secrets, one.secretPSK())...)
	}

	l.Link("wg0").Down()
	l.Link("wg0").Up()
	fresh := two
	fresh.psk = [32]byte(decoded(t, l.ReadFile("/run/psk")))
	again := fresh.initiate(linkPort)
	talk(again)
	l.Link("wg0").Down()
	gone(t, engine, "the link is down", again.secrets...)
	guarded(t, keeper)
	guarded(t, engine)
	l.MustRun(l.vpn, "down", "wg0")
}

func decoded(t *testing.T, text string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// guarded fails the test if a process can dump core, or be looked into by others than root: the files of one that can't
// belong to root, whoever it runs as.
func guarded(t *testing.T, pid int) {
	t.Helper()
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(limits)) {
		if rest, ok := strings.CutPrefix(line, "Max core file size"); ok && strings.Join(strings.Fields(rest)[:2], " ") != "0 0" {
			t.Errorf("process %s may dump core: %s", strconv.Itoa(pid), rest)
		}
	}
	if dumpable := fileOwner(t, fmt.Sprintf("/proc/%d/mem", pid)); dumpable != 0 {
		t.Errorf("process %d may be traced by user %d", pid, dumpable)
	}
}

func fileOwner(t *testing.T, path string) uint32 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return owner(info)
}
