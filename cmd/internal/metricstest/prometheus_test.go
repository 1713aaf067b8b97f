//go:build linux

package metricstest

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"vpn/cmd/internal/testnet"
)

func TestMain(m *testing.M) { os.Exit(testnet.Main(m)) }

func base64Of(hexadecimal string) string {
	b, err := hex.DecodeString(hexadecimal)
	if err != nil {
		panic(err) // testnet made it
	}
	return base64.StdEncoding.EncodeToString(b)
}

// client asks from within a host.
func client(h *testnet.Host) *http.Client {
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DialContext: func(_ context.Context, network, address string) (conn net.Conn, err error) {
			h.Do(func() { conn, err = net.Dial(network, address) })
			return conn, err
		},
	}}
}

// get returns what lies at a URL, and the status.
func get(t *testing.T, c *http.Client, at string) (string, int) {
	t.Helper()
	r, err := c.Get(at)
	if err != nil {
		return err.Error(), 0
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text), r.StatusCode
}

// world is a laptop with `vpn up` and, beside it, a tunnel of wireguard-go; a gateway with the other ends; and Prometheus on the laptop.
type world struct {
	t               *testing.T
	laptop, gateway *testnet.Host
	vpn             string
	http            *http.Client
	key             string // the gateway's, in base64
	foreign         string // the link of wireguard-go
}

const prometheus = "127.0.0.1:9090"

func newWorld(t *testing.T) *world {
	w := &world{
		t: t, laptop: testnet.NewMachine(t, "laptop"), gateway: testnet.NewHost(t, "gateway"), vpn: testnet.Binary(t, testnet.VPN),
	}
	w.http = client(w.laptop)
	atLaptop, atGateway := testnet.Connect(w.laptop, w.gateway, 0)
	atLaptop.Address("192.168.77.1/24")
	atGateway.Address("192.168.77.2/24")
	w.laptop.MustPing("192.168.77.2")
	w.laptop.MustRun("ip", "link", "set", "lo", "up")

	ours, ghost := testnet.NewKey(), testnet.NewKey()
	daemon := w.gateway.StartDaemon(testnet.WireGuardGo)
	w.key = base64Of(daemon.Key.Public)
	w.laptop.WriteFile("/etc/wireguard/wg0.conf", "[Interface]\nPrivateKey = "+base64Of(ours.Private)+"\nAddress = 10.77.0.1/24\n"+
		"#vpn: RekeyAfterPackets = 16\n"+
		"[Peer]\n#vpn: Name = the \"gate\"\nPublicKey = "+w.key+"\nAllowedIPs = 10.77.0.2/32, fd00:77::2/128\nEndpoint = 192.168.77.2:51820\n"+
		"[Peer]\n# friendly_name = ghost\nPublicKey = "+base64Of(ghost.Public)+"\nAllowedIPs = 10.77.0.3/32\n", 0o600)
	w.laptop.MustRun(w.vpn, "up", "wg0")

	other := w.laptop.StartDaemon(testnet.WireGuardGo)
	w.foreign = other.Link.Name
	other.Set("private_key="+other.Key.Private, "listen_port=51999", "public_key="+daemon.Key.Public, "endpoint=192.168.77.2:51820", "allowed_ip=10.78.0.2/32")
	other.Address("10.78.0.1/24")
	other.Up()
	daemon.Set("private_key="+daemon.Key.Private, "listen_port=51820",
		"public_key="+ours.Public, "allowed_ip=10.77.0.1/32", "public_key="+other.Key.Public, "allowed_ip=10.78.0.1/32")
	daemon.Address("10.77.0.2/24", "10.78.0.2/24")
	daemon.Up()
	for _, inner := range []string{"10.77.0.2", "10.78.0.2"} {
		testnet.Until(t, inner+" answers", func() bool { return w.laptop.Ping(inner, 1, 100*time.Millisecond).Lost() == 0 })
	}
	return w
}

// scraped starts Prometheus, and returns when it has scraped.
func (w *world) scraped() {
	w.t.Helper()
	w.laptop.Install(testnet.Prometheus)
	w.laptop.WriteFile("/run/prometheus.yml", "global: {scrape_interval: 200ms, scrape_timeout: 200ms}\n"+
		"scrape_configs: [{job_name: vpn, scrape_timeout: 200ms, static_configs: [{targets: ['localhost:9586']}]}]\n", 0o644)
	p := w.laptop.Start(nil, "prometheus", "--config.file=/run/prometheus.yml", "--storage.tsdb.path=/run/prometheus", "--web.listen-address="+prometheus,
		"--storage.tsdb.retention.time=1h")
	testnet.Until(w.t, "Prometheus scrapes", func() bool {
		if !p.Running() {
			w.t.Fatal("Prometheus has ended")
		}
		return len(w.query("up == 1")) > 0
	})
}

// sample is one series of an answer.
type sample struct {
	Metric map[string]string `json:"metric"`
	Value  [2]any            `json:"value"`
}

func (s sample) number(t *testing.T) float64 {
	t.Helper()
	text, _ := s.Value[1].(string)
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatalf("%v: %v", s, err)
	}
	return n
}

// query asks Prometheus. What it can't read fails the test.
func (w *world) query(q string) []sample {
	w.t.Helper()
	text, code := get(w.t, w.http, "http://"+prometheus+"/api/v1/query?query="+url.QueryEscape(q))
	if code == 0 || code == http.StatusServiceUnavailable {
		return nil // not there yet
	}
	var a struct {
		Status, Error string
		Data          struct{ Result []sample }
	}
	if err := json.Unmarshal([]byte(text), &a); err != nil || a.Status != "success" {
		w.t.Fatalf("%s: %v, %s", q, err, text)
	}
	return a.Data.Result
}

// TestPrometheus has a real Prometheus scrape a host with an interface of `vpn up` and one of another program. The queries of existing
// dashboards, and each of our own, are answered with data.
func TestPrometheus(t *testing.T) {
	w := newWorld(t)
	metrics := w.laptop.Start(nil, w.vpn, "metrics")
	metrics.WaitOutput("127.0.0.1:9586/metrics")
	w.scraped()

	w.laptop.Ping("10.77.0.99", 1, 20*time.Millisecond) // nobody's
	testnet.Until(t, "a rekey is counted", func() bool {
		w.laptop.Ping("10.77.0.2", 4, 5*time.Millisecond)
		r := w.query(`vpn_rekeys_total{interface="wg0"} > 0`)
		return len(r) == 1
	})
	wg0 := fmt.Sprintf(`{interface="wg0",public_key=%q,allowed_ips="10.77.0.2/32,fd00:77::2/128",friendly_name="the \"gate\""}`, w.key)
	for query, least := range map[string]float64{
		"wireguard_sent_bytes_total" + wg0:                                                         16 * 100,
		"wireguard_received_bytes_total" + wg0:                                                     16 * 100,
		"wireguard_latest_handshake_seconds" + wg0:                                                 float64(time.Now().Add(-time.Hour).Unix()),
		`wireguard_received_bytes_total{interface="` + w.foreign + `",allowed_ips="10.78.0.2/32"}`: 100,
		`wireguard_latest_handshake_seconds{interface="wg0",friendly_name="ghost"} == 0`:           0,
		`vpn_peers{interface="wg0",state="up"} == 1`:                                               1,
		`vpn_peers{interface="wg0",state="never"} == 1`:                                            1,
		`vpn_interface_up{interface="wg0"}`:                                                        1,
		`vpn_interface_info{interface="` + w.foreign + `",engine="other"}`:                         1,
		`vpn_handshakes_total{interface="wg0",outcome="completed"}`:                                2,
		`vpn_drops_total{interface="wg0",reason="no_peer"}`:                                        1,
		`vpn_peer_rekeys_total{interface="wg0",friendly_name="the \"gate\""}`:                      1,
		`vpn_peer_up{interface="wg0",friendly_name="the \"gate\""}`:                                1,
		`vpn_peer_session_age_seconds{interface="wg0",friendly_name="the \"gate\""} < 180`:         0,
		`vpn_queue_delay_seconds_count{interface="wg0",queue="out"}`:                               1,
		`vpn_queue_delay_seconds_count{interface="wg0",queue="in"}`:                                1,
		`sum(vpn_queue_delay_seconds_count{interface="wg0",queue="handshake"})`:                    1,
		`vpn_queue_delay_seconds_bucket{interface="wg0",queue="session",le="+Inf"}`:                1,
		`process_start_time_seconds or vpn_interface_start_time_seconds{interface="wg0"}`:          float64(time.Now().Add(-time.Hour).Unix()),
		`vpn_interface_faults{interface="wg0"} == 0`:                                               0,
		`vpn_peers_without_series{interface="wg0"} == 0`:                                           0,
		`scrape_series_added >= 0`:                                                                 0,
	} {
		if r := w.query(query); len(r) != 1 || r[0].number(t) < least {
			t.Errorf("%s is %v, want one of at least %v", query, r, least)
		}
	}

	for _, query := range append(existing, ours(t)...) {
		testnet.Until(t, "there is data: "+query, func() bool { return len(w.query(query)) > 0 }) // two scrapes may be needed
	}

	// Another can't have the port, and says so; the tunnel goes on when the metrics end.
	if text, code := w.laptop.Run(w.vpn, "metrics"); code != 1 || !strings.Contains(text, "127.0.0.1:9586") || !strings.Contains(text, "address already in use") {
		t.Errorf("with the port taken: %d, %s", code, text)
	}
	if text, code := get(t, w.http, "http://127.0.0.1:9586/"); code != http.StatusOK || !strings.Contains(text, "/metrics") {
		t.Errorf("at the root: %d, %s", code, text)
	}
	metrics.Signal(syscall.SIGTERM)
	if code := metrics.WaitEnd(); code != 0 {
		t.Errorf("the metrics end with %d", code)
	}
	w.laptop.MustPing("10.77.0.2")
	w.laptop.MustRun(w.vpn, "down", "wg0")
}

// existing are queries of dashboards that were made for other exporters.
var existing = []string{
	`sum by(instance) (rate(wireguard_received_bytes_total[5m]))`,
	`sum by(instance) (rate(wireguard_sent_bytes_total[5m]))`,
	`rate(wireguard_received_bytes_total[5m])`,
	`irate(wireguard_sent_bytes_total[5m])`,
	`sum(rate(wireguard_received_bytes_total{interface="wg0", instance="localhost:9586"}[1m])*8)`,
	`sum by (friendly_name) (increase(wireguard_sent_bytes_total[1h]))`,
	`count(time() - wireguard_latest_handshake_seconds < 300)`,
	`(time() - wireguard_latest_handshake_seconds) / 60`,
	`wireguard_latest_handshake_seconds > (time() - 300)`,
	`wireguard_latest_handshake_delay_seconds`,
	`topk(5, sum by (public_key, allowed_ips) (wireguard_received_bytes_total))`,
}

// ours are the queries of the dashboard in scripts/, with its variables filled in.
func ours(t *testing.T) (queries []string) {
	t.Helper()
	text, err := os.ReadFile("../../../scripts/grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct {
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr string }
		}
		Templating struct {
			List []struct{ Name, Type, Query string }
		}
		Annotations struct{ List []struct{ Expr string } }
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("$interface", "wg0", "$__rate_interval", "1m")
	for _, p := range d.Panels {
		if len(p.Targets) == 0 || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("the panel %s has no query, or no room", p.Title)
		}
		for _, target := range p.Targets {
			queries = append(queries, fill.Replace(target.Expr))
		}
	}
	for _, a := range d.Annotations.List {
		queries = append(queries, fill.Replace(a.Expr))
	}
	for _, v := range d.Templating.List {
		if v.Type == "query" {
			metric, _, _ := strings.Cut(strings.TrimPrefix(v.Query, "label_values("), ",")
			queries = append(queries, metric)
		}
	}
	if len(queries) < 20 {
		t.Fatalf("the dashboard asks no more than %q", queries)
	}
	return queries
}
