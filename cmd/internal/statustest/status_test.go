//go:build linux

package statustest

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"vpn/cmd/internal/control"
	"vpn/cmd/internal/report"
	"vpn/cmd/internal/testnet"
	"vpn/noise/key"
)

func TestMain(m *testing.M) { os.Exit(testnet.Main(m)) }

// printed is what the tests read of `vpn status --json`.
type printed struct {
	Engine     string `json:"engine"`
	File       string `json:"file"`
	PublicKey  string `json:"publicKey"`
	ListenPort int    `json:"listenPort"`
	Peers      map[string]struct {
		Name            string `json:"name"`
		Endpoint        string `json:"endpoint"`
		Origin          string `json:"endpoint_from"`
		LatestHandshake int64  `json:"latestHandshake"`
		TransferRx      int    `json:"transferRx"`
		State           string `json:"state"`
		Verdict         string `json:"verdict"`
	} `json:"peers"`
}

func status(t *testing.T, h *testnet.Host, names ...string) map[string]printed {
	t.Helper()
	text := h.MustRun(testnet.Binary(t, testnet.VPN), append([]string{"status", "--json"}, names...)...)
	all := make(map[string]printed)
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return all
}

func base64Of(hexadecimal string) string {
	b, err := hex.DecodeString(hexadecimal)
	if err != nil {
		panic(err) // testnet made it
	}
	return base64.StdEncoding.EncodeToString(b)
}

func publicOf(t *testing.T, hexadecimal string) key.Public {
	t.Helper()
	k, err := key.ParsePublic(base64Of(hexadecimal))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// ask returns what a device of ours tells.
func ask(t *testing.T, link string) (i *report.Interface, peers map[key.Public]*report.Peer) {
	t.Helper()
	c, err := control.Dial(link)
	if err != nil {
		t.Fatal(err)
	}
	peers = make(map[key.Public]*report.Peer)
	err = c.Status(context.Background(), report.Query{Events: report.MaxEvents}, func(l *report.Line) error {
		switch {
		case l.Interface != nil:
			i = l.Interface
		case l.Peer != nil:
			peers[l.Peer.PublicKey] = l.Peer
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return i, peers
}

// find returns the last event of a kind, and of a reason if there is to be one.
func find(events []report.Event, kind, reason string) *report.Event {
	for n := len(events) - 1; n >= 0; n-- {
		if e := &events[n]; e.Kind == kind && (reason == "" || e.Reason == reason) {
			return e
		}
	}
	return nil
}

// await waits for an event among those of the interface, or of a peer if one is given.
func await(t *testing.T, link string, peer key.Public, kind, reason string, nudge func()) (found report.Event) {
	t.Helper()
	testnet.Until(t, kind+" "+reason, func() bool {
		if nudge != nil {
			nudge()
		}
		i, peers := ask(t, link)
		events := i.Events
		if p := peers[peer]; p != nil {
			events = p.Events
		}
		e := find(events, kind, reason)
		if e != nil {
			found = *e
		}
		return e != nil
	})
	return found
}

// TestReasons provokes what a device of ours can tell apart, one thing after another, with wireguard-go at the other end.
func TestReasons(t *testing.T) {
	p := testnet.NewPair(t, testnet.VPN, testnet.WireGuardGo, 0, false)
	link := p.A.Daemon.Link.Name
	b := publicOf(t, p.B.Daemon.Key.Public)
	packet := func() { p.A.Ping(p.B.Inner4, 1, 20*time.Millisecond) }
	p.A.MustPing(p.B.Inner4)

	i, peers := ask(t, link)
	if v := report.Judge(i, peers[b]); v.State != report.Up {
		t.Errorf("a peer that answers is %q", v.Text)
	}
	if s := peers[b].Current(); s == nil || !s.Confirmed || !s.Expires.After(i.Now) || s.Role == "initiator" && !s.ReplacedAt.After(i.Now) {
		t.Errorf("the session of it is %+v", s)
	}
	if find(peers[b].Events, "session_started", "") == nil {
		t.Errorf("no session has started: %+v", peers[b].Events)
	}

	// Its packet from an address that is nobody's, and from one that is another peer's.
	stranger := testnet.NewKey()
	p.A.Daemon.Set("public_key="+stranger.Public, "allowed_ip=10.9.0.77/32")
	for address, owner := range map[string]key.Public{"10.9.0.66": {}, "10.9.0.77": publicOf(t, stranger.Public)} {
		p.B.Daemon.Address(address + "/32")
		e := await(t, link, b, "source_refused", "", func() {
			_, _ = p.B.Run("ping", "-c", "1", "-W", "1", "-I", address, p.A.Inner4) // nothing comes back
		})
		if want := netip.MustParseAddr(address); e.Address != want || e.Owner != owner {
			t.Errorf("a packet from %v was refused as from %v of %v, want that of %v", want, e.Address, e.Owner, owner)
		}
		p.B.Daemon.RemoveAddress(address + "/32")
	}

	// A packet for nobody.
	p.A.Ping("10.9.0.99", 1, 20*time.Millisecond)
	if e := await(t, link, key.Public{}, "nobody_at", "", nil); e.Address != netip.MustParseAddr("10.9.0.99") || e.From != p.A.Inner4 {
		t.Errorf("nobody at %v for %v", e.Address, e.From)
	}

	if text := p.A.MustRun(testnet.Binary(t, testnet.VPN), "status", link); !strings.Contains(text, " no peer") || !strings.Contains(text, "source not allowed") {
		t.Errorf("what was dropped is not shown: %s", text)
	}

	// Another preshared key there: its response is not what we can read.
	p.B.Daemon.Set("public_key="+p.A.Daemon.Key.Public, "preshared_key="+testnet.NewKey().Public)
	p.A.Daemon.Down()
	p.A.Daemon.Up()
	if e := await(t, link, b, "handshake_failed", "bad_handshake", packet); e.From != p.B.Endpoint(false) {
		t.Errorf("the response came from %s", e.From)
	}
	p.B.Daemon.Set("public_key="+p.A.Daemon.Key.Public, "preshared_key="+strings.Repeat("0", 64))

	// A peer that we don't have.
	p.A.Daemon.Set("public_key="+p.B.Daemon.Key.Public, "remove=true")
	p.B.Daemon.Down() // it forgets its session
	p.B.Daemon.Up()
	e := await(t, link, key.Public{}, "stranger_refused", "unknown_peer", func() { p.B.Ping(p.A.Inner4, 1, 20*time.Millisecond) })
	if e.Peer != b || e.From != p.B.Endpoint(false) {
		t.Errorf("unknown is %v at %s", e.Peer, e.From)
	}

	// A peer that has another key for us.
	p.B.Daemon.Set("replace_peers=true", "public_key="+testnet.NewKey().Public, "endpoint="+p.A.Endpoint(false), "allowed_ip="+p.A.Inner4+"/32")
	e = await(t, link, key.Public{}, "stranger_refused", "bad_mac1", func() { p.B.Ping(p.A.Inner4, 1, 20*time.Millisecond) })
	if e.From != p.B.Endpoint(false) {
		t.Errorf("the wrong key was used by %s", e.From)
	}

	// Nobody at the port.
	p.A.Knows(p.B, p.B.Outer4+":9")
	e = await(t, link, b, "path_refused", "", packet)
	if r := e.Refusal; r == nil || r.Error != "connection refused" || r.ICMP != 4 || e.From != p.B.Outer4 || e.To.Port() != 9 {
		t.Errorf("the path was refused by %s: %+v", e.From, e.Refusal)
	}
	if i, _ := ask(t, link); i.SocketErrors != 0 {
		t.Errorf("%d errors of sockets", i.SocketErrors)
	}
}

// TestFollow reads events as they come, and holds that who is gone is let go of.
func TestFollow(t *testing.T) {
	p := testnet.NewPair(t, testnet.VPN, testnet.WireGuardGo, 0, false)
	c, err := control.Dial(p.A.Daemon.Link.Name)
	if err != nil {
		t.Fatal(err)
	}
	b := publicOf(t, p.B.Daemon.Key.Public)
	p.A.MustPing(p.B.Inner4)
	enough := fmt.Errorf("enough")
	for range 100 { // more than may follow at once
		err = c.Events(context.Background(), report.Query{Peers: []key.Public{b}, Past: true}, func(l *report.Line) error {
			if l.Event.Peer != b {
				t.Errorf("an event of %v", l.Event.Peer)
			}
			return enough
		})
		if err == nil || !strings.Contains(err.Error(), "enough") {
			if strings.Contains(fmt.Sprint(err), "too many") {
				continue // the one before has not been let go of yet
			}
			t.Fatalf("%v", err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var kinds []string
	began := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- c.Events(ctx, report.Query{}, func(l *report.Line) error {
			if len(kinds) == 0 {
				close(began)
			}
			if kinds = append(kinds, l.Event.Kind); l.Event.Kind == "session_started" {
				return enough
			}
			return nil
		})
	}()
	p.A.Daemon.Down()
	p.A.Daemon.Up()
	testnet.Until(t, "a session starts", func() bool {
		p.A.Ping(p.B.Inner4, 1, 20*time.Millisecond)
		select {
		case <-began:
			return true
		default:
			return false
		}
	})
	p.A.MustPing(p.B.Inner4)
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("no session was told of")
	}
	t.Log(kinds)
}

// TestOthers is an interface of wireguard-go, which tells what it can.
func TestOthers(t *testing.T) {
	p := testnet.NewPair(t, testnet.VPN, testnet.WireGuardGo, 0, false)
	p.B.MustPing(p.A.Inner4)
	name := p.B.Daemon.Link.Name
	i, ok := status(t, p.B.Host, name)[name]
	peer := i.Peers[base64Of(p.A.Daemon.Key.Public)]
	if !ok || i.Engine != report.EngineOther || i.PublicKey != base64Of(p.B.Daemon.Key.Public) || i.ListenPort != p.B.Port ||
		peer.State != string(report.Up) || peer.LatestHandshake == 0 || peer.TransferRx == 0 || peer.Endpoint != p.A.Endpoint(false) {
		t.Errorf("wireguard-go's is %+v", i)
	}
	text := p.B.MustRun(testnet.Binary(t, testnet.VPN), "status", name)
	for _, line := range strings.Split(text, "\n") {
		if len(line) > 80 || strings.Contains(line, "\x1b") {
			t.Errorf("a line for no terminal: %q", line)
		}
	}
	if strings.Contains(text, base64Of(p.B.Daemon.Key.Private)) {
		t.Error("the private key is shown")
	}
	if text, code := p.B.Run(testnet.Binary(t, testnet.VPN), "status", "none0"); code != 1 || !strings.Contains(text, "none0") {
		t.Errorf("of an interface that isn't there: %d, %s", code, text)
	}
}

// TestKeeper is an interface of `vpn up`: what the file says of the peers is told too.
func TestKeeper(t *testing.T) {
	laptop, gateway := testnet.NewMachine(t, "laptop"), testnet.NewHost(t, "gateway")
	atLaptop, atGateway := testnet.Connect(laptop, gateway, 0)
	atLaptop.Address("192.168.77.1/24")
	atGateway.Address("192.168.77.2/24")
	laptop.MustPing("192.168.77.2")
	ours, ghost := testnet.NewKey(), testnet.NewKey()
	daemon := gateway.StartDaemon(testnet.WireGuardGo)
	daemon.Set("private_key="+daemon.Key.Private, "listen_port=51820", "public_key="+ours.Public, "allowed_ip=10.77.0.1/32")
	daemon.Address("10.77.0.2/24")
	daemon.Up()
	vpn := testnet.Binary(t, testnet.VPN)
	if text := laptop.MustRun(vpn, "status"); !strings.Contains(text, "No WireGuard interface") {
		t.Errorf("without one: %s", text)
	}
	laptop.WriteFile("/etc/hosts", "192.168.77.2 gateway.example\n", 0o644)
	laptop.WriteFile("/etc/wireguard/wg0.conf", "[Interface]\nPrivateKey = "+base64Of(ours.Private)+"\nAddress = 10.77.0.1/24\n"+
		"[Peer]\n#vpn: Name = gateway\nPublicKey = "+base64Of(daemon.Key.Public)+"\nAllowedIPs = 10.77.0.2/32\nEndpoint = gateway.example:51820\n"+
		"[Peer]\n# friendly_name = ghost\nPublicKey = "+base64Of(ghost.Public)+"\nAllowedIPs = 10.77.0.3/32\nEndpoint = ghost.invalid:1\n", 0o600)
	laptop.MustRun(vpn, "up", "wg0")
	testnet.Until(t, "the gateway answers", func() bool { return laptop.Ping("10.77.0.2", 1, 100*time.Millisecond).Lost() == 0 })
	i := status(t, laptop)["wg0"]
	there := i.Peers[base64Of(daemon.Key.Public)]
	if i.Engine != report.EngineVPN || i.File != "/etc/wireguard/wg0.conf" || there.Name != "gateway" || there.State != string(report.Up) ||
		there.Origin != string(report.OriginName) || there.Endpoint != "192.168.77.2:51820" {
		t.Errorf("the gateway: %+v", i)
	}
	testnet.Until(t, "the name that is none is said to be none", func() bool {
		ghost := status(t, laptop)["wg0"].Peers[base64Of(ghost.Public)]
		return ghost.Name == "ghost" && ghost.State == string(report.Unresolved) && strings.HasPrefix(ghost.Verdict, "ghost.invalid:1 does not resolve")
	})
	if text, code := laptop.Run("setpriv", "--reuid=65534", "--clear-groups", vpn, "status"); code != 1 || !strings.Contains(text, "root") {
		t.Errorf("for nobody: %d, %s", code, text)
	}
	laptop.MustRun(vpn, "down", "wg0")
}
