package keeper_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vpn/cmd/internal/testnet"
)

func TestMain(m *testing.M) { os.Exit(testnet.Main(m)) }

// world is two machines side by side, with the program on both.
type world struct {
	t     *testing.T
	vpn   string
	a, b  *machine
	outer *testnet.Link // a's end of the link between them
}

// machine is a host with a link wg0 to be.
type machine struct {
	*testnet.Host
	w     *world
	key   testnet.Key
	outer string // address
	inner string // address
	port  int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, vpn: testnet.Binary(t, testnet.VPN)}
	w.a, w.b = w.machine("a", 1), w.machine("b", 2)
	toB, toA := testnet.Connect(w.a.Host, w.b.Host, 1500)
	toB.Address("192.0.2.1/24", "2001:db8::1/64")
	toA.Address("192.0.2.2/24", "2001:db8::2/64")
	toB.Up()
	toA.Up()
	w.outer = toB
	for _, m := range []*machine{w.a, w.b} {
		testnet.Until(t, "its link has all addresses", func() bool {
			return strings.Count(m.MustRun("ip", "-6", "route", "show", "table", "local"), "dev "+toB.Name) == 3 // two, and multicast
		})
	}
	return w
}

func (w *world) machine(name string, n int) *machine {
	return &machine{
		Host: testnet.NewMachine(w.t, name), w: w, key: testnet.NewKey(),
		outer: fmt.Sprintf("192.0.2.%d", n), inner: fmt.Sprintf("10.9.0.%d", n), port: 51000 + n,
	}
}

// base64Of is a key as files have it.
func base64Of(inHex string) string {
	b, err := hex.DecodeString(inHex)
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(b)
}

// config is m's file: lines of [Interface], and a peer with lines of its own.
func (m *machine) config(peer *machine, iface, section string) string {
	return fmt.Sprintf("[Interface]\nPrivateKey = %s\nListenPort = %d\nAddress = %s/24\n%s\n[Peer]\nPublicKey = %s\nAllowedIPs = %s/32\n%s\n",
		base64Of(m.key.Private), m.port, m.inner, iface, base64Of(peer.key.Public), peer.inner, section)
}

// endpoint is the line that says where m is.
func (m *machine) endpoint() string { return fmt.Sprintf("Endpoint = %s:%d", m.outer, m.port) }

func (m *machine) write(text string) {
	m.w.t.Helper()
	m.WriteFile("/etc/wireguard/wg0.conf", text, 0o600)
}

// do runs the program, which must do its work.
func (m *machine) do(args ...string) string {
	m.w.t.Helper()
	text, code := m.Run(m.w.vpn, args...)
	if code != 0 {
		m.w.t.Fatalf("%s: vpn %s: code %d\n%s", m.Name, strings.Join(args, " "), code, text)
	}
	return text
}

// fail runs the program, which must end with that code, and say all of this.
func (m *machine) fail(code int, says []string, args ...string) string {
	m.w.t.Helper()
	text, got := m.Run(m.w.vpn, args...)
	if got != code {
		m.w.t.Fatalf("%s: vpn %s: code %d, not %d\n%s", m.Name, strings.Join(args, " "), got, code, text)
	}
	for _, part := range says {
		if !strings.Contains(text, part) {
			m.w.t.Fatalf("%s: vpn %s does not say %q:\n%s", m.Name, strings.Join(args, " "), part, text)
		}
	}
	return text
}

// peerUp brings b up, with a as its peer.
func (w *world) peerUp() {
	w.t.Helper()
	w.b.write(w.b.config(w.a, "", ""))
	w.b.do("up", "wg0")
}

// facts is all that a tunnel may leave on a host.
func (m *machine) facts() string {
	m.w.t.Helper()
	var b strings.Builder
	for _, command := range []string{
		"ip -d link", "ip address", "ip -4 route show table all", "ip -6 route show table all", "ip rule", "ip -6 rule", "nft list ruleset",
		"sysctl net.ipv4.conf.all.src_valid_mark net.ipv4.ip_forward", "cat /etc/resolv.conf", "find /run/vpn /run/wireguard /etc/wireguard -not -type d -not -path '*/shared-by-tunnels/lock'",
		"find /var/lib/vpn -mindepth 1 -not -path '*/floor*'",
	} {
		text, _ := m.Run("sh", "-c", command+" 2>/dev/null") // not all are there at first
		fmt.Fprintf(&b, "$ %s\n%s\n", command, strings.ReplaceAll(text, " tentative", ""))
	}
	fmt.Fprintf(&b, "processes %v\n", m.Processes())
	return b.String()
}

// pid returns the process that keeps wg0.
func (m *machine) pid() int {
	m.w.t.Helper()
	var pid int
	var rest string
	if _, err := fmt.Sscan(m.ReadFile("/run/vpn/wg0/lock"), &pid, &rest); err != nil {
		m.w.t.Fatal(err)
	}
	return pid
}

// children returns the processes that a process has started and that run.
func (m *machine) children(pid int) (pids []int) {
	m.w.t.Helper()
	for _, p := range m.Processes() {
		stat, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(p), "stat"))
		if err != nil {
			continue
		}
		var parent int
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		fmt.Sscan(fields[1], &parent)
		if parent == pid {
			pids = append(pids, p)
		}
	}
	return pids
}
