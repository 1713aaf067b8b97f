//go:build linux

package uptest

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"

	"vpn/cmd/internal/testnet"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { os.Exit(testnet.Main(m)) }

// The addresses of a world.
const (
	laptopOuter4, laptopOuter6   = "192.168.77.1", "fd77::1"
	gatewayOuter4, gatewayOuter6 = "192.168.78.2", "fd78::2"
	laptopInner4, laptopInner6   = "10.77.0.1", "fd00:77::1"
	gatewayInner4, gatewayInner6 = "10.77.0.2", "fd00:77::2"
	beyond4, beyond6             = "203.0.113.9", "2001:db8:113::9" // behind the gateway, which is the only way there
	port                         = "51820"
)

// A world is a laptop that reaches a gateway through a router, by its default
// route. The gateway runs WireGuard, and something beyond it.
type world struct {
	t *testing.T

	laptop, router, gateway *testnet.Host
	outer                   *testnet.Link // the laptop's way out
	daemon                  *testnet.Daemon
	key                     testnet.Key // the laptop's
	vpn                     string      // path of the program
}

func newWorld(t *testing.T, kind testnet.Kind) *world {
	t.Helper()
	w := &world{
		t:      t,
		laptop: testnet.NewMachine(t, "laptop"), router: testnet.NewHost(t, "router"), gateway: testnet.NewHost(t, "gateway"),
		key: testnet.NewKey(),
		vpn: testnet.Binary(t, testnet.VPN),
	}
	w.router.Forward()
	toLaptop, outer := testnet.Connect(w.router, w.laptop, 0)
	toGateway, up := testnet.Connect(w.router, w.gateway, 0)
	w.outer = outer
	toLaptop.Address("192.168.77.254/24", "fd77::254/64")
	toGateway.Address("192.168.78.254/24", "fd78::254/64")
	outer.Address(laptopOuter4+"/24", laptopOuter6+"/64")
	up.Address(gatewayOuter4+"/24", gatewayOuter6+"/64")
	outer.Route("0.0.0.0/0", "192.168.77.254", 0)
	outer.Route("::/0", "fd77::254", 0)
	up.Route("0.0.0.0/0", "192.168.78.254", 0)
	up.Route("::/0", "fd78::254", 0)

	w.daemon = w.gateway.StartDaemon(kind)
	w.daemon.Set("private_key="+w.daemon.Key.Private, "listen_port="+port,
		"public_key="+w.key.Public, "allowed_ip="+laptopInner4+"/32", "allowed_ip="+laptopInner6+"/128")
	w.daemon.Address(gatewayInner4+"/24", gatewayInner6+"/64")
	w.daemon.Up()
	w.gateway.Link("lo").Address(beyond4+"/32", beyond6+"/128")
	w.laptop.MustPing(gatewayOuter4)
	w.laptop.MustPing(gatewayOuter6)
	return w
}

// base64Of is a key as files have it.
func base64Of(hexadecimal string) string {
	b, err := hex.DecodeString(hexadecimal)
	if err != nil {
		panic(err) // testnet made it
	}
	return base64.StdEncoding.EncodeToString(b)
}

// config is a file of the laptop's for the gateway, with further lines in its
// sections.
func (w *world) config(allowed string, inInterface, inPeer []string) string {
	lines := []string{
		"[Interface]", "PrivateKey = " + base64Of(w.key.Private), "Address = " + laptopInner4 + "/24, " + laptopInner6 + "/64",
	}
	lines = append(lines, inInterface...)
	lines = append(lines, "", "[Peer]", "PublicKey = "+base64Of(w.daemon.Key.Public), "AllowedIPs = "+allowed)
	if !strings.Contains(strings.Join(inPeer, "\n"), "Endpoint") {
		lines = append(lines, "Endpoint = "+gatewayOuter4+":"+port)
	}
	return strings.Join(append(lines, inPeer...), "\n") + "\n"
}

// everything is AllowedIPs of a full tunnel.
const everything = "0.0.0.0/0, ::/0"

// write writes the file of an interface.
func (w *world) write(name, text string) {
	w.t.Helper()
	w.laptop.WriteFile("/etc/wireguard/"+name+".conf", text, 0o600)
}

// up brings a file's interface up.
func (w *world) up(name, text string) {
	w.t.Helper()
	w.write(name, text)
	w.must("up", name)
}

// must runs the program on the laptop, where it has to end well.
func (w *world) must(args ...string) string {
	w.t.Helper()
	return w.laptop.MustRun(w.vpn, args...)
}

// fails runs the program on the laptop, where it must not end well, and returns
// what it printed.
func (w *world) fails(args ...string) string {
	w.t.Helper()
	text, code := w.laptop.Run(w.vpn, args...)
	if code == 0 {
		w.t.Errorf("vpn %s ends well: %s", strings.Join(args, " "), text)
	}
	return text
}

// through pings what is beyond the gateway, by both families.
func (w *world) through() {
	w.t.Helper()
	w.laptop.MustPing(beyond4)
	w.laptop.MustPing(beyond6)
}

// The processes of `vpn up`.
const (
	keeper = "run"
	engine = "device"
)

// pid returns the process of the program that runs as that command, and 0 if there is none.
func (w *world) pid(command string) int {
	w.t.Helper()
	for _, pid := range w.laptop.Processes() {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err == nil && strings.Contains(string(line), "\x00"+command+"\x00") {
			return pid
		}
	}
	return 0
}

// kill kills a process of the program, and waits until it is gone.
func (w *world) kill(command string) {
	w.t.Helper()
	pid := w.pid(command)
	if pid == 0 {
		w.t.Fatalf("no process runs as vpn %s", command)
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		w.t.Fatal(err)
	}
	// Its threads end one after another, and until the last has, its files are open.
	testnet.Until(w.t, "the killed process is gone", func() bool {
		_, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
		return err != nil
	})
}

// looks are what a person would look at to see what is left on a host.
var looks = []string{
	"ip -o link show", "ip -o address show", "ip -4 rule show", "ip -6 rule show",
	"ip -4 route show table all", "ip -6 route show table all",
	"nft list ruleset", "cat /etc/resolv.conf", "stat -c '%A %U:%G %N' /etc/resolv.conf",
	"cat /proc/sys/net/ipv4/conf/all/src_valid_mark /proc/sys/net/ipv4/conf/all/send_redirects",
	"cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding",
	// A file that tunnels lock in turn can't be removed by any of them.
	"find /run -mindepth 1 -not -path '/run/.changes*' -not -name .boot -not -type d -not -path /run/vpn/shared-by-tunnels/lock",
	// How far timestamps went, and where names were last found, are there to stay.
	"find /var/lib/vpn -type f -not -path '*/floor/*' -not -name addresses 2>/dev/null; true",
}

// look returns what the laptop is like.
func (w *world) look() string {
	w.t.Helper()
	var b strings.Builder
	for _, command := range looks {
		fmt.Fprintf(&b, "$ %s\n%s\n", command, w.laptop.MustRun("sh", "-c", command))
	}
	if left := w.laptop.Processes(); len(left) > 0 {
		fmt.Fprintln(&b, "processes:", len(left))
	}
	return b.String()
}

// same fails if the laptop is not as it was.
func (w *world) same(before string) {
	w.t.Helper()
	after := ""
	for range 100 { // what ends says so before it has ended
		if after = w.look(); after == before {
			return
		}
	}
	was, is := strings.Split(before, "\n"), strings.Split(after, "\n")
	w.t.Errorf("left behind: %q\ntaken away: %q", without(is, was), without(was, is))
}

// without returns the lines of a that are not in b.
func without(a, b []string) (rest []string) {
	there := map[string]bool{}
	for _, line := range b {
		there[line] = true
	}
	for _, line := range a {
		if !there[line] {
			rest = append(rest, line)
		}
	}
	return rest
}
