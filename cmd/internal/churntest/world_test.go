//go:build linux

package churntest

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"

	"vpn/cmd/internal/testnet"
)

const (
	hubInner           = "10.9.0.254"
	hubPort, otherPort = "51820", "51999"
	rekeySeconds       = 5 // the least there is
)

// A world is a hub and some spokes, each with a cable of its own to it.
type world struct {
	t      *testing.T
	hub    *testnet.Daemon // a bare device
	spokes []*spoke        // the first is left in peace
	lives  lives
}

// steady is the spoke that nothing befalls but what befalls the hub.
func (w *world) steady() *spoke { return w.spokes[0] }

// A spoke is one peer of the hub: a bare device, or a link that `vpn up` has brought up.
type spoke struct {
	host      *testnet.Host
	outer     *testnet.Link
	device    *testnet.Link
	daemon    *testnet.Daemon // nil where `vpn up` is
	vpn       string          // path of the program
	number    int
	at        int // 1 or 2: which of its outer addresses it has
	inner     string
	key       testnet.Key
	preshared string
	others    []string // public keys of the peers that it has beside the hub
	restless  bool     // may be killed, restarted and taken down
	traffic   *traffic
}

// newWorld makes a world in which every program is of that kind.
func newWorld(t *testing.T, kind testnet.Kind) *world {
	t.Helper()
	w := &world{t: t, lives: lives{}}
	hub := testnet.NewHost(t, "hub")
	w.hub = hub.StartDaemon(kind)
	w.hub.Set("private_key="+w.hub.Key.Private, "listen_port="+hubPort, fmt.Sprintf("rekey_after_time=%d", rekeySeconds))
	w.hub.Address(hubInner + "/24")
	w.hub.Link.Up()
	echo(t, hub, hubInner)
	for i, name := range []string{"steady", "device", "laptop", "restless"} {
		s := &spoke{
			number: i + 1, at: 1, inner: fmt.Sprintf("10.9.0.%d", i+1), vpn: testnet.Binary(t, kind),
			key: testnet.NewKey(), preshared: testnet.NewKey().Private, restless: name == "restless",
		}
		linked := i >= 2
		if linked {
			s.host = testnet.NewMachine(t, name)
		} else {
			s.host = testnet.NewHost(t, name)
		}
		var atHub *testnet.Link
		atHub, s.outer = testnet.Connect(hub, s.host, 0)
		atHub.Address(fmt.Sprintf("192.168.%d.254/24", s.number))
		s.outer.Address(s.address())
		w.hub.Set(s.linesForHub()...)
		if linked {
			s.device = s.host.Link("wg0")
			s.host.WriteFile("/etc/wireguard/wg0.conf", s.file(w), 0o600)
			s.host.MustRun(s.vpn, "up", "wg0")
		} else {
			s.daemon = s.host.StartDaemon(kind)
			s.device = s.daemon.Link
			s.daemon.Set("private_key="+s.key.Private, fmt.Sprintf("listen_port=%d", s.port()), fmt.Sprintf("rekey_after_time=%d", rekeySeconds))
			s.configure(w)
			s.daemon.Address(s.inner + "/24")
			s.daemon.Link.Up()
		}
		w.spokes = append(w.spokes, s)
		s.host.MustPing(hubInner)
		s.traffic = start(t, s.host)
	}
	w.settle()
	return w
}

// address is the one that the spoke's outer link has now.
func (s *spoke) address() string { return fmt.Sprintf("192.168.%d.%d/24", s.number, s.at) }

// endpoint is where it finds the hub.
func (s *spoke) endpoint() string { return fmt.Sprintf("192.168.%d.254:%s", s.number, hubPort) }

// linesForHub make it a peer of the hub, which knows where it is and calls it by itself.
func (s *spoke) linesForHub() []string {
	return []string{
		"public_key=" + s.key.Public, "preshared_key=" + s.preshared, "persistent_keepalive_interval=5",
		fmt.Sprintf("endpoint=192.168.%d.%d:%d", s.number, s.at, s.port()), "replace_allowed_ips=true", "allowed_ip=" + s.inner + "/32",
	}
}

// port is where a spoke listens.
func (s *spoke) port() int { return 51820 + s.number }

// configure brings the spoke's side up to date: bare devices through the control socket, the others by a reload of their file.
func (s *spoke) configure(w *world) {
	w.t.Helper()
	if s.daemon == nil {
		s.host.WriteFile("/etc/wireguard/wg0.conf", s.file(w), 0o600)
		s.host.MustRun(s.vpn, "reload", "wg0")
		return
	}
	s.daemon.Set("public_key="+w.hub.Key.Public, "preshared_key="+s.preshared, "endpoint="+s.endpoint(),
		"persistent_keepalive_interval=5", "replace_allowed_ips=true", "allowed_ip=10.9.0.0/24")
}

// meet gives a spoke n peers beside the hub, in place of those that it had.
func (s *spoke) meet(w *world, n int) {
	w.t.Helper()
	var lines []string
	for _, public := range s.others {
		lines = append(lines, "public_key="+public, "remove=true")
	}
	s.others = nil
	for range n {
		s.others = append(s.others, testnet.NewKey().Public)
	}
	for i, public := range s.others {
		lines = append(lines, "public_key="+public, fmt.Sprintf("allowed_ip=10.10.%d.0/24", i))
	}
	if s.daemon != nil && len(lines) > 0 {
		s.daemon.Set(lines...)
	}
	s.configure(w)
}

// file is the configuration of a spoke of `vpn up`. Each of its peers has a route.
func (s *spoke) file(w *world) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[Interface]\nPrivateKey = %s\nListenPort = %d\nAddress = %s/32\n#vpn: RekeyAfterTime = %ds\n",
		base64Of(s.key.Private), s.port(), s.inner, rekeySeconds)
	fmt.Fprintf(&b, "\n[Peer]\nPublicKey = %s\nPresharedKey = %s\nEndpoint = %s\nAllowedIPs = 10.9.0.0/24\nPersistentKeepalive = 5\n",
		base64Of(w.hub.Key.Public), base64Of(s.preshared), s.endpoint())
	for i, public := range s.others {
		fmt.Fprintf(&b, "\n[Peer]\nPublicKey = %s\nAllowedIPs = 10.10.%d.0/24\n", base64Of(public), i)
	}
	return b.String()
}

// base64Of is a key as files have it.
func base64Of(hexadecimal string) string {
	b, err := hex.DecodeString(hexadecimal)
	if err != nil {
		panic(err) // testnet made it
	}
	return base64.StdEncoding.EncodeToString(b)
}

// lastHandshake is when the hub last shook hands with the spoke.
func (s *spoke) lastHandshake(w *world) string {
	w.t.Helper()
	p := w.hub.Get().Peers[s.key.Public]
	return p["last_handshake_time_sec"] + "." + p["last_handshake_time_nsec"]
}

// addCrowd gives the hub peers that don't answer: some of them are called all the time, at addresses where nobody is. It returns the lines
// that remove them.
func (w *world) addCrowd(n int) (remove []string) {
	w.t.Helper()
	var add []string
	for i := range n {
		key := "public_key=" + testnet.NewKey().Public
		add = append(add, key, fmt.Sprintf("allowed_ip=10.%d.%d.0/24", 64+i/256, i%256))
		if i%4 == 0 {
			add = append(add, fmt.Sprintf("endpoint=192.168.1.%d:9", 100+i%100), "persistent_keepalive_interval=1")
		}
		remove = append(remove, key, "remove=true")
	}
	if n > 0 {
		w.hub.Set(add...)
	}
	return remove
}

// pid returns the process of the spoke's link that runs as that command, and 0 if there is none.
func (s *spoke) pid(command string) int {
	for _, pid := range s.host.Processes() {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err == nil && strings.Contains(string(line), "\x00"+command+"\x00") {
			return pid
		}
	}
	return 0
}
