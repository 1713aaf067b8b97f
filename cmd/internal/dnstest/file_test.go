//go:build linux

package dnstest

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vpn/tun/host/dns"
)

// bindOver mounts a file over another.
func bindOver(t *testing.T, from, to string) {
	t.Helper()
	if err := unix.Mount(from, to, "", unix.MS_BIND, ""); err != nil {
		t.Errorf("mount over %s: %v", to, err)
	}
}

// resolvConf is a state of /etc/resolv.conf.
type resolvConf struct {
	text, target string
	mode         os.FileMode
	missing      bool
	inode        uint64 // looked at only where it has to stay
}

func (m *machine) resolvConf() (c resolvConf) {
	m.t.Helper()
	m.do("read resolv.conf", func() error {
		var s unix.Stat_t
		err := unix.Lstat("/etc/resolv.conf", &s)
		if err == unix.ENOENT {
			c.missing = true
			return nil
		}
		if err != nil {
			return err
		}
		c.inode = s.Ino
		if s.Mode&unix.S_IFMT == unix.S_IFLNK {
			c.target, err = os.Readlink("/etc/resolv.conf")
			return err
		}
		c.mode = os.FileMode(s.Mode & 0o7777)
		text, err := os.ReadFile("/etc/resolv.conf")
		c.text = string(text)
		return err
	})
	return c
}

// lay puts a state in place.
func (m *machine) lay(c resolvConf) {
	m.t.Helper()
	m.MustRun("rm", "-f", "/etc/resolv.conf")
	switch {
	case c.missing:
	case c.target != "":
		m.MustRun("ln", "-s", c.target, "/etc/resolv.conf")
	default:
		m.WriteFile("/etc/resolv.conf", c.text, c.mode)
	}
}

// is wants a state again, the very bytes, and no trace of ours.
func (m *machine) is(want resolvConf) {
	m.t.Helper()
	got := m.resolvConf()
	if want.inode == 0 {
		got.inode = 0
	}
	if got != want {
		m.t.Errorf("resolv.conf is %+v\nwant %+v", got, want)
	}
	if left := m.MustRun("sh", "-c", "find /etc -maxdepth 1 -name '.*vpn*'; find /var/lib/vpn -type f"); left != "" {
		m.t.Errorf("left behind:\n%s", left)
	}
}

// lines returns those of resolv.conf that are no comments.
func (m *machine) lines() (all []string) {
	m.t.Helper()
	for line := range strings.Lines(m.ReadFile("/etc/resolv.conf")) {
		if !strings.HasPrefix(line, "#") {
			all = append(all, strings.TrimSpace(line))
		}
	}
	return all
}

func (m *machine) hasLines(want ...string) {
	m.t.Helper()
	if got := m.lines(); !slices.Equal(got, want) {
		m.t.Errorf("resolv.conf has %q, want %q", got, want)
	}
}

const before = "# by hand\nnameserver " + netServer + "\nsearch net.example\noptions edns0 timeout:2\nsortlist 10.0.0.0/8"

// places are the shapes that resolv.conf comes in; the last byte is no newline in most.
var places = map[string]resolvConf{
	"file":          {text: before, mode: 0o644},
	"odd mode":      {text: before + "\n\n", mode: 0o755},
	"CRLF":          {text: "nameserver " + netServer + "\r\n\x80\xff\r\n", mode: 0o600},
	"empty":         {text: "", mode: 0o644},
	"link":          {target: "../run/else/resolv.conf"},
	"absolute link": {target: "/run/else/resolv.conf"},
	"link nowhere":  {target: "../run/nowhere"},
	"missing":       {missing: true},
}

// newFiles makes a machine without any resolver's program.
func newFiles(t *testing.T, at resolvConf) *machine {
	t.Helper()
	m := newMachine(t)
	m.MustRun("mkdir", "-p", "/run/else", "/var/lib/vpn/floor", "/var/lib/vpn/wg0")
	m.WriteFile("/run/else/resolv.conf", before, 0o644)
	m.lay(at)
	m.detects(dns.File)
	return m
}

func TestFile(t *testing.T) {
	for name, at := range places {
		t.Run(name, func(t *testing.T) {
			m := newFiles(t, at)
			was := m.serversNow()
			s := settings("wg0", tunnelServer, "fd00::53")
			m.present(dns.File, s, false)
			m.unset(dns.File, "wg0") // nothing to do
			m.is(at)

			m.set(dns.File, s)
			m.asks("name.example", tunnelAnswer)
			m.servers("wg0", was...)
			m.servers("", tunnelServer, "fd00::53")
			if at.text == before || strings.HasSuffix(at.target, "else/resolv.conf") {
				m.hasLines("nameserver "+tunnelServer, "nameserver fd00::53", "search net.example", "options edns0 timeout:2", "sortlist 10.0.0.0/8")
			}
			first := m.resolvConf()
			m.set(dns.File, s)
			if again := m.resolvConf(); again.text != first.text {
				t.Errorf("set again: %s", again.text)
			}
			s.Search = []string{"corp.example", "search.example"}
			m.set(dns.File, s)
			if got := m.lines(); got[2] != "search corp.example search.example" || slices.Contains(got, "search net.example") {
				t.Errorf("lines: %q", got)
			}
			if note := m.unset(dns.File, "wg0"); note != "" {
				t.Errorf("note %q", note)
			}
			m.is(at)
			m.unset(dns.File, "wg0")
			m.is(at)
		})
	}
}

// serversNow returns those that resolv.conf names.
func (m *machine) serversNow() (all []string) {
	m.t.Helper()
	text, _ := m.Run("sh", "-c", "sed -n 's/^nameserver *\\([0-9.]*\\).*/\\1/p' /etc/resolv.conf 2>/dev/null")
	return strings.Fields(text)
}

// TestFileTwoTunnels takes two, and three, down in each order, the survivors in
// force or waiting for it.
func TestFileTunnelsInEachOrder(t *testing.T) {
	all := []dns.Settings{settings("wg0", "10.8.0.1"), settings("wg1", "10.8.0.2"), settings("wg2", "10.8.0.3")}
	orders := [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}
	for name, at := range places {
		t.Run(name, func(t *testing.T) {
			m := newFiles(t, at)
			for _, order := range orders {
				for _, s := range all {
					m.set(dns.File, s)
				}
				up := slices.Clone(all)
				for _, i := range order {
					if note := m.unset(dns.File, all[i].Link); note != "" {
						t.Errorf("%v: note %q", order, note)
					}
					up = slices.DeleteFunc(up, func(s dns.Settings) bool { return s.Link == all[i].Link })
					for _, s := range up {
						m.present(dns.File, s, true)
					}
					if len(up) > 0 {
						m.servers("", up[len(up)-1].Servers[0].String())
					}
				}
				m.is(at)
			}
		})
	}
}

// TestFileReloadBelow changes the settings of the tunnel that waits below another.
func TestFileReloadBelow(t *testing.T) {
	at := places["file"]
	m := newFiles(t, at)
	lower, upper := settings("wg0", "10.8.0.1"), settings("wg1", "10.8.0.2")
	m.set(dns.File, lower)
	m.set(dns.File, upper)
	changed := settings("wg0", "10.8.0.9")
	m.present(dns.File, changed, false)
	m.set(dns.File, changed)
	m.servers("", "10.8.0.2")
	m.unset(dns.File, "wg1")
	m.servers("", "10.8.0.9")
	m.unset(dns.File, "wg0")
	m.is(at)
}

// TestFileMounted has a resolv.conf that can only be written in place: containers
// mount one, and their /etc may be read-only besides.
func TestFileMounted(t *testing.T) {
	for _, readOnly := range []bool{false, true} {
		t.Run(fmt.Sprintf("read-only folder %v", readOnly), func(t *testing.T) {
			m := newFiles(t, resolvConf{text: "nobody's", mode: 0o644})
			m.WriteFile("/run/outside", before, 0o640)
			m.Do(func() {
				if readOnly {
					if err := unix.Mount("", "/etc", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
						t.Errorf("remount: %v", err)
					}
				}
				bindOver(t, "/run/outside", "/etc/resolv.conf")
			})
			at := m.resolvConf()
			s, other := settings("wg0", tunnelServer), settings("wg1", "10.8.0.2")
			m.set(dns.File, s)
			m.asks("name.example", tunnelAnswer)
			if now := m.resolvConf(); now.inode != at.inode {
				t.Error("another file")
			}
			m.set(dns.File, other)
			m.unset(dns.File, "wg0")
			m.unset(dns.File, "wg1")
			m.is(at)
		})
	}
}

// TestFileChangedMeanwhile edits or replaces the file while the tunnel is up.
func TestFileChangedMeanwhile(t *testing.T) {
	ours := "nameserver " + tunnelServer
	for name, test := range map[string]struct {
		edit string // a shell command
		note string // a part of it, empty: none
		want []string
	}{
		"a server more": {"echo nameserver 203.0.113.1 >>/etc/resolv.conf", "changed by somebody",
			[]string{"options edns0 timeout:2", "sortlist 10.0.0.0/8", "nameserver 203.0.113.1"}},
		"an option more": {"echo options rotate >>/etc/resolv.conf", "changed by somebody",
			[]string{"options edns0 timeout:2", "sortlist 10.0.0.0/8", "options rotate", "nameserver " + netServer, "search net.example"}},
		"a line above": {"sed -i '1i; mine' /etc/resolv.conf", "changed by somebody",
			[]string{"; mine", "options edns0 timeout:2", "sortlist 10.0.0.0/8", "nameserver " + netServer, "search net.example"}},
		"comments gone": {"grep -v '^#' /etc/resolv.conf >/etc/new; mv /etc/new /etc/resolv.conf", "changed by somebody",
			[]string{"options edns0 timeout:2", "sortlist 10.0.0.0/8", "nameserver " + netServer, "search net.example"}},
		"a new one":         {"echo nameserver 203.0.113.1 >/etc/resolv.conf", "replaced by somebody", []string{"nameserver 203.0.113.1"}},
		"a link":            {"echo nameserver 203.0.113.1 >/run/else/x; ln -sf /run/else/x /etc/resolv.conf", "replaced by somebody", []string{"nameserver 203.0.113.1"}},
		"the old one again": {"printf '%s' '" + before + "' >/etc/resolv.conf", "", []string{"nameserver " + netServer, "search net.example", "options edns0 timeout:2", "sortlist 10.0.0.0/8"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newFiles(t, places["file"])
			s := settings("wg0", tunnelServer)
			s.Search = []string{"corp.example"}
			m.set(dns.File, s)
			m.hasLines(ours, "search corp.example", "options edns0 timeout:2", "sortlist 10.0.0.0/8")
			m.MustRun("sh", "-c", test.edit)
			if note := m.unset(dns.File, "wg0"); (test.note == "") != (note == "") || !strings.Contains(note, test.note) {
				t.Errorf("note %q, want one with %q", note, test.note)
			}
			m.hasLines(test.want...)
			if note := m.unset(dns.File, "wg0"); note != "" {
				t.Errorf("a second note %q", note)
			}
			if left := m.MustRun("find", "/var/lib/vpn", "-type", "f"); left != "" {
				t.Errorf("left behind:\n%s", left)
			}
		})
	}
}

// TestFileHeals sets again what a DHCP client has replaced: what is put back in
// the end is what the client wrote.
func TestFileHeals(t *testing.T) {
	m := newFiles(t, places["file"])
	s := settings("wg0", tunnelServer)
	m.set(dns.File, s)
	renewed := resolvConf{text: "nameserver 203.0.113.1\n", mode: 0o644}
	m.lay(renewed)
	m.present(dns.File, s, false)
	m.set(dns.File, s)
	m.servers("wg0", "203.0.113.1")
	m.unset(dns.File, "wg0")
	m.is(renewed)

	m.set(dns.File, s) // and an edit is kept
	m.MustRun("sh", "-c", "sed -i /10.9/d /etc/resolv.conf; echo options rotate >>/etc/resolv.conf")
	m.present(dns.File, s, false)
	m.set(dns.File, s)
	m.hasLines("nameserver "+tunnelServer, "options rotate")
	m.unset(dns.File, "wg0")
	m.hasLines("options rotate", "nameserver 203.0.113.1")
}

// TestFileKilled finds what a killed process can leave at each step.
func TestFileKilled(t *testing.T) {
	at := places["file"]
	m := newFiles(t, at)
	s := settings("wg0", tunnelServer)
	m.WriteFile("/etc/.resolv.conf.vpn", "half a fi", 0o600)
	m.WriteFile("/var/lib/vpn/wg0/.resolv.conf.json.vpn", "half a fi", 0o600)
	m.unset(dns.File, "wg0")
	m.is(at)

	// The backup is written, and the file is not.
	m.set(dns.File, s)
	m.MustRun("cp", "/var/lib/vpn/wg0/resolv.conf.json", "/run/backup")
	m.unset(dns.File, "wg0")
	m.MustRun("cp", "/run/backup", "/var/lib/vpn/wg0/resolv.conf.json")
	m.WriteFile("/etc/.resolv.conf.vpn", "half a fi", 0o600)
	if note := m.unset(dns.File, "wg0"); note != "" {
		t.Errorf("note %q", note)
	}
	m.is(at)

	// The file is put back, and the backup of a second tunnel knows it as that of the first.
	m.set(dns.File, s)
	m.set(dns.File, settings("wg1", "10.8.0.2"))
	m.MustRun("cp", "/var/lib/vpn/wg0/resolv.conf.json", "/run/backup")
	m.unset(dns.File, "wg0")
	m.MustRun("cp", "/run/backup", "/var/lib/vpn/wg0/resolv.conf.json")
	m.unset(dns.File, "wg0")
	m.unset(dns.File, "wg1")
	m.is(at)
}

// TestFileBackupLost goes on without it, and says so.
func TestFileBackupLost(t *testing.T) {
	m := newFiles(t, places["file"])
	s := settings("wg0", tunnelServer)
	m.set(dns.File, s)
	m.MustRun("rm", "/var/lib/vpn/wg0/resolv.conf.json")
	if note := m.unset(dns.File, "wg0"); !strings.Contains(note, "is gone") {
		t.Errorf("note %q", note)
	}
	m.hasLines("search net.example", "options edns0 timeout:2", "sortlist 10.0.0.0/8")

	m.set(dns.File, s)
	m.WriteFile("/var/lib/vpn/wg0/resolv.conf.json", "{", 0o600)
	m.Do(func() {
		if _, err := dns.Unset(t.Context(), dns.File, "wg0"); err == nil || !strings.Contains(err.Error(), "/var/lib/vpn/wg0/resolv.conf.json") {
			t.Errorf("error: %v", err)
		}
	})
}

// TestFileFails leaves all as it was.
func TestFileFails(t *testing.T) {
	at := places["file"]
	m := newFiles(t, at)
	m.Do(func() {
		if err := unix.Mount("", "/etc", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
			t.Errorf("remount: %v", err)
		}
		err := dns.Set(t.Context(), dns.File, settings("wg0", tunnelServer))
		if err == nil || !strings.Contains(err.Error(), "/etc/resolv.conf") {
			t.Errorf("error: %v", err)
		}
		split := settings("wg0", tunnelServer)
		split.Routes = []string{"corp.example"}
		if err := dns.Set(t.Context(), dns.File, split); err == nil || !strings.Contains(err.Error(), dns.ErrSplit.Error()) {
			t.Errorf("split: %v", err)
		}
		if err := dns.Set(t.Context(), dns.File, settings("wg0")); err == nil {
			t.Error("no servers: no error")
		}
	})
	m.is(at)
}

// TestFileConcurrent brings many tunnels up and down at once.
func TestFileConcurrent(t *testing.T) {
	at := places["file"]
	m := newFiles(t, at)
	ended := make(chan struct{})
	for i := range 8 {
		go func() {
			defer func() { ended <- struct{}{} }()
			s := settings(fmt.Sprintf("wg%d", i), fmt.Sprintf("10.8.0.%d", i+1))
			m.Do(func() {
				for range 20 {
					if err := dns.Set(t.Context(), dns.File, s); err != nil {
						t.Error(err)
					}
					if note, err := dns.Unset(t.Context(), dns.File, s.Link); err != nil || note != "" {
						t.Errorf("note %q, %v", note, err)
					}
				}
			})
		}()
	}
	for range 8 {
		<-ended
	}
	m.is(at)
}

// TestFileReplaced has somebody write another file while two tunnels are up: what is
// set again keeps their order, and in the end his file is there.
func TestFileReplaced(t *testing.T) {
	m := newMachine(t)
	m.lay(resolvConf{text: "nameserver " + netServer + "\n", mode: 0o644})
	a, b := settings("wg0", "10.8.0.53"), settings("wg1", tunnelServer)
	m.set(dns.File, a)
	m.set(dns.File, b)
	theirs := resolvConf{text: "; generated by dhclient\nnameserver 192.0.2.54\n", mode: 0o644}
	for _, c := range []resolvConf{{missing: true}, {target: "/run/nowhere"}, theirs} {
		m.lay(c)
		m.present(dns.File, a, true)
		m.present(dns.File, b, false)
		m.set(dns.File, b)
		m.hasLines("nameserver " + tunnelServer)
	}
	m.servers("wg1", "10.8.0.53")
	m.unset(dns.File, "wg1")
	m.present(dns.File, a, true)
	m.unset(dns.File, "wg0")
	m.is(theirs)
}
