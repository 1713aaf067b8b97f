//go:build linux

package diagnosetest

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vpn/cmd/internal/diagnose"
	"vpn/cmd/internal/testnet"
)

// parallel is how many tests run at once, unless the command line says: they wait more than they work.
const parallel = "6"

func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", parallel); err != nil {
		panic(err) // there is such a flag
	}
	os.Exit(testnet.Main(m))
}

func base64Of(hexadecimal string) string {
	b, err := hex.DecodeString(hexadecimal)
	if err != nil {
		panic(err) // testnet made it
	}
	return base64.StdEncoding.EncodeToString(b)
}

// run diagnoses an interface, and checks the exit code.
func run(t *testing.T, h *testnet.Host, args ...string) *diagnose.Result {
	t.Helper()
	text, code := h.Run(testnet.Binary(t, testnet.VPN), append([]string{"diagnose", "--json", "--watch", "1s"}, args...)...)
	r := new(diagnose.Result)
	if err := json.Unmarshal([]byte(text), r); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if want := map[bool]int{true: 0, false: 1}[r.Healthy]; code != want {
		t.Errorf("the exit code is %d, want %d", code, want)
	}
	return r
}

// wantOnly checks that a verdict came out, with no other, and that its words name what they have to.
func wantOnly(t *testing.T, r *diagnose.Result, v diagnose.Verdict, words ...string) {
	t.Helper()
	found := slices.Clone(r.Findings)
	if v != diagnose.Healthy { // what is wrong with the interface says nothing against its peer
		found = slices.DeleteFunc(found, func(f diagnose.Finding) bool { return f.Verdict == diagnose.Healthy })
	}
	if len(found) != 1 || found[0].Verdict != v || r.Healthy != (v == diagnose.Healthy) {
		t.Errorf("want %s alone, got %+v", v, r.Findings)
		return
	}
	f := &found[0]
	text := f.Text + "\n" + strings.Join(slices.Concat(f.Evidence, f.Advice), "\n")
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("%q is not in %s", word, text)
		}
	}
	if len(f.Advice) == 0 && v != diagnose.Healthy {
		t.Errorf("nothing is said of what to do: %+v", f)
	}
}

// row provokes a verdict on side A, about side B. It returns the words that have to be in it.
type row struct {
	verdict diagnose.Verdict
	provoke func(t *testing.T, p *testnet.Pair) (words []string)
}

var rows = map[string]row{
	"healthy": {diagnose.Healthy, func(_ *testing.T, p *testnet.Pair) []string {
		return []string{"shook hands", p.B.Inner4 + " answers", "1420 bytes"}
	}},
	"the link is down": {diagnose.Off, func(_ *testing.T, p *testnet.Pair) []string {
		p.A.Daemon.Down()
		return []string{"down"}
	}},
	"not called": {diagnose.NotCalled, func(_ *testing.T, p *testnet.Pair) []string {
		p.A.Daemon.Set("public_key="+p.B.Daemon.Key.Public, "remove=true")
		p.A.Knows(p.B, "")
		return []string{fmt.Sprintf("UDP port %d", p.A.Port)}
	}},
	"no route": {diagnose.NoRoute, func(_ *testing.T, p *testnet.Pair) []string {
		p.A.Knows(p.B, "203.0.113.5:51820")
		return []string{"203.0.113.5", "network is unreachable", "ip route get"}
	}},
	"own firewall": {diagnose.NoRoute, func(_ *testing.T, p *testnet.Pair) []string {
		p.A.MustRun("nft", "table inet t { chain c { type filter hook output priority 0; meta l4proto udp drop; }; }")
		return []string{"operation not permitted", "own firewall"}
	}},
	"port unreachable": {diagnose.ICMPError, func(_ *testing.T, p *testnet.Pair) []string {
		p.A.Knows(p.B, p.B.Outer4+":9")
		return []string{p.B.Outer4 + " answers", "type 3 code 3", "connection refused"}
	}},
	"nobody has the address": {diagnose.ICMPError, func(_ *testing.T, p *testnet.Pair) []string {
		p.A.Knows(p.B, "192.168.77.99:51820")
		return []string{"no machine has the address", "no route to host"}
	}},
	"another key for us": {diagnose.WrongKeyForUs, func(_ *testing.T, p *testnet.Pair) []string {
		p.B.Daemon.Set("replace_peers=true", "public_key="+testnet.NewKey().Public, "endpoint="+p.A.Endpoint(false), "allowed_ip="+p.A.Inner4+"/32")
		call(p)
		return []string{p.B.Endpoint(false), "PublicKey = " + base64Of(p.A.Daemon.Key.Public)}
	}},
	"unknown key": {diagnose.UnknownKey, func(_ *testing.T, p *testnet.Pair) []string {
		old := testnet.NewKey().Public
		p.A.Daemon.Set("replace_peers=true", "public_key="+old, "endpoint="+p.B.Endpoint(false), "allowed_ip="+p.B.Inner4+"/32")
		call(p)
		return []string{p.B.Endpoint(false), base64Of(p.B.Daemon.Key.Public), "replace " + base64Of(old)}
	}},
	"preshared key": {diagnose.PresharedKey, func(_ *testing.T, p *testnet.Pair) []string {
		p.B.Daemon.Set("public_key="+p.A.Daemon.Key.Public, "preshared_key="+testnet.NewKey().Public)
		return []string{p.B.Endpoint(false), "This side has none"}
	}},
	"clock": {diagnose.ClockBehind, func(t *testing.T, p *testnet.Pair) []string {
		callFromTheFuture(t, p)
		call(p)
		return []string{"its clock is 1 h 30 min behind", "remove the peer"}
	}},
	"cookie": {diagnose.CookieDemanded, func(t *testing.T, p *testnet.Pair) []string {
		flood(t, p)
		return []string{p.B.Endpoint(false), "has answered since"}
	}},
	"nobody's source": {diagnose.SourceRefused, func(_ *testing.T, p *testnet.Pair) []string {
		sendFrom(p, "10.9.0.66")
		return []string{"10.9.0.66, which is no peer's", "allowed-ips +10.9.0.66/32"}
	}},
	"another peer's source": {diagnose.SourceRefused, func(_ *testing.T, p *testnet.Pair) []string {
		other := testnet.NewKey().Public
		p.A.Daemon.Set("public_key="+other, "allowed_ip=10.9.0.77/32")
		sendFrom(p, "10.9.0.77")
		return []string{"10.9.0.77, which belongs to " + base64Of(other)}
	}},
	"overlap": {diagnose.Overlap, func(_ *testing.T, p *testnet.Pair) []string {
		other := testnet.NewKey().Public
		p.A.Daemon.Set("public_key="+p.B.Daemon.Key.Public, "allowed_ip=10.9.0.0/24", "public_key="+other, "allowed_ip=10.9.0.88/29")
		sendFrom(p, "10.9.0.90")
		return []string{"10.9.0.90 is in its 10.9.0.0/24", base64Of(other) + " by 10.9.0.88/29"}
	}},
	"route by another link": {diagnose.RouteElsewhere, func(_ *testing.T, p *testnet.Pair) []string {
		p.A.Daemon.Set("public_key="+p.B.Daemon.Key.Public, "allowed_ip=10.50.0.0/24")
		p.A.Outer.Route("10.50.0.0/24", p.B.Outer4, 0)
		return []string{"10.50.0.0/24", "out by " + p.A.Outer.Name, "ip route add 10.50.0.0/24 dev " + p.A.Daemon.Link.Name}
	}},
	"no route into the tunnel": {diagnose.RouteElsewhere, func(_ *testing.T, p *testnet.Pair) []string {
		p.A.Daemon.Set("public_key="+p.B.Daemon.Key.Public, "allowed_ip=fd50::/64")
		return []string{"fd50::/64", "nowhere"}
	}},
	"endpoint inside": {diagnose.EndpointInside, func(_ *testing.T, p *testnet.Pair) []string {
		p.A.Daemon.Route(p.B.Outer4+"/32", "", 0)
		return []string{p.B.Outer4, p.A.Daemon.Link.Name}
	}},
	"forwarding off": {diagnose.NotForwarding, func(_ *testing.T, p *testnet.Pair) []string {
		p.B.Daemon.Set("public_key="+p.A.Daemon.Key.Public, "allowed_ip=192.168.99.0/24")
		p.B.Daemon.Route("192.168.99.0/24", "", 0)
		p.B.Start(nil, "ping", "-i", "0.2", "192.168.99.9")
		return []string{p.B.Inner4 + " to 192.168.99.9", "sysctl -w net.ipv4.ip_forward=1"}
	}},
	"reverse-path filter": {diagnose.ReversePath, func(_ *testing.T, p *testnet.Pair) []string {
		p.A.Sysctl("ipv4/conf/"+p.A.Daemon.Link.Name+"/rp_filter", "1")
		p.A.Daemon.Set("public_key="+p.B.Daemon.Key.Public, "allowed_ip=10.20.0.0/24")
		p.A.Outer.Route("10.20.0.0/24", p.B.Outer4, 0)
		p.B.Daemon.Address("10.20.0.5/32")
		p.B.Start(nil, "ping", "-i", "0.2", "-I", "10.20.0.5", p.A.Inner4)
		return []string{"its packets from 10.20.0.5", "go by " + p.A.Outer.Name, "rp_filter is on"}
	}},
	"reverse-path filter outside": {diagnose.ReversePath, func(_ *testing.T, p *testnet.Pair) []string {
		for _, which := range []string{"all", p.A.Outer.Name} {
			p.A.Sysctl("ipv4/conf/"+which+"/rp_filter", "1")
		}
		p.A.Daemon.Set("fwmark=51820")
		p.A.MustRun("ip", "route", "add", p.B.Outer4, "dev", p.A.Daemon.Link.Name, "table", "51820")
		p.A.MustRun("ip", "rule", "add", "not", "fwmark", "51820", "table", "51820")
		return []string{"reverse-path filter of " + p.A.Outer.Name, "src_valid_mark=1"}
	}},
	"path of 1280": {diagnose.PathMTU, func(_ *testing.T, p *testnet.Pair) []string {
		p.A.Outer.SetMTU(1280)
		p.B.Outer.SetMTU(1280)
		return []string{"Set MTU = 1220"}
	}},
	"large messages are lost": {diagnose.PathMTU, func(_ *testing.T, p *testnet.Pair) []string {
		p.B.MustRun("nft", "table inet t { chain c { type filter hook input priority 0; udp length > 1300 drop; }; }")
		return []string{"through the tunnel " + p.B.Inner4 + " answers packets of up to 1248 bytes"}
	}},
	"for nobody": {diagnose.Dropped, func(_ *testing.T, p *testnet.Pair) []string {
		p.A.Start(nil, "ping", "-i", "0.2", "10.9.0.99")
		return []string{"from " + p.A.Inner4 + " to 10.9.0.99", "AllowedIPs"}
	}},
	"no packets": {diagnose.Dropped, func(t *testing.T, p *testnet.Pair) []string {
		sendFrames(t, p.A.Daemon.Link)
		return []string{"not ip while it was watched", "what is no IP packet"}
	}},
	"not configured there": {diagnose.Silence, func(_ *testing.T, p *testnet.Pair) []string {
		p.B.Daemon.Set("replace_peers=true")
		return []string{p.B.Endpoint(false), "tcpdump", base64Of(p.A.Daemon.Key.Public)}
	}},
	"a firewall says nothing": {diagnose.Silence, func(_ *testing.T, p *testnet.Pair) []string {
		p.B.MustRun("nft", "table inet t { chain c { type filter hook input priority 0; meta l4proto udp drop; }; }")
		return []string{p.B.Endpoint(false), "there has never been a handshake"}
	}},
}

// call has the other side send an initiation.
func call(p *testnet.Pair) { p.B.Ping(p.A.Inner4, 1, 1) }

// sendFrom has the other side send from an address that it should not have.
func sendFrom(p *testnet.Pair, address string) {
	p.B.Daemon.Address(address + "/32")
	p.B.Start(nil, "ping", "-i", "0.2", "-I", address, p.A.Inner4)
}

// TestVerdicts provokes one verdict after another.
func TestVerdicts(t *testing.T) {
	testnet.Binary(t, testnet.VPN)
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := testnet.NewPair(t, testnet.VPN, testnet.WireGuardGo, 0, false)
			words := row.provoke(t, p)
			wantOnly(t, run(t, p.A.Host, p.A.Daemon.Link.Name, base64Of(peerOf(p))), row.verdict, words...)
		})
	}
}

// sendFrames writes to a link, again and again, what is no packet of IP.
func sendFrames(t *testing.T, link *testnet.Link) {
	t.Helper()
	var fd int
	var to unix.SockaddrLinklayer
	var err error
	link.Host.Do(func() {
		var i *net.Interface
		if i, err = net.InterfaceByName(link.Name); err != nil {
			return
		}
		to = unix.SockaddrLinklayer{Protocol: 0xdada, Ifindex: i.Index}
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	})
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var sending sync.WaitGroup
	sending.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_ = unix.Sendto(fd, make([]byte, 40), 0, &to) // the link may go before the test does
			case <-stop:
				return
			}
		}
	})
	t.Cleanup(func() {
		close(stop)
		sending.Wait()
		unix.Close(fd)
	})
}

// peerOf is the key of the peer at whose endpoint the other side is: the only one that has an endpoint, or that there is.
func peerOf(p *testnet.Pair) string {
	found := p.B.Daemon.Key.Public
	for id, values := range p.A.Daemon.Get().Peers {
		if values["endpoint"] != "" {
			found = id
		}
	}
	return found
}
