//go:build linux

package testnet

import (
	"os"
	"strings"
	"testing"
)

func TestMachineHasItsOwnFiles(t *testing.T) {
	before, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		t.Fatal(err)
	}
	a, b := NewMachine(t, "a"), NewMachine(t, "b")
	atA, _ := Connect(a, b, 0)
	for _, path := range []string{"/etc/resolv.conf", "/etc/wireguard/x.conf", "/run/x", "/var/lib/x"} {
		a.WriteFile(path, "a's\n", 0o600)
		if text := a.ReadFile(path); text != "a's" {
			t.Errorf("%s: %q", path, text)
		}
		if text, code := b.Run("cat", path); code == 0 && strings.Contains(text, "a's") {
			t.Errorf("%s of a is there on b", path)
		}
	}
	a.MustRun("mv", "/run/x", "/etc/resolv.conf") // as by renaming over it
	if after, err := os.ReadFile("/etc/resolv.conf"); err != nil || string(after) != string(before) {
		t.Errorf("the machine's own resolv.conf: %q, %v", after, err)
	}
	if links := a.MustRun("ls", "/sys/class/net"); !strings.Contains(links, atA.Name) {
		t.Errorf("links on a: %s", links)
	}
	if text, code := a.Run("sh", "-c", "echo said; exit 3"); code != 3 || text != "said\n" {
		t.Errorf("%d, %q", code, text)
	}
}

func TestDaemonsLeftBehindAreKilled(t *testing.T) {
	var left []int
	t.Run("host", func(t *testing.T) {
		h := NewMachine(t, "h")
		h.MustRun("sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 &")
		if left = h.Processes(); len(left) != 1 {
			t.Fatalf("processes: %v", left)
		}
	})
	for _, pid := range allProcesses() {
		if len(left) > 0 && pid == left[0] {
			t.Errorf("%d lives on", pid)
		}
	}
}

func TestMachineRunsDaemons(t *testing.T) {
	h := NewMachine(t, "h")
	d := h.StartDaemon(VPN)
	d.Set("listen_port=1234")
	if got := d.Get().Device["listen_port"]; got != "1234" {
		t.Errorf("port %q", got)
	}
	if _, err := os.Stat(d.SocketPath()); err == nil {
		t.Error("the machine's control socket is the test's as well")
	}
}

func TestInstalledPackages(t *testing.T) {
	h := NewMachine(t, "h")
	h.Install(Openresolv)
	if text := h.MustRun("resolvconf", "--version"); !strings.Contains(text, "openresolv") {
		t.Errorf("%s", text)
	}
	h = NewMachine(t, "h2")
	h.StartBus()
	h.InstallResolved()
	if text := h.MustRun("resolvectl", "--no-pager", "dns"); !strings.Contains(text, "Global") {
		t.Errorf("%s", text)
	}
	if text := h.ReadFile("/etc/resolv.conf"); !strings.Contains(text, "nameserver 127.0.0.53") {
		t.Errorf("%s", text)
	}
}
