//go:build linux

package dnstest

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vpn/cmd/internal/testnet"
	"vpn/tun/host/dns"
)

func TestMain(m *testing.M) { os.Exit(testnet.Main(m)) }

// What the name servers of the net and of the tunnel's far end answer.
const (
	netServer, netAnswer       = "192.0.2.53", "198.51.100.1"
	tunnelServer, tunnelAnswer = "10.9.0.53", "198.51.100.2"
)

// machine is a host under test: its link eth0 leads to the net, and eth1, which
// stands for the tunnel, to the tunnel's far end.
type machine struct {
	*testnet.Host
	t *testing.T
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	h := testnet.NewMachine(t, "host")
	for i, server := range []struct{ prefix, own, at, answer string }{
		{"/24", "192.0.2.1", netServer, netAnswer},
		{"/24", "10.9.0.1", tunnelServer, tunnelAnswer},
	} {
		far := testnet.NewHost(t, []string{"net", "far end"}[i])
		atHost, atFar := testnet.Connect(h, far, 0)
		atHost.Address(server.own + server.prefix)
		atFar.Address(server.at + server.prefix)
		far.ServeDNS(server.at, server.answer)
	}
	return &machine{h, t}
}

// do calls f on the host and fails the test with its error.
func (m *machine) do(what string, f func() error) {
	m.t.Helper()
	m.Do(func() {
		if err := f(); err != nil {
			m.t.Fatalf("%s: %v", what, err)
		}
	})
}

func (m *machine) set(k dns.Kind, s dns.Settings) {
	m.t.Helper()
	m.do("set", func() error { return dns.Set(m.t.Context(), k, s) })
	m.present(k, s, true)
}

// unset returns the note.
func (m *machine) unset(k dns.Kind, link string) (note string) {
	m.t.Helper()
	m.do("unset", func() (err error) {
		note, err = dns.Unset(m.t.Context(), k, link)
		return err
	})
	return note
}

func (m *machine) present(k dns.Kind, s dns.Settings, want bool) {
	m.t.Helper()
	m.do("present", func() error {
		if is, err := dns.Present(m.t.Context(), k, s); err != nil || is != want {
			m.t.Errorf("present: %v, %v, want %v", is, err, want)
		}
		return nil
	})
}

func (m *machine) detects(want dns.Kind) {
	m.t.Helper()
	m.do("detect", func() error {
		if k, err := dns.Detect(m.t.Context()); err != nil || k != want {
			m.t.Errorf("detect: %q, %v, want %q", k, err, want)
		}
		return nil
	})
}

func (m *machine) servers(except string, want ...string) {
	m.t.Helper()
	m.do("servers", func() error {
		all, err := dns.Servers(m.t.Context(), except)
		if err != nil {
			return err
		}
		got := make([]string, len(all))
		for i, a := range all {
			got[i] = a.Addr().String()
			if a.Port() != 53 {
				m.t.Errorf("%s at port %d", a.Addr(), a.Port())
			}
		}
		slices.Sort(got) // links are in no order
		slices.Sort(want)
		if !slices.Equal(got, want) {
			m.t.Errorf("servers without those of %q: %q, want %q", except, got, want)
		}
		return nil
	})
}

// asks wants a program of the host to get an answer for a name.
func (m *machine) asks(name, want string) {
	m.t.Helper()
	if text, _ := m.Run("getent", "ahostsv4", name); !strings.HasPrefix(text, want+" ") {
		m.t.Errorf("%s is %q, want %s", name, text, want)
	}
}

func settings(link string, servers ...string) dns.Settings {
	s := dns.Settings{Link: link}
	for _, a := range servers {
		s.Servers = append(s.Servers, netip.MustParseAddr(a))
	}
	return s
}

// newResolved makes a machine whose resolver is systemd-resolved, which knows the
// net's name server.
func newResolved(t *testing.T) (*machine, *testnet.Resolved) {
	t.Helper()
	m := newMachine(t)
	m.StartBus()
	r := m.InstallResolved()
	m.knowsNet()
	return m, r
}

func (m *machine) knowsNet() {
	m.t.Helper()
	m.MustRun("resolvectl", "dns", "eth0", netServer)
	m.MustRun("resolvectl", "default-route", "eth0", "yes")
}

func TestResolvedAllNames(t *testing.T) {
	m, _ := newResolved(t)
	m.detects(dns.Resolved)
	m.servers("eth1", netServer)
	m.asks("name.example", netAnswer)

	s := settings("eth1", tunnelServer, "fd00::53")
	m.set(dns.Resolved, s)
	m.asks("name.example", tunnelAnswer) // and not the net's answer that is still fresh
	m.servers("eth1", netServer)
	m.servers("", netServer, tunnelServer, "fd00::53")
	if text := m.MustRun("resolvectl", "domain", "eth1"); !strings.Contains(text, "~.") {
		t.Errorf("domains: %s", text)
	}

	other := settings("eth1", tunnelServer)
	other.Search = []string{"corp.example"}
	m.present(dns.Resolved, other, false)
	m.set(dns.Resolved, other)
	m.present(dns.Resolved, s, false)

	if note := m.unset(dns.Resolved, "eth1"); note != "" {
		t.Errorf("note %q", note)
	}
	m.present(dns.Resolved, other, false)
	m.asks("name.example", netAnswer)
	m.unset(dns.Resolved, "eth1")
	m.servers("", netServer)
}

func TestResolvedSplit(t *testing.T) {
	m, _ := newResolved(t)
	s := settings("eth1", tunnelServer)
	s.Routes, s.Search = []string{"corp.example"}, []string{"search.example"}
	m.set(dns.Resolved, s)
	m.asks("www.corp.example", tunnelAnswer)
	m.asks("www.search.example", tunnelAnswer)
	m.asks("www.example", netAnswer)
	m.asks("notcorp.example", netAnswer)
	m.unset(dns.Resolved, "eth1")
	m.asks("www.corp.example", netAnswer)
}

// TestResolvedCommandDoesTheSame holds the command that is printed against what is done.
func TestResolvedCommandDoesTheSame(t *testing.T) {
	m, _ := newResolved(t)
	for _, s := range []dns.Settings{
		{Search: []string{"a.example", "b.example"}},
		{Search: []string{"a.example"}, Routes: []string{"corp.example", "~home.example"}},
	} {
		s.Link, s.Servers = "eth1", []netip.Addr{netip.MustParseAddr(tunnelServer), netip.MustParseAddr("fd00::53")}
		m.MustRun("sh", "-c", s.Command(dns.Resolved))
		m.present(dns.Resolved, s, true)
		m.MustRun("sh", "-c", dns.UndoCommand(dns.Resolved, "eth1"))
		m.present(dns.Resolved, s, false)
	}
}

// TestResolvedRestarts lets systemd-resolved forget, and end.
func TestResolvedRestarts(t *testing.T) {
	m, r := newResolved(t)
	s := settings("eth1", tunnelServer)
	m.set(dns.Resolved, s)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var up <-chan struct{}
	m.do("watch", func() (err error) {
		up, err = dns.WatchResolved(ctx)
		return err
	})

	r.Signal(unix.SIGTERM)
	r.WaitEnd()
	m.Do(func() {
		if is, err := dns.Present(t.Context(), dns.Resolved, s); is || !errors.Is(err, dns.ErrAway) {
			t.Errorf("present: %v, %v, want %v", is, err, dns.ErrAway)
		}
	})
	m.MustRun("rm", "-r", "/run/systemd/resolve/netif")
	m.unset(dns.Resolved, "eth1") // nobody there: nothing to do
	r = m.StartResolved()
	<-up
	m.knowsNet()
	m.present(dns.Resolved, s, false)
	m.set(dns.Resolved, s)
	m.asks("name.example", tunnelAnswer)

	cancel()
	if _, open := <-up; open {
		if _, open = <-up; open { // one may have waited
			t.Error("the watch goes on")
		}
	}
	r.Signal(unix.SIGKILL)
	r.WaitEnd()
	m.unset(dns.Resolved, "eth1")
}

func TestResolvedWithoutLinkOrBus(t *testing.T) {
	m, r := newResolved(t)
	s := settings("gone0", tunnelServer)
	m.Do(func() {
		if err := dns.Set(t.Context(), dns.Resolved, s); err == nil || !strings.Contains(err.Error(), "gone0") {
			t.Errorf("set on a link that is not there: %v", err)
		}
	})
	m.present(dns.Resolved, s, false)
	m.unset(dns.Resolved, "gone0")

	m.set(dns.Resolved, settings("eth1", tunnelServer))
	m.Link("eth1").Delete()
	m.unset(dns.Resolved, "eth1")

	r.Signal(unix.SIGTERM)
	r.WaitEnd()
	m.servers("", netServer) // as its files still say
	m.MustRun("rm", "/run/dbus/system_bus_socket")
	m.Do(func() {
		if is, err := dns.Present(t.Context(), dns.Resolved, settings("eth0", netServer)); is || !errors.Is(err, dns.ErrAway) {
			t.Errorf("present: %v, %v, want %v", is, err, dns.ErrAway)
		}
	})
	m.detects(dns.File)
	m.unset(dns.Resolved, "eth0")
}

// TestResolvedNewLink sets the servers of a link the moment that it is made.
func TestResolvedNewLink(t *testing.T) {
	m, _ := newResolved(t)
	for range 20 {
		m.MustRun("ip", "link", "add", "new0", "type", "veth", "peer", "name", "new1")
		m.do("set", func() error { return dns.Set(t.Context(), dns.Resolved, settings("new0", tunnelServer)) })
		m.Link("new0").Delete()
	}
}

func TestDetect(t *testing.T) {
	m, _ := newResolved(t)
	for _, test := range []struct {
		lies, text string
		want       dns.Kind
	}{
		{"file", "nameserver 127.0.0.53\noptions edns0\n", dns.Resolved},
		{"file", "# nothing\nnameserver 127.0.0.54\nnameserver 127.0.0.53\n", dns.Resolved},
		{"file", "nameserver 127.0.0.53\nnameserver 192.0.2.53\n", dns.File},
		{"file", "", dns.File},
		{"link", "/run/systemd/resolve/resolv.conf", dns.Resolved},
		{"link", "../run/systemd/resolve/stub-resolv.conf", dns.Resolved},
		{"link", "/var/run/systemd/resolve/not-there-yet.conf", dns.Resolved},
		{"link", "/usr/lib/systemd/resolv.conf", dns.Resolved},
		{"link", "/run/NetworkManager/resolv.conf", dns.File},
		{"link", "resolv.conf", dns.File}, // to itself
		{"nothing", "", dns.File},
	} {
		m.MustRun("rm", "-f", "/etc/resolv.conf")
		switch test.lies {
		case "file":
			m.WriteFile("/etc/resolv.conf", test.text, 0o644)
		case "link":
			m.MustRun("ln", "-s", test.text, "/etc/resolv.conf")
		}
		t.Log(test.lies, test.text)
		m.detects(test.want)
	}
}
