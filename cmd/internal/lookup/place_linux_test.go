package lookup

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"vpn/cmd/internal/testnet"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// question is what a process of its own is to look up: a Resolver's goroutines
// go where their process is.
type question struct {
	Hosts   string // a file to see as /etc/hosts, or empty
	Servers []netip.AddrPort
	Mark    uint32
	Name    string
}

const questionVariable = "VPN_TEST_LOOKUP"

func TestMain(m *testing.M) {
	if text := os.Getenv(questionVariable); text != "" {
		if err := lookupHere(text); err != nil {
			fmt.Println("error:", err)
		}
		os.Exit(0)
	}
	os.Exit(testnet.Main(m))
}

// lookupHere is the process's part: it prints the addresses.
func lookupHere(text string) error {
	var q question
	if err := json.Unmarshal([]byte(text), &q); err != nil {
		return err
	}
	if q.Hosts != "" {
		if err := unix.Mount(q.Hosts, "/etc/hosts", "", unix.MS_BIND, ""); err != nil {
			return err
		}
	}
	r := NewResolver(func(context.Context) ([]netip.AddrPort, error) { return q.Servers, nil }, 0)
	r.SetMark(q.Mark)
	got, err := r.Lookup(context.Background(), q.Name)
	if err != nil {
		return err
	}
	fmt.Println("addresses:", got)
	return nil
}

func (q question) variable(t *testing.T) string {
	text, err := json.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	return questionVariable + "=" + string(text)
}

// from looks a name up in a host.
func (q question) from(t *testing.T, h *testnet.Host) string {
	t.Helper()
	p := h.Start([]string{q.variable(t)}, os.Args[0])
	p.WaitEnd()
	return p.Output()
}

func addRule(t *testing.T, h *testnet.Host, mark uint32, table int, via string, link *testnet.Link) {
	t.Helper()
	h.Do(func() {
		for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
			rule := netlink.NewRule()
			rule.Family, rule.Mark, rule.Table = family, mark, table
			if err := netlink.RuleAdd(rule); err != nil {
				t.Fatal(err)
			}
		}
		l, err := netlink.LinkByName(link.Name)
		if err != nil {
			t.Fatal(err)
		}
		route := &netlink.Route{LinkIndex: l.Attrs().Index, Table: table, Dst: &net.IPNet{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}, Gw: net.ParseIP(via)}
		if err := netlink.RouteAdd(route); err != nil {
			t.Fatal(err)
		}
	})
}

// TestMark reaches a server that only marked packets have a route to, by UDP and
// by TCP.
func TestMark(t *testing.T) {
	client, router := testnet.NewHost(t, "client"), testnet.NewHost(t, "server")
	atClient, atServer := testnet.Connect(client, router, 0)
	atClient.Address("10.0.0.1/24")
	atServer.Address("10.0.0.2/24")
	router.Link("lo").Address("10.9.9.9/32")
	const mark = 51820
	addRule(t, client, mark, 123, "10.0.0.2", atClient)
	var s *server
	router.Do(func() {
		s = listen(t, "10.9.9.9:53", map[string]behaviour{
			"a.test.":    {addrs: addrs("192.0.2.7")},
			"long.test.": {addrs: addrs("192.0.2.7"), truncate: true},
		})
	})
	for _, name := range []string{"a.test", "long.test"} {
		q := question{Servers: []netip.AddrPort{s.addr}, Name: name, Mark: mark}
		if got, want := q.from(t, client), "addresses: [192.0.2.7]\n"; got != want {
			t.Errorf("%s, marked: %s", name, got)
		}
		q.Mark = 0
		if got := q.from(t, client); !strings.Contains(got, "unreachable") {
			t.Errorf("%s, not marked: %s", name, got)
		}
	}
	if s.count("long.test. tcp") == 0 {
		t.Error("nothing came by TCP")
	}
}

// TestOrder asks for one name where the host has a route for both families, or
// only for marked packets, or has no IPv6 address but a private one.
func TestOrder(t *testing.T) {
	client, router := testnet.NewHost(t, "client"), testnet.NewHost(t, "server")
	atClient, atServer := testnet.Connect(client, router, 0)
	atClient.Address("10.0.0.1/24")
	atServer.Address("10.0.0.2/24")
	list := addrs("192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2")
	var s *server
	router.Do(func() { s = listen(t, "10.0.0.2:53", map[string]behaviour{"a.test.": {addrs: list}}) })
	q := question{Servers: []netip.AddrPort{s.addr}, Name: "a.test"}
	want := func(where, order string) {
		t.Helper()
		if got := q.from(t, client); got != "addresses: "+order+"\n" {
			t.Errorf("%s: %s", where, got)
		}
	}
	atClient.Route("192.0.2.0/24", "10.0.0.2", 0)
	want("without IPv6", "[192.0.2.1 192.0.2.2 2001:db8::1 2001:db8::2]")
	atClient.Address("fd00::1/64")
	atClient.Route("2001:db8::/32", "fd00::2", 0)
	want("with a private IPv6 address", "[192.0.2.1 192.0.2.2 2001:db8::1 2001:db8::2]")
	atClient.Address("2001:db8:1::1/64")
	want("with IPv6", "[2001:db8::1 192.0.2.1 2001:db8::2 192.0.2.2]")
}

// TestHostsFirst shadows /etc/hosts in a mount namespace.
func TestHostsFirst(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, for a mount namespace")
	}
	s := listen(t, "127.0.0.1:0", map[string]behaviour{"a.test.": {addrs: addrs("127.0.0.8")}, "b.test.": {addrs: addrs("127.0.0.9")}})
	hosts := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(hosts, []byte("127.0.0.7 a.test\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, want string
		servers    []netip.AddrPort
	}{
		{"a.test", "addresses: [127.0.0.7]\n", []netip.AddrPort{s.addr}},
		{"b.test", "addresses: [127.0.0.9]\n", []netip.AddrPort{s.addr}},
		{"a.test", "addresses: [127.0.0.7]\n", nil},
	} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = slices.Concat(os.Environ(), []string{question{Hosts: hosts, Servers: test.servers, Name: test.name}.variable(t)})
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
		text, err := cmd.CombinedOutput()
		if err != nil || string(text) != test.want {
			t.Errorf("%s of %v: %s, %v", test.name, test.servers, text, err)
		}
	}
	if s.count("a.test. udp") > 0 {
		t.Error("a name of /etc/hosts was asked for")
	}
}
