//go:build linux

package hosttest

import (
	"context"
	"net"
	"strings"
	"testing"

	"vpn/cmd/internal/testnet"
	"vpn/tun/host"
)

// A session of a program that is called as SSH servers are is found, and a kill
// switch that would cut it is refused.
func TestSSHSession(t *testing.T) {
	p := newPlace(t)
	var listener net.Listener
	p.neighbour.Do(func() {
		var err error
		if listener, err = net.Listen("tcp", "192.0.2.2:2222"); err != nil {
			t.Fatal(err)
		}
	})
	defer listener.Close()
	p.MustRun("cp", "/bin/bash", "/run/sshd-session")
	p.Start(nil, "/run/sshd-session", "-c", "exec 3<>/dev/tcp/192.0.2.2/2222; read <&3")
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const text = "[Interface]\nAddress = 10.0.0.1/24\n#vpn: KillSwitch = on\n"
	testnet.Until(t, "the session is found", func() (found bool) {
		p.journal("wg0", func(j *host.Journal) { found = len(p.read("wg0", j).Sessions) > 0 })
		return found
	})
	p.journal("wg0", func(j *host.Journal) {
		s := p.read("wg0", j)
		if len(s.Sessions) != 1 || s.Sessions[0] != (host.Session{Peer: address("192.0.2.2"), Link: "eth0"}) {
			t.Errorf("sessions: %+v", s.Sessions)
		}
		if _, err := host.Up(config(t, text), s, host.Options{Link: "wg0", File: "test.conf"}); err == nil || !strings.Contains(err.Error(), "would cut the SSH session with 192.0.2.2") {
			t.Errorf("error: %v", err)
		}
		plan, err := host.Up(config(t, text), s, host.Options{Link: "wg0", Force: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := host.Apply(context.Background(), plan, j, p.owner("wg0"), quiet); err != nil {
			t.Fatal(err)
		}
		p.owner("wg0").mark = plan.Mark
		if err := j.MarkUp(host.UpRecord{Mark: plan.Mark, Auto: true}, p.look(j)); err != nil {
			t.Fatal(err)
		}
	})
	p.up("wg0", text) // which cuts nothing more
}
