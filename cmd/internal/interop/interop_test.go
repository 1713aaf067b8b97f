//go:build linux

package interop

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"vpn/cmd/internal/testnet"
)

const (
	ours      = testnet.VPN
	reference = testnet.WireGuardGo
)

// pair is who stands on side A and on side B. Side A is the one that a test
// looks at.
type pair struct{ a, b testnet.Kind }

func (p pair) String() string { return string(p.a) + " with " + string(p.b) }

var pairs = []pair{{ours, ours}, {ours, reference}, {reference, ours}}

func TestMain(m *testing.M) {
	flag.Func("pairs", "pairs to test instead of the usual, such as wireguard-go/wireguard-go,vpn/vpn", func(list string) error {
		pairs = nil
		for text := range strings.SplitSeq(list, ",") {
			a, b, ok := strings.Cut(text, "/")
			if !ok {
				return fmt.Errorf("%q is not a/b", text)
			}
			pairs = append(pairs, pair{testnet.Kind(a), testnet.Kind(b)})
		}
		return nil
	})
	// What runs in parallel waits most of its time: more of it than there are
	// processors.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	flag.Parse()
	os.Exit(testnet.Main(m))
}

// each runs a test for every pair.
func each(t *testing.T, test func(t *testing.T, p pair)) {
	t.Helper()
	for _, p := range pairs {
		t.Run(p.String(), func(t *testing.T) { test(t, p) })
	}
}

// eachOurs runs a test for the pairs whose side A is this program: for what
// wireguard-go does otherwise.
func eachOurs(t *testing.T, test func(t *testing.T, p pair)) {
	t.Helper()
	for _, p := range pairs {
		if p.a == ours || p.b == p.a {
			t.Run(p.String(), func(t *testing.T) { test(t, p) })
		}
	}
}

// crawling is ten times slower than what works, and ten times faster than what
// crawls: a transfer of n bytes may take as long as it does at a megabyte a
// second.
func crawling(n int64) time.Duration { return time.Duration(n) * time.Second / 1e6 }

// families are IPv4 and IPv6, by whether it is six.
var families = map[string]bool{"IPv4": false, "IPv6": true}

// inner returns a side's address inside the tunnel.
func inner(s *testnet.Side, six bool) string {
	if six {
		return s.Inner6
	}
	return s.Inner4
}

// outer returns a side's address outside the tunnel.
func outer(s *testnet.Side, six bool) string {
	if six {
		return s.Outer6
	}
	return s.Outer4
}

// reach fails the test unless echo requests and replies pass in both families.
func reach(t *testing.T, from *testnet.Host, to *testnet.Side) {
	t.Helper()
	from.MustPing(to.Inner4)
	from.MustPing(to.Inner6)
}

// unreached fails the test if a reply comes within a second: long enough where
// sessions are there, or where a handshake begins at once.
func unreached(t *testing.T, from *testnet.Side, to string) {
	t.Helper()
	if from.Ping(to, 1, time.Second).Received > 0 {
		t.Errorf("%s answers", to)
	}
}

// unreachedByHandshake fails the test if a reply comes within seven seconds:
// a handshake may have to wait for the five after the one before.
func unreachedByHandshake(t *testing.T, from *testnet.Side, to string) {
	t.Helper()
	if from.Ping(to, 7, time.Second).Received > 0 {
		t.Errorf("%s answers", to)
	}
}
