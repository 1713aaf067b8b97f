//go:build linux

package installtest

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vpn/cmd/internal/testnet"
)

// The confined keeper has a real resolvconf run outside, of either kind.
func TestServiceWithResolvconf(t *testing.T) {
	for _, kind := range []testnet.Package{testnet.Openresolv, testnet.Resolvconf} {
		t.Run(string(kind), func(t *testing.T) {
			s := newSiteWith(t, func(h *testnet.Host) {
				h.Install(kind)
				if kind == testnet.Resolvconf {
					h.MustRun("sh", "-c", "mkdir -p /run/resolvconf/interface; resolvconf --enable-updates; ln -sf /run/resolvconf/resolv.conf /etc/resolv.conf")
				} else {
					h.WriteFile("/etc/resolv.conf", "", 0o644)
				}
				h.MustRun("sh", "-c", "echo nameserver 192.0.2.53 | resolvconf -a eth0.dhclient")
			})
			before := s.servers()
			if before != "192.0.2.53" {
				t.Fatalf("before, the name servers are %q", before)
			}
			asked := func(what, server string) {
				t.Helper()
				if got := s.servers(); !strings.HasPrefix(got+" ", server+" ") {
					t.Errorf("%s, the name servers are %q", what, got)
				}
			}
			s.write(0, "DNS = 10.9.0.53, corp.example")
			s.sys.MustRun("systemctl", "start", "vpn@wg0")
			s.ping(0)
			asked("up", "10.9.0.53")
			s.write(0, "DNS = 10.9.0.54")
			s.sys.MustRun("systemctl", "reload", "vpn@wg0")
			asked("reloaded", "10.9.0.54")
			if err := unix.Kill(s.pid("vpn@wg0"), unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			testnet.Until(t, "systemd has restarted it", func() bool {
				return s.property("vpn@wg0", "NRestarts") == "1" && s.property("vpn@wg0", "ActiveState") == "active"
			})
			asked("killed", "10.9.0.54")
			s.sys.MustRun("systemctl", "stop", "vpn@wg0")
			if after := s.servers(); after != before {
				t.Errorf("stopped, the name servers are %q", after)
			}
		})
	}
}

// servers returns the name servers that resolv.conf has.
func (s *site) servers() string {
	s.t.Helper()
	return strings.TrimSpace(s.sys.MustRun("sh", "-c", "sed -n 's/^nameserver //p' /etc/resolv.conf | tr '\\n' ' '"))
}

// TestSuspend has a real systemd-logind send the host to sleep, whose sleep is one
// that ends when somebody writes to a pipe: until then nothing of a session is left,
// and then a handshake follows at once, though nobody sends anything.
func TestSuspend(t *testing.T) {
	const pipe = "/run/sleep"
	s := newSiteWith(t, func(h *testnet.Host) {
		h.WriteFile("/run/states", "freeze mem\n", 0o644)
		h.MustRun("mount", "--bind", "/run/states", "/sys/power/state") // no kernel's: nobody falls asleep
		h.MustRun("mkfifo", pipe)
	}, "systemd-logind.service", "suspend.target", "sleep.target")
	s.host.WriteFile("/etc/systemd/system/systemd-suspend.service",
		"[Unit]\nDefaultDependencies=no\nRequires=sleep.target\nAfter=sleep.target\n[Service]\nType=oneshot\nExecStart=/bin/cat "+pipe+"\n", 0o644)
	s.sys.MustRun("systemctl", "daemon-reload")
	s.sys.MustRun("systemctl", "start", "systemd-logind.service")
	s.write(0, "")
	s.sys.MustRun("systemctl", "start", "vpn@wg0")
	s.ping(0)
	inhibits := func() bool {
		return strings.Contains(s.sys.MustRun("busctl", "call", login1, "/org/freedesktop/login1", login1+".Manager", "ListInhibitors"), `"sleep" "vpn"`)
	}
	for range 2 {
		testnet.Until(t, "the keeper has an inhibitor", inhibits)
		s.sys.MustRun("busctl", "call", login1, "/org/freedesktop/login1", login1+".Manager", "Suspend", "b", "false")
		testnet.Until(t, "the host sleeps", func() bool { return s.property("systemd-suspend.service", "ActiveState") == "activating" })
		if inhibits() {
			t.Error("the host sleeps, and the keeper holds it back")
		}
		if s.peer.Ping("10.9.0.1", 1, testnet.Patience/30).Received > 0 {
			t.Error("asleep, it has the keys of its session")
		}
		c := testnet.NewCapture(s.out)
		s.sys.MustRun("sh", "-c", "echo >"+pipe)
		const initiation = 1
		testnet.Until(t, "a handshake follows", func() bool {
			for _, m := range c.Messages() {
				if m.Outgoing && m.Type() == initiation {
					return true
				}
			}
			return false
		})
		s.ping(0)
	}
	s.sys.MustRun("systemctl", "stop", "vpn@wg0")
	if inhibits() {
		t.Error("down, it holds back the host's sleep")
	}
}

const login1 = "org.freedesktop.login1"

// TestNetworkManager has a real NetworkManager, with udev, beside a tunnel: it keeps
// its hands off the link, and what it does to resolv.conf when it is started anew is
// put right, and is there when the tunnel has gone.
func TestNetworkManager(t *testing.T) {
	s := newSiteWith(t, func(h *testnet.Host) {
		h.Install(testnet.NetworkManager)
		h.MustRun("mount", "-o", "remount,rw", "/sys") // else it takes itself to be in a container, and udev for dead
		h.MustRun("mount", "-t", "tmpfs", "tmpfs", "/usr/lib/udev/rules.d")
		h.MustRun("rm", "-f", "/etc/resolv.conf")
		h.WriteFile("/etc/NetworkManager/NetworkManager.conf", `[main]
plugins=keyfile
auth-polkit=false
no-auto-default=*
dns=default
rc-manager=file
`, 0o644)
		h.WriteFile("/etc/NetworkManager/system-connections/lan.nmconnection", `[connection]
id=lan
type=ethernet
interface-name=eth0
[ipv4]
method=manual
address1=192.0.2.1/24
dns=198.51.100.53;
[ipv6]
method=ignore
`, 0o600)
	}, "NetworkManager.service", "systemd-udevd.service", "systemd-udevd-control.socket", "systemd-udevd-kernel.socket")
	s.sys.MustRun("systemctl", "start", "systemd-udevd.service", "NetworkManager.service")
	s.sys.MustRun("udevadm", "trigger", "--action=add", "/sys/class/net/eth0") // which was there before
	states := func() string { return s.sys.MustRun("nmcli", "--terse", "--fields", "DEVICE,STATE", "device") }
	const theirs, ours = "198.51.100.53", "10.9.0.53"
	testnet.Until(t, "NetworkManager has set name servers", func() bool {
		text, _ := s.sys.Run("cat", "/etc/resolv.conf")
		return strings.Contains(text, theirs)
	})

	s.write(0, "DNS = "+ours+"\nTable = 77\nPostUp = ip route add 203.0.113.0/24 via 10.9.0.2; ip rule add from 10.9.0.1 table 77\nPostDown = ip rule delete from 10.9.0.1 table 77")
	s.sys.MustRun("systemctl", "start", "vpn@wg0")
	s.sys.MustRun("sh", "-c", "ip tuntap add dev other mode tun; ip address add 10.8.0.1/24 dev other; ip link set other up")
	network := func() string {
		return s.sys.MustRun("sh", "-c", "ip -o address show dev wg0; ip route show table all dev wg0; ip rule")
	}
	up := network()
	right := func(when string) {
		t.Helper()
		testnet.Until(t, when+": NetworkManager knows the links", func() bool {
			text := states()
			return strings.Contains(text, "wg0:") && strings.Contains(text, "other:") && strings.Contains(text, "eth0:connected\n")
		})
		if text := states(); !strings.Contains(text, "wg0:unmanaged\n") || strings.Contains(text, "other:unmanaged\n") {
			t.Errorf("%s: links are\n%s", when, text)
		}
		testnet.Until(t, when+": the tunnel's name servers are asked", func() bool { return s.servers() == ours })
		if now := network(); now != up {
			t.Errorf("%s:\n%s\nwas\n%s", when, now, up)
		}
		s.ping(0)
	}
	right("up")
	s.sys.MustRun("systemctl", "restart", "NetworkManager")
	right("NetworkManager restarted")
	s.sys.MustRun("nmcli", "general", "reload")
	s.sys.MustRun("nmcli", "connection", "up", "lan")
	right("NetworkManager has changed something")
	s.sys.MustRun("systemctl", "stop", "vpn@wg0")
	testnet.Until(t, "NetworkManager's name servers are asked", func() bool { return s.servers() == theirs })
}
