package engine

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"vpn/cmd/internal/testnet"
	"vpn/tunnel/uapi"
)

func TestMain(m *testing.M) { os.Exit(testnet.Main(m)) }

// TestMemoryOfPeers is about a whole daemon as users have it: what peers cost while they are there, and that it is given back when they
// are gone, whether they go all at once or one by one.
func TestMemoryOfPeers(t *testing.T) {
	const peers, perPeer = 50_000, 1024
	d := testnet.NewHost(t, "gateway").StartDaemon(testnet.Plain)
	d.Set("private_key="+d.Key.Private, "listen_port=51820")
	d.Up()
	client, err := uapi.Dial(d.Link.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	set := func(c *uapi.Config) {
		t.Helper()
		if err := client.Set(c); err != nil {
			t.Fatal(err)
		}
	}
	before := resident(t, d.PID())
	// The runtime keeps some memory of its own, more than before anything was asked of it.
	small := func() bool { return resident(t, d.PID()) < before+peers*perPeer/3 }
	all := &uapi.Config{Peers: make([]uapi.PeerConfig, peers)}
	for i := range all.Peers {
		rand.Read(all.Peers[i].PublicKey[:])
		a := binary.BigEndian.AppendUint32(nil, 10<<24+uint32(i))
		all.Peers[i].AllowedIPs = []uapi.AllowedIP{{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte(a)), 32)}}
	}
	remove := &uapi.Config{Peers: make([]uapi.PeerConfig, peers)}
	for i := range remove.Peers {
		remove.Peers[i] = uapi.PeerConfig{PublicKey: all.Peers[i].PublicKey, Remove: true}
	}

	for how, gone := range map[string]func(){
		"replaced":     func() { set(&uapi.Config{ReplacePeers: true}) },
		"in a request": func() { set(remove) },
		"one by one": func() {
			for i := range remove.Peers {
				set(&uapi.Config{Peers: remove.Peers[i : i+1]})
			}
		},
	} {
		set(all)
		if small() {
			t.Fatal("the peers cost nothing: this test can't see them")
		}
		testnet.Until(t, "a peer costs less than a kilobyte", func() bool { return resident(t, d.PID()) < before+peers*perPeer })
		t.Logf("a peer costs %d bytes", (resident(t, d.PID())-before)/peers)
		gone()
		testnet.Until(t, "the memory of peers that were removed "+how+" is given back", small)
		t.Logf("removed %s, a peer leaves %d bytes", how, (resident(t, d.PID())-before)/peers)
	}
}

// resident is how many bytes of memory a process has.
func resident(t *testing.T, pid int) (bytes int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(text), "VmRSS:")
	if _, err := fmt.Sscanf(line, "%d kB", &bytes); err != nil {
		t.Fatalf("VmRSS: %v", err)
	}
	return bytes << 10
}
