//go:build linux

package interop

import (
	"strings"
	"testing"

	"vpn/cmd/internal/testnet"
)

func TestPrivateKeyChange(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p pair) {
		t.Parallel()
		n := testnet.NewPair(t, p.a, p.b, 0, false)
		reach(t, n.A.Host, n.B)
		old := n.A.Daemon.Key
		n.A.Daemon.Key = testnet.NewKey()
		n.A.Daemon.Set("private_key=" + n.A.Daemon.Key.Private)
		unreachedByHandshake(t, n.A, n.B.Inner4)
		n.B.Daemon.Set("public_key="+old.Public, "remove=true")
		n.B.Knows(n.A, n.A.Endpoint(false))
		reach(t, n.B.Host, n.A)
		reach(t, n.A.Host, n.B)
	})
}

func TestPeerRemoval(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p pair) {
		t.Parallel()
		n := testnet.NewPair(t, p.a, p.b, 0, false)
		reach(t, n.A.Host, n.B)
		n.A.Daemon.Set("public_key="+n.B.Daemon.Key.Public, "remove=true")
		if peers := n.A.Daemon.Get().Peers; len(peers) > 0 {
			t.Errorf("peers left: %v", peers)
		}
		unreached(t, n.A, n.B.Inner4)
		unreached(t, n.B, n.A.Inner4)
		n.A.Knows(n.B, n.B.Endpoint(false))
		reach(t, n.A.Host, n.B)
		n.A.Daemon.Set("replace_peers=true")
		unreached(t, n.A, n.B.Inner6)
	})
}

func TestPresharedKeyChange(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p pair) {
		t.Parallel()
		n := testnet.NewPair(t, p.a, p.b, 0, false)
		reach(t, n.A.Host, n.B)
		preshared := "preshared_key=" + strings.Repeat("5a", 32)
		n.A.Daemon.Set("public_key="+n.B.Daemon.Key.Public, preshared)
		endSessions(n.A)
		unreachedByHandshake(t, n.A, n.B.Inner4)
		n.B.Daemon.Set("public_key="+n.A.Daemon.Key.Public, preshared)
		reach(t, n.A.Host, n.B)
		n.B.Daemon.Set("public_key="+n.A.Daemon.Key.Public, "preshared_key="+strings.Repeat("0", 64))
		endSessions(n.A)
		unreachedByHandshake(t, n.A, n.B.Inner6)
	})
}

// endSessions has a side forget its sessions, by another private key for a moment.
func endSessions(s *testnet.Side) {
	s.Daemon.Set("private_key=" + testnet.NewKey().Private)
	s.Daemon.Set("private_key=" + s.Daemon.Key.Private)
}

// TestPortChange moves the sockets in the middle of a session.
func TestPortChange(t *testing.T) {
	each(t, func(t *testing.T, p pair) {
		n := testnet.NewPair(t, p.a, p.b, 0, false)
		reach(t, n.A.Host, n.B)
		n.A.Daemon.Set("listen_port=61000")
		reach(t, n.A.Host, n.B)
		if got := endpointOf(t, n.B, n.A).Port(); got != 61000 {
			t.Errorf("the peer is at port %d, want 61000", got)
		}
	})
}

// TestAllowedIPsSwap replaces the allowed addresses by the same ones under
// traffic: no packet may fall into a gap between the old and the new.
func TestAllowedIPsSwap(t *testing.T) {
	eachOurs(t, func(t *testing.T, p pair) {
		n := testnet.NewPair(t, p.a, p.b, 0, false)
		reach(t, n.A.Host, n.B)
		pinger := n.A.NewPinger(n.B.Inner4, 16)
		for range 200 {
			seq, err := pinger.Send()
			if err != nil {
				t.Fatal(err)
			}
			n.A.Knows(n.B, "")
			if !pinger.Receive(seq, testnet.Patience) {
				t.Fatal("a packet was lost while allowed addresses were replaced")
			}
		}
	})
}
