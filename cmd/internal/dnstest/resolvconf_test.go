//go:build linux

package dnstest

import (
	"strings"
	"testing"

	"vpn/cmd/internal/testnet"
	"vpn/tun/host/dns"
)

// newOpenresolv makes a machine whose resolver is openresolv, which knows the
// net's name server.
func newOpenresolv(t *testing.T) *machine {
	t.Helper()
	m := newMachine(t)
	m.Install(testnet.Openresolv)
	m.WriteFile("/etc/resolv.conf", "", 0o644)
	m.register("eth0", "nameserver "+netServer+"\nsearch net.example\n")
	m.asks("name.example", netAnswer)
	return m
}

// register tells openresolv of a link's servers, as a DHCP client does.
func (m *machine) register(link, text string) {
	m.t.Helper()
	m.MustRun("sh", "-c", "resolvconf -a "+link+" <<EOF\n"+text+"EOF")
}

// known returns all that openresolv knows and has made.
func (m *machine) known() string {
	m.t.Helper()
	return m.MustRun("sh", "-c", "cd /run/resolvconf && find . -type f ! -path './lock*' | sort && find . -type f ! -path './lock*' | sort | xargs cat; cat /etc/resolv.conf")
}

func TestResolvconf(t *testing.T) {
	m := newOpenresolv(t)
	m.detects(dns.Resolvconf)
	before := m.known()
	s := settings("wg0", tunnelServer, "fd00::53")
	s.Search = []string{"corp.example", "search.example"}
	m.present(dns.Resolvconf, s, false)
	m.servers("wg0", netServer)

	m.set(dns.Resolvconf, s)
	m.asks("name.example", tunnelAnswer)
	m.servers("wg0", netServer)
	m.servers("", tunnelServer, "fd00::53")
	other := settings("wg0", tunnelServer)
	m.present(dns.Resolvconf, other, false)
	m.set(dns.Resolvconf, other)
	m.present(dns.Resolvconf, s, false)

	m.unset(dns.Resolvconf, "wg0")
	m.asks("name.example", netAnswer)
	m.present(dns.Resolvconf, other, false)
	m.unset(dns.Resolvconf, "wg0")
	if after := m.known(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// TestResolvconfTwoTunnels takes either of two down first.
func TestResolvconfTwoTunnels(t *testing.T) {
	m := newOpenresolv(t)
	before := m.known()
	a, b := settings("wg0", "10.8.0.53"), settings("wg1", tunnelServer)
	for _, order := range [][]dns.Settings{{a, b}, {b, a}} {
		m.set(dns.Resolvconf, a)
		m.set(dns.Resolvconf, b)
		m.asks("name.example", tunnelAnswer)
		for i, s := range order {
			m.unset(dns.Resolvconf, s.Link)
			if i == 0 {
				m.present(dns.Resolvconf, order[1], true)
			}
		}
		if after := m.known(); after != before {
			t.Errorf("before:\n%s\nafter:\n%s", before, after)
		}
	}
}

// TestResolvconfLikeWgQuick compares with the commands that wg-quick runs, which
// are the ones that are printed, too.
func TestResolvconfLikeWgQuick(t *testing.T) {
	for _, order := range []string{"", "lo*\ntun*\neth*\n"} {
		ours, theirs := newOpenresolv(t), newOpenresolv(t)
		prefix := ""
		for _, m := range []*machine{ours, theirs} {
			if order != "" {
				m.MustRun("mkdir", "-p", "/etc/resolvconf")
				m.WriteFile("/etc/resolvconf/interface-order", order, 0o644)
				prefix = "lo."
			}
		}
		s := settings("wg0", tunnelServer, "fd00::53")
		s.Search = []string{"corp.example"}
		ours.set(dns.Resolvconf, s)
		wgQuick := "resolvconf -a " + prefix + "wg0 -m 0 -x"
		theirs.MustRun("sh", "-c", "printf 'nameserver %s\\n' "+tunnelServer+" fd00::53 >/run/lines; printf 'search %s\\n' corp.example >>/run/lines; "+wgQuick+" </run/lines")
		if ours.known() != theirs.known() {
			t.Errorf("ours:\n%s\nwg-quick's:\n%s", ours.known(), theirs.known())
		}
		var typed, undo string
		ours.Do(func() { typed, undo = s.Command(dns.Resolvconf), dns.UndoCommand(dns.Resolvconf, "wg0") })
		if !strings.HasPrefix(typed, wgQuick+" ") {
			t.Errorf("%s, want %s", typed, wgQuick)
		}
		ours.MustRun("sh", "-c", typed)
		if ours.known() != theirs.known() {
			t.Errorf("typed:\n%s\nwg-quick's:\n%s", ours.known(), theirs.known())
		}
		ours.MustRun("sh", "-c", undo)
		theirs.MustRun("resolvconf", "-d", prefix+"wg0", "-f")
		if ours.known() != theirs.known() {
			t.Errorf("ours:\n%s\nwg-quick's:\n%s", ours.known(), theirs.known())
		}
	}
}

// TestResolvconfFails lets a subscriber fail: nothing stays, and what it said is told.
func TestResolvconfFails(t *testing.T) {
	m := newOpenresolv(t)
	before := m.known()
	m.WriteFile("/run/resolvconf-fails", "#!/bin/sh\ncat >/dev/null\n[ \"$1\" = -d ] || { echo no room >&2; exit 4; }\n", 0o755)
	m.Do(func() { bindOver(t, "/run/resolvconf-fails", "/usr/sbin/resolvconf") })
	m.Do(func() {
		err := dns.Set(t.Context(), dns.Resolvconf, settings("wg0", tunnelServer))
		if err == nil || !strings.Contains(err.Error(), "no room") || !strings.Contains(err.Error(), "wg0") {
			t.Errorf("error: %v", err)
		}
	})
	if after := m.known(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

func TestResolvconfUninstalled(t *testing.T) {
	m := newMachine(t)
	m.Do(func() {
		t.Setenv("PATH", "/nowhere")
		note, err := dns.Unset(t.Context(), dns.Resolvconf, "wg0")
		if err != nil || !strings.Contains(note, "not installed") {
			t.Errorf("note %q, %v", note, err)
		}
	})
}

// TestOldDebianResolvconf has the folder in which old versions of Debian's resolvconf,
// which can't be asked, keep links.
func TestOldDebianResolvconf(t *testing.T) {
	m := newMachine(t)
	m.MustRun("mkdir", "-p", "/etc/resolvconf/run/interface")
	m.WriteFile("/etc/resolvconf/interface-order", "# first wins\nlo.inet6\ntun*\n", 0o644)
	m.WriteFile("/etc/resolvconf/run/interface/eth0.dhclient", "nameserver "+netServer+"\n", 0o644)
	s := settings("wg0", tunnelServer)
	m.present(dns.Resolvconf, s, false)
	m.WriteFile("/etc/resolvconf/run/interface/tun.wg0", "nameserver "+tunnelServer+"\n", 0o644)
	m.present(dns.Resolvconf, s, true)
	m.servers("wg0", netServer)
}

// newResolvconf makes a machine whose resolver is Debian's resolvconf.
func newResolvconf(t *testing.T) *machine {
	t.Helper()
	m := newMachine(t)
	m.Install(testnet.Resolvconf)
	m.MustRun("mkdir", "-p", "/run/resolvconf/interface")
	m.MustRun("resolvconf", "--enable-updates")
	m.MustRun("ln", "-sf", "/run/resolvconf/resolv.conf", "/etc/resolv.conf")
	m.register("eth0.dhclient", "nameserver "+netServer+"\nsearch net.example\n")
	m.asks("name.example", netAnswer)
	return m
}

// TestDebianResolvconf runs Debian's own program, which knows of no exclusive links:
// it puts the tunnel's servers before the others, as its list of prefixes says.
func TestDebianResolvconf(t *testing.T) {
	m := newResolvconf(t)
	m.detects(dns.Resolvconf)
	before := m.known()
	s, other := settings("wg0", tunnelServer, "fd00::53"), settings("wg1", "10.8.0.53")
	s.Search = []string{"corp.example", "search.example"}
	m.present(dns.Resolvconf, s, false)

	m.set(dns.Resolvconf, s)
	m.asks("name.example", tunnelAnswer)
	m.servers("wg0", netServer)
	m.set(dns.Resolvconf, other)
	m.present(dns.Resolvconf, s, true)
	m.servers("wg0", "10.8.0.53", netServer)
	m.unset(dns.Resolvconf, "wg1")
	m.present(dns.Resolvconf, other, false)
	m.servers("", tunnelServer, "fd00::53", netServer)
	changed := settings("wg0", tunnelServer)
	m.set(dns.Resolvconf, changed)
	m.present(dns.Resolvconf, s, false)

	m.unset(dns.Resolvconf, "wg0")
	m.asks("name.example", netAnswer)
	m.unset(dns.Resolvconf, "wg0")
	if after := m.known(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	var typed, undo string
	m.Do(func() { typed, undo = s.Command(dns.Resolvconf), dns.UndoCommand(dns.Resolvconf, "wg0") })
	m.MustRun("sh", "-c", typed)
	m.present(dns.Resolvconf, s, true)
	m.MustRun("sh", "-c", undo)
	if after := m.known(); after != before {
		t.Errorf("before:\n%s\nafter what is typed:\n%s", before, after)
	}
}
