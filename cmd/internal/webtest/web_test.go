//go:build linux

package webtest

import (
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vpn/cmd/internal/testnet"
)

func TestMain(m *testing.M) { os.Exit(testnet.Main(m)) }

// browse has Chromium do a scenario on a host, and returns what was printed. Steps are those that have to hold, in turn.
func browse(t *testing.T, h *testnet.Host, scenario, address string, steps ...string) string {
	t.Helper()
	lock, err := os.ReadFile("package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	cache := os.Getenv("XDG_CACHE_HOME")
	if cache == "" {
		cache = "/var/cache"
	}
	modules := filepath.Join(cache, "vpn-tests", fmt.Sprintf("webtest-%x", sha256.Sum256(lock))[:len("webtest-")+16], "node_modules")
	script, err := filepath.Abs("browser.cjs")
	if err != nil {
		t.Fatal(err)
	}
	pictures := t.ArtifactDir()
	t.Logf("screenshots of %s: %s", scenario, pictures)
	p := h.Start([]string{"NODE_PATH=" + modules, "HOME=" + t.TempDir()}, "node", script, scenario, address, pictures)
	for _, step := range append(steps, "all holds") {
		p.WaitPrinted(step, func(text string) bool {
			if at := strings.Index(text, "failed: "); at >= 0 {
				t.Fatalf("%s", text)
			}
			return strings.Contains(text, step)
		})
	}
	p.WaitEnd()
	t.Log(p.Output())
	return p.Output()
}

// serve starts `vpn web` about an interface on a host, and returns the address that it prints.
func serve(t *testing.T, h *testnet.Host, link string) (p *testnet.Process, address string) {
	t.Helper()
	p = h.Start(nil, testnet.Binary(t, testnet.VPN), "web", link, "--listen", "127.0.0.1:0")
	p.WaitPrinted("its address", func(text string) bool {
		address = strings.TrimSpace(text)
		return strings.HasSuffix(text, "\n")
	})
	return p, address
}

// TestLive looks at a tunnel with wireguard-go at the other end, while packets pass and sessions are replaced.
func TestLive(t *testing.T) {
	p := testnet.NewPair(t, testnet.VPN, testnet.WireGuardGo, 0, false)
	p.A.Daemon.Set("rekey_after_time=4")
	p.A.MustPing(p.B.Inner4)
	p.A.Start(nil, "ping", "-q", "-i", "0.005", "-s", "1200", p.B.Inner4)
	p.A.Ping("10.9.0.99", 3, 20*time.Millisecond) // nobody's
	p.A.Daemon.Set("public_key="+testnet.NewKey().Public, "endpoint="+p.B.Outer4+":9", "allowed_ip=10.9.0.77/32")
	p.A.Start(nil, "ping", "-q", "10.9.0.77")
	sink := p.A.ListenUDP(net.JoinHostPort(p.A.Inner4, "0"))
	stream(t, p.B.Host, sink.LocalAddr().String())
	web, address := serve(t, p.A.Host, p.A.Daemon.Link.Name)
	browse(t, p.A.Host, "live", address,
		"throughput", "does not answer", "of a peer", "a rekey as it happens", "that was replaced", "has points", "keyboard", "drops", "fit for everybody")
	if token := address[strings.Index(address, "token="):]; strings.Count(web.Output(), token[len("token="):]) != 1 {
		t.Errorf("the token is printed again: %s", web.Output())
	}
}

// stream sends datagrams until the test ends, more and fewer in turn.
func stream(t *testing.T, from *testnet.Host, to string) {
	socket := from.DialUDP(to)
	ended, done := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(ended); <-done })
	go func() {
		defer close(done)
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-ended:
				return
			case <-tick.C:
				for range 1 + n/2000%4 {
					_, _ = socket.Write(make([]byte, 1200))
				}
			}
		}
	}()
}

// TestStrangers are other sites in the browser of somebody who has the page's address.
func TestStrangers(t *testing.T) {
	h := testnet.NewHost(t, "host")
	d := h.StartDaemon(testnet.VPN)
	_, address := serve(t, h, d.Link.Name)
	browse(t, h, "strangers", address, "made to lead here", "evil.test", "127.0.0.1", "localhost")
}
