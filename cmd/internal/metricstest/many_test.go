//go:build linux

package metricstest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"vpn/cmd/internal/testnet"
)

// TestManyPeers is an interface with 10,000 peers, of which one talks: what is told of it stays small.
func TestManyPeers(t *testing.T) {
	const peers = 10_000
	machine, other := testnet.NewMachine(t, "many"), testnet.NewHost(t, "other")
	here, there := testnet.Connect(machine, other, 0)
	here.Address("192.168.77.1/24")
	there.Address("192.168.77.2/24")
	machine.MustRun("ip", "link", "set", "lo", "up")
	a, b := machine.StartDaemon(testnet.VPN), other.StartDaemon(testnet.VPN)
	set := []string{"private_key=" + a.Key.Private, "listen_port=51820"}
	for n := range peers - 1 {
		set = append(set, fmt.Sprintf("public_key=%064x", 9+n), fmt.Sprintf("allowed_ip=10.%d.%d.%d/32", 100+n>>16, n>>8&255, n&255))
	}
	a.Set(append(set, "public_key="+b.Key.Public, "endpoint=192.168.77.2:51820", "allowed_ip=10.9.0.2/32")...)
	a.Address("10.9.0.1/24")
	b.Set("private_key="+b.Key.Private, "listen_port=51820", "public_key="+a.Key.Public, "endpoint=192.168.77.1:51820", "allowed_ip=10.9.0.1/32")
	b.Address("10.9.0.2/24")
	a.Up()
	b.Up()
	testnet.Until(t, "a peer answers", func() bool { return machine.Ping("10.9.0.2", 1, 100*time.Millisecond).Lost() == 0 })

	metrics := machine.Start(nil, testnet.Binary(t, testnet.VPN), "metrics")
	metrics.WaitOutput("127.0.0.1:9586/metrics")
	c := client(machine)
	began := time.Now()
	text, code := get(t, c, "http://127.0.0.1:9586/metrics")
	took := time.Since(began)
	t.Logf("%d bytes, %d series, %v", len(text), strings.Count(text, "\n")-2*strings.Count(text, "# HELP"), took)
	if code != http.StatusOK || len(text) > 32<<10 {
		t.Errorf("%d: %d bytes", code, len(text))
	}
	key := fmt.Sprintf(`interface=%q,public_key=%q,allowed_ips="10.9.0.2/32"`, a.Link.Name, base64Of(b.Key.Public))
	for _, want := range []string{
		"wireguard_received_bytes_total{" + key,
		fmt.Sprintf("vpn_peers_without_series{interface=%q} %d\n", a.Link.Name, peers-1),
		fmt.Sprintf("vpn_peers{interface=%q,state=\"never\"} %d\n", a.Link.Name, peers-1),
		fmt.Sprintf("wireguard_received_bytes_total{interface=%q,public_key=\"other\",allowed_ips=\"\",friendly_name=\"\"} 0\n", a.Link.Name),
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not told:\n%.2000s", want, text)
		}
	}
	once := machine.MustRun(testnet.Binary(t, testnet.VPN), "metrics", "--once", "--max-peers", "0")
	if !strings.Contains(once, fmt.Sprintf("vpn_peers_without_series{interface=%q} %d\n", a.Link.Name, peers)) || strings.Contains(once, key) ||
		strings.Contains(once, `public_key="other",allowed_ips="",friendly_name=""} 0`) {
		t.Errorf("all peers together are\n%.2000s", once)
	}

	// Packed, for who understands it; no page of a browser gets any of it.
	r, err := http.NewRequest(http.MethodGet, "http://127.0.0.1:9586/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept-Encoding", "gzip")
	response, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	z, err := gzip.NewReader(response.Body)
	var b2 bytes.Buffer
	if err == nil {
		_, err = b2.ReadFrom(z)
	}
	if err != nil || !strings.Contains(b2.String(), key) {
		t.Errorf("packed: %v, %.200s", err, &b2)
	}
	for host, want := range map[string]int{
		"evil.example": http.StatusMisdirectedRequest, "evil.example:9586": http.StatusMisdirectedRequest,
		"localhost:9586": http.StatusOK, "[::1]:9586": http.StatusOK,
	} {
		r, err := http.NewRequest(http.MethodGet, "http://127.0.0.1:9586/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		response, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("asked as %s: %s", host, response.Status)
		}
	}
	if text, code := machine.Run("setpriv", "--reuid=65534", "--clear-groups", testnet.Binary(t, testnet.VPN), "metrics", "--once"); code != 1 || !strings.Contains(text, "root") {
		t.Errorf("for nobody: %d, %s", code, text)
	}
}
