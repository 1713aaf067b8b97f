package metrics

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"vpn/cmd/internal/gather"
	"vpn/cmd/internal/report"
	"vpn/noise/key"
)

// told is what an interface tells: nothing but what the test says.
type told struct {
	link  report.Interface
	peers []report.Peer
	wait  chan struct{} // if not nil, it answers when that is closed, whatever ctx says
}

func (s *told) Status(_ context.Context, q report.Query, tell func(*report.Line) error) error {
	if s.wait != nil {
		<-s.wait
	}
	i := s.link
	i.PeerCount = len(s.peers)
	if err := tell(&report.Line{Interface: &i}); err != nil || q.Which == report.None {
		return err
	}
	for n := range s.peers {
		p := s.peers[n]
		if q.Which == report.Active && p.LatestHandshake.IsZero() {
			continue
		}
		if err := tell(&report.Line{Peer: &p}); err != nil {
			return err
		}
	}
	return nil
}

func (*told) Events(context.Context, report.Query, func(*report.Line) error) error {
	return gather.ErrNoEvents
}

// collector is one of a host with those interfaces.
func collector(limit int, links map[string]*told) *Collector {
	c := New(Config{MaxPeers: limit, Version: "1", Log: slog.New(slog.DiscardHandler)})
	c.names = func() (names []string, _ error) {
		for name := range links {
			names = append(names, name)
		}
		return names, nil
	}
	c.open = func(name string) (report.Source, error) { return links[name], nil }
	return c
}

func scrape(t testing.TB, c *Collector) string {
	t.Helper()
	var b bytes.Buffer
	if err := c.Collect(context.Background(), &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// value is that of the one sample that begins so.
func value(t *testing.T, text, sample string) float64 {
	t.Helper()
	found, n := 0, 0.0
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, sample) {
			var err error
			if n, err = strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndexByte(line, ' '):]), 64); err != nil {
				t.Fatal(err)
			}
			found++
		}
	}
	if found != 1 {
		t.Fatalf("%d samples begin with %s in\n%s", found, sample, text)
	}
	return n
}

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func peerOf(n int, rx uint64) report.Peer {
	p := report.Peer{PublicKey: key.Public{byte(n >> 8), byte(n), 1}, RxBytes: rx, TxBytes: 2 * rx}
	if rx > 0 {
		p.LatestHandshake = now.Add(-time.Minute)
	}
	return p
}

// grown is a peer that has received something more.
func grown(p report.Peer, by int) report.Peer {
	more := peerOf(0, p.RxBytes+uint64(by))
	more.PublicKey = p.PublicKey
	return more
}

// TestLint has all there is told once, by names and labels that could do harm, and holds it against what Prometheus's own library asks for.
func TestLint(t *testing.T) {
	p := peerOf(1, 1<<60)
	p.Name, p.Rekeys, p.Drops = "a \"b\" \\ c\nd\xff", 3, []report.Drop{{Reason: "bad_tag", Count: 2}}
	p.Sessions = []report.Session{{Place: report.PlaceCurrent, Born: now.Add(-time.Minute)}}
	for n := range 100_000 {
		p.AllowedIPs = append(p.AllowedIPs, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 32))
	}
	all := told{peers: []report.Peer{p, peerOf(2, 7), peerOf(3, 0)}, link: report.Interface{
		Now: now, Since: now.Add(-time.Hour), Engine: report.EngineVPN, PublicKey: key.Public{9}, LinkUp: true, Listening: true, Rekeys: 3,
		Happened: []report.Count{{What: "session_started", Times: 4}, {What: "new", Times: 1}}, Ended: []report.Count{{What: "new", Times: 1}},
		Drops: []report.Drop{{Reason: "new", Count: 8}}, Waits: []report.Wait{{For: "in", Bounds: []float64{1e-6, 0.5}, Counts: []uint64{1, 2, 3}, Sum: 6.5}},
	}}
	c := collector(1, map[string]*told{"wg0": &all, "wg1": {link: report.Interface{Now: now, Engine: report.EngineKernel}}})
	text := scrape(t, c)
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v in\n%s", err, problems, text)
	}
	for f := range families {
		if !strings.Contains(text, "# TYPE "+described[f].name+" "+described[f].kind+"\n") {
			t.Errorf("%s is not told", described[f].name)
		}
	}
	for sample, want := range map[string]float64{
		`vpn_peer_up{interface="wg0",public_key="` + p.PublicKey.String() + `",friendly_name="a \"b\" \\ c\nd?"} `: 1,
		`vpn_peer_session_age_seconds{interface="wg0"`:                                                             60,
		`wireguard_latest_handshake_delay_seconds{interface="wg0"`:                                                 60,
		`wireguard_received_bytes_total{interface="wg0",public_key="AAEB`:                                          1 << 60,
		`wireguard_received_bytes_total{interface="wg0",public_key="oth`:                                           7,
		`vpn_queue_delay_seconds_bucket{interface="wg0",queue="in",le="1e-06"}`:                                    1,
		`vpn_queue_delay_seconds_bucket{interface="wg0",queue="in",le="0.5"}`:                                      3,
		`vpn_queue_delay_seconds_bucket{interface="wg0",queue="in",le="+Inf"}`:                                     6,
		`vpn_drops_total{interface="wg0",reason="new"}`:                                                            8,
		`vpn_drops_total{interface="wg0",reason="bad_tag"}`:                                                        0,
		`vpn_interface_answers{interface="wg1"}`:                                                                   1,
	} {
		if got := value(t, text, sample); got != want {
			t.Errorf("%s is %v, want %v", sample, got, want)
		}
	}
	if len(text) > 32<<10 {
		t.Errorf("%d bytes, of a peer with many prefixes", len(text))
	}
}

// TestShare changes an interface with more peers than have series at random, and holds that no series goes back but when its peer's
// counters did, that there are never too many, and that their sum is that of the interface.
func TestShare(t *testing.T) {
	const limit = 5
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 0))
		s := &told{link: report.Interface{Now: now, Engine: report.EngineVPN, LinkUp: true, Listening: true, PublicKey: key.Public{9}}}
		c := collector(limit, map[string]*told{"wg0": s})
		var total uint64 // of peers that are there, and of those that are gone and had no series
		last := map[string]float64{}
		added := 0
		for range 60 {
			gone := map[string]uint64{}
			switch r.IntN(3) {
			case 0:
				added++
				s.peers = append(s.peers, peerOf(added, uint64(r.IntN(2)*100)))
			case 1:
				if len(s.peers) > 0 {
					n := r.IntN(len(s.peers))
					gone[s.peers[n].PublicKey.String()] = s.peers[n].RxBytes
					s.peers = append(s.peers[:n:n], s.peers[n+1:]...)
				}
			}
			for n := range s.peers {
				if r.IntN(3) == 0 {
					s.peers[n] = grown(s.peers[n], r.IntN(50)+1)
				}
			}
			text := scrape(t, c)
			series := map[string]float64{}
			for line := range strings.Lines(text) {
				if rest, is := strings.CutPrefix(line, `wireguard_received_bytes_total{interface="wg0",public_key="`); is {
					public, _, _ := strings.Cut(rest, `"`)
					series[public] = value(t, text, strings.TrimSuffix(line, line[strings.LastIndexByte(line, ' '):]))
				}
			}
			for public, was := range gone { // what a peer without series had counted when it was last asked stays in the sum
				if _, had := last[public]; !had && was > 0 {
					total += min(was, uint64(last["other"]))
				}
			}
			sum := 0.0
			for public, is := range series {
				sum += is
				if is < last[public] {
					t.Fatalf("seed %d: %s went from %v to %v", seed, public, last[public], is)
				}
			}
			present := uint64(0)
			for n := range s.peers {
				present += s.peers[n].RxBytes
			}
			if len(series) > limit+1 || sum < float64(present) || sum > float64(present+total) {
				t.Fatalf("seed %d: %d series that sum up to %v, want %d and at most %d of peers that are gone", seed, len(series), sum, present, total)
			}
			last = series
		}
	}
}

// TestNotHeldUp has an interface that does not answer before the test says so.
func TestNotHeldUp(t *testing.T) {
	stuck := &told{link: report.Interface{Now: now}, wait: make(chan struct{})}
	links := map[string]*told{"wg0": {link: report.Interface{Now: now}}, "stuck": stuck}
	c := collector(1, links)
	opened := 0
	open := c.open
	c.open = func(name string) (report.Source, error) {
		if name == "stuck" {
			opened++
		}
		return open(name)
	}
	c.patience = 50 * time.Millisecond
	for range 3 {
		text := scrape(t, c)
		if value(t, text, `vpn_interface_answers{interface="stuck"}`) != 0 || value(t, text, `vpn_interface_answers{interface="wg0"}`) != 1 {
			t.Errorf("with one that is stuck:\n%s", text)
		}
	}
	a := c.asked["stuck"]
	close(stuck.wait)
	<-a.done
	if opened != 1 {
		t.Errorf("it was asked %d times before it had answered", opened)
	}
	if text := scrape(t, c); value(t, text, `vpn_interface_answers{interface="stuck"}`) != 1 {
		t.Errorf("it answers again:\n%s", text)
	}
}

// BenchmarkCollect is a scrape of an interface with 10,000 peers that have all talked.
func BenchmarkCollect(b *testing.B) {
	s := &told{link: report.Interface{Now: now, Engine: report.EngineVPN}}
	for n := range 10_000 {
		s.peers = append(s.peers, peerOf(n, 1000))
	}
	c := collector(DefaultMaxPeers, map[string]*told{"wg0": s})
	for b.Loop() {
		if err := c.Collect(context.Background(), io.Discard); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(scrape(b, c))), "bytes")
}
