//go:build linux

package testnet

import (
	"os"
	"strings"
	"testing"
)

// TestStartSystemd has a real systemd do what it does, for one host alone.
func TestStartSystemd(t *testing.T) {
	h := NewMachine(t, "machine")
	h.WriteFile("/etc/systemd/system/vpn-early.service", "[Service]\nExecStart=true\n", 0o644)
	s := h.StartSystemd()
	h.WriteFile("/etc/systemd/system/late.service", `[Service]
Type=oneshot
ExecStart=sh -c 'cat /proc/1/comm; sysctl -w net.ipv4.ip_forward=1; sysctl -w kernel.pid_max=40000 || echo denied'
`, 0o644)
	s.MustRun("systemctl", "daemon-reload")
	s.MustRun("systemctl", "start", "vpn-early", "late")
	s.MustRun("journalctl", "--sync")
	text := s.MustRun("journalctl", "--unit=late", "--output=cat")
	for _, want := range []string{"systemd\n", "net.ipv4.ip_forward = 1", "denied"} {
		if !strings.Contains(text, want) {
			t.Errorf("the journal doesn't have %q:\n%s", want, text)
		}
	}
	if got := h.ReadFile("/proc/sys/net/ipv4/ip_forward"); got != "1" {
		t.Errorf("the unit's host has ip_forward %s", got)
	}
	s.MustRun("busctl", "call", "org.freedesktop.DBus", "/", "org.freedesktop.DBus", "GetId")
	for _, path := range []string{"/dev/log", "/dev/initctl", "/run/systemd/private"} {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s is there for all", path)
		}
	}
}
