//go:build linux

package installtest

import (
	"strings"
	"testing"

	"vpn/cmd/internal/testnet"
)

// TestMetricsService has the metrics as a service in its sandbox, beside a tunnel that is another: neither needs the other, and a port that is
// taken is tried again.
func TestMetricsService(t *testing.T) {
	s := newSite(t)
	s.host.MustRun("ip", "link", "set", "lo", "up")
	s.host.MustRun("sh", "-c", "mkdir -p /etc/default && echo 'ARGS=--listen 127.0.0.1:9587' >/etc/default/vpn-metrics")
	s.sys.MustRun("systemctl", "enable", "--now", "vpn-metrics")
	s.write(0, "")
	s.sys.MustRun("systemctl", "start", "vpn@wg0")
	s.ping(0)
	const get = `exec 3<>/dev/tcp/127.0.0.1/9587; printf 'GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3; cat <&3`
	testnet.Until(t, "the tunnel is told of", func() bool {
		text, _ := s.sys.Run("bash", "-c", get)
		return strings.Contains(text, `vpn_peers{interface="wg0",state="up"} 1`) && strings.Contains(text, `vpn_interface_answers{interface="wg0"} 1`)
	})
	pid := s.pid("vpn-metrics")
	if caps, privileges := testnet.Status(pid, "CapBnd"), testnet.Status(pid, "NoNewPrivs"); caps != "0000000000001000" || privileges != "1" {
		t.Errorf("it has capabilities %s, no new privileges: %s", caps, privileges)
	}
	if text := s.sys.MustRun("journalctl", "--unit=vpn-metrics", "--output=cat"); strings.Contains(text, "WARN") {
		t.Errorf("it complains:\n%s", text)
	}

	// It ends, and somebody else takes its port: it says so, and the tunnel knows nothing of it.
	s.sys.MustRun("systemctl", "stop", "vpn-metrics")
	s.ping(0)
	s.host.WriteFile("/etc/default/vpn-metrics", "ARGS=--listen 127.0.0.1:9588\n", 0o644)
	squatter := s.sys.Start(nil, "/usr/local/bin/vpn", "metrics", "--listen", "127.0.0.1:9588")
	squatter.WaitOutput("127.0.0.1:9588/metrics")
	if _, code := s.sys.Run("systemctl", "start", "vpn-metrics"); code == 0 {
		t.Error("with its port taken it starts")
	}
	if text := s.sys.MustRun("journalctl", "--unit=vpn-metrics", "--output=cat"); !strings.Contains(text, "127.0.0.1:9588: bind: address already in use") {
		t.Errorf("of its port it says\n%s", text)
	}
	if got := s.property("vpn-metrics", "ActiveState"); got != "activating" {
		t.Errorf("it is %s, and not to be tried again", got)
	}
	s.ping(0)
	s.sys.MustRun("systemctl", "restart", "vpn@wg0")
	s.ping(0)
	s.sys.MustRun("systemctl", "stop", "vpn-metrics", "vpn@wg0")
}
