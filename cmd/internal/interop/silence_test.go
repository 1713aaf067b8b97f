//go:build linux

package interop

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"testing"
	"time"

	"vpn/cmd/internal/testnet"

	"golang.org/x/sys/unix"
)

// TestUnreachable holds that a sender is told at once that nobody is there: a
// connection attempt fails for that reason, and not for want of an answer.
func TestUnreachable(t *testing.T) {
	eachOurs(t, func(t *testing.T, p pair) {
		n := testnet.NewHosts(t, 0)
		n.A.StartDaemon(p.a)
		n.B.StartDaemon(p.b)
		n.A.Knows(n.B, "")
		n.A.Daemon.Up()
		behind := testnet.NewHost(t, "behind")
		n.A.Forward()
		toBehind, toA := testnet.Connect(n.A.Host, behind, 0)
		toBehind.Address("10.20.0.1/24", "fd20::1/64")
		toA.Address("10.20.0.2/24", "fd20::2/64")
		toA.Route("10.9.0.0/24", "10.20.0.1", 0)
		toA.Route("fd09::/64", "fd20::1", 0)
		for _, from := range []*testnet.Host{n.A.Host, behind} {
			for what, addresses := range map[string][]string{
				"no peer":     {"10.9.0.77", "fd09::77"},
				"no endpoint": {n.B.Inner4, n.B.Inner6},
			} {
				for _, address := range addresses {
					err := from.DialError(net.JoinHostPort(address, "9"), testnet.Patience)
					if !errors.Is(err, unix.EHOSTUNREACH) {
						t.Errorf("%s, from %s to %s: %v, want host unreachable", what, from.Name, address, err)
					}
				}
			}
		}
	})
}

// TestSilentUntilUp gives a side all that it needs but the link's being up.
func TestSilentUntilUp(t *testing.T) {
	t.Parallel()
	eachOurs(t, func(t *testing.T, p pair) {
		t.Parallel()
		n := testnet.NewHosts(t, 0)
		n.StartDaemons(p.a, p.b)
		capture := testnet.NewCapture(n.A.Outer)
		n.A.Daemon.Set(append(n.B.PeerLines(n.B.Endpoint(false)), "persistent_keepalive_interval=1")...)
		n.B.Knows(n.A, n.A.Endpoint(false))
		n.B.Daemon.Up()
		unreached(t, n.B, n.A.Inner4) // for a second B calls; A must not answer
		for _, m := range capture.Messages() {
			if m.Outgoing {
				t.Errorf("a message of type %d while the device is down", m.Type())
			}
		}
		n.A.Daemon.Up()
		testnet.Until(t, "a handshake begins", func() bool {
			for _, m := range capture.Messages() {
				if m.Outgoing && m.Type() == 1 {
					return true
				}
			}
			return false
		})
	})
}

func TestSilentWithoutKey(t *testing.T) {
	t.Parallel()
	eachOurs(t, func(t *testing.T, p pair) {
		t.Parallel()
		n := testnet.NewPair(t, p.a, p.b, 0, false)
		reach(t, n.A.Host, n.B)
		n.A.Daemon.Set("private_key=0000000000000000000000000000000000000000000000000000000000000000")
		capture := testnet.NewCapture(n.A.Outer)
		unreached(t, n.A, n.B.Inner4)
		unreached(t, n.B, n.A.Inner4)
		for _, m := range capture.Messages() {
			if m.Outgoing {
				t.Errorf("a message of type %d without a key", m.Type())
			}
		}
		n.A.Daemon.Set("private_key=" + n.A.Daemon.Key.Private)
		reach(t, n.A.Host, n.B)
	})
}

// TestGarbage sends datagrams of many lengths and beginnings to side A, one by
// one and in segmented sends that arrive coalesced.
func TestGarbage(t *testing.T) {
	each(t, func(t *testing.T, p pair) {
		n := testnet.NewPair(t, p.a, p.b, 65535, false)
		reach(t, n.A.Host, n.B)
		conn := n.B.DialUDP(net.JoinHostPort(n.A.Outer4, strconv.Itoa(n.A.Port)))
		buffer := make([]byte, 65507)
		send := func(size int) {
			for _, kind := range []byte{0, 1, 2, 3, 4, 255} {
				buffer[0] = kind
				if _, err := conn.Write(buffer[:size]); err != nil && !errors.Is(err, unix.ECONNREFUSED) {
					t.Fatalf("%d bytes: %v", size, err)
				}
			}
		}
		for size := range 300 {
			send(size)
		}
		for size := 300; size < len(buffer); size += 331 {
			send(size)
		}
		send(10000)
		send(len(buffer))
		segmented(t, conn, buffer)
		reach(t, n.A.Host, n.B)
		stream := testnet.Dial(n.A.Host, n.B.Host, n.B.Inner4)
		stream.Both(4<<20, 2*crawling(4<<20))
		if !n.A.Daemon.Running() {
			t.Error("the daemon has ended")
		}
	})
}

// segmented sends runs of equal datagrams in single calls.
func segmented(t *testing.T, conn *net.UDPConn, buffer []byte) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{1, 16, 32, 148, 1000, 10000} {
		var failed error
		if err := raw.Control(func(fd uintptr) {
			failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT, size)
		}); err != nil || failed != nil {
			t.Fatal(err, failed)
		}
		run := buffer[:min(size*64-size/2, len(buffer))]
		if _, err := conn.Write(run); err != nil {
			t.Fatalf("segments of %d bytes: %v", size, err)
		}
	}
}

// TestIdlePairFallsSilent waits until keepalives would have begun to answer one
// another. After a request and its reply one keepalive is due: A's, who was
// spoken to last.
func TestIdlePairFallsSilent(t *testing.T) {
	t.Parallel()
	eachOurs(t, func(t *testing.T, p pair) {
		t.Parallel()
		n := testnet.NewPair(t, p.a, p.b, 0, false)
		capture := testnet.NewCapture(n.A.Outer)
		if n.A.Ping(n.B.Inner4, 1, testnet.Patience).Received != 1 {
			t.Fatal("no reply")
		}
		before := len(capture.Messages())
		testnet.Until(t, "the receiver of the reply keeps the session alive", func() bool { return len(capture.Messages()) > before })
		<-time.After(14 * time.Second) // longer than a keepalive's answer would take
		if after := capture.Messages()[before:]; len(after) > 1 || after[0].Type() != 4 || !after[0].Outgoing {
			t.Errorf("messages on an idle pair, where A's keepalive alone is due: %v", summary(after))
		}
	})
}

func summary(messages []testnet.Message) (lines []string) {
	for _, m := range messages {
		lines = append(lines, fmt.Sprintf("%v > %v type %d, %d bytes", m.From, m.To, m.Type(), len(m.Payload)))
	}
	return lines
}
