//go:build linux

package hosttest

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vpn/cmd/internal/testnet"
	"vpn/tun/host"
)

// TestHealing takes away, in turn, all that can be; it is told of, found missing,
// and put back.
func TestHealing(t *testing.T) {
	p := newPlace(t)
	p.up("wg0", everythingConf())
	before := p.inForce()
	changes := p.watch()
	for _, c := range []struct {
		command string
		what    string // that is told of
		lines   []string
	}{
		{"ip rule del priority 32764", "rule", []string{"ip -4 rule add table main suppress_prefixlength 0"}},
		{"ip -6 rule del priority 32765", "rule", []string{"ip -6 rule add not fwmark 51820 table 51820"}},
		{"ip route del 10.3.0.0/16", "route 10.3.0.0/16", []string{"ip -4 route add 10.3.0.0/16 dev wg0"}},
		{"ip route del throw 172.16.0.0/12 table 51820", "route 172.16.0.0/12", []string{"ip -4 route add throw 172.16.0.0/12 table 51820"}},
		{"ip -6 route flush table 51820", "", []string{"ip -6 route add throw 2001:db8:7::/48 table 51820", "ip -6 route add ::/0 dev wg0 table 51820"}},
		{"ip -6 route del unreachable default metric 4294967295 table 51820", "route default", []string{"ip -6 route add unreachable default metric 4294967295 table 51820"}},
		{"ip addr del 10.7.0.1/32 dev wg0", "address of wg0", []string{"ip -4 address add 10.7.0.1/32 dev wg0"}},
		{"nft flush ruleset", "", []string{"nft -f - <<EOF", "nft -f - <<EOF", "nft -f - <<EOF", "nft -f - <<EOF"}},
		{"nft flush chain ip wg-quick-wg0 preraw", "nft table wg-quick-wg0", []string{"nft -f - <<EOF"}},
	} {
		p.MustRun("bash", "-c", c.command)
		change := receive(t, changes)
		if c.what != "" && change.What != c.what {
			t.Errorf("%s: told of %q, not of %q", c.command, change.What, c.what)
		}
		p.journal("wg0", func(j *host.Journal) {
			steps := host.Missing(p.look(j), j)
			var lines []string
			for _, s := range steps {
				lines = append(lines, strings.Split(s.Do.String(), "\n")[0])
			}
			if diff := cmp.Diff(c.lines, lines); diff != "" {
				t.Errorf("%s: -want +got:\n%s", c.command, diff)
			}
			if err := host.Redo(context.Background(), steps, j, quiet); err != nil {
				t.Errorf("%s: %v", c.command, err)
			}
			if left := host.Missing(p.look(j), j); len(left) > 0 {
				t.Errorf("%s: missing after healing: %v", c.command, left)
			}
		})
	}
	if diff := cmp.Diff(before, p.inForce()); diff != "" {
		t.Errorf("-before +healed:\n%s", diff)
	}
}

// watch follows the host until the test ends.
func (p *place) watch() <-chan host.Change {
	p.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var changes <-chan host.Change
	p.Do(func() {
		var err error
		if changes, err = host.Watch(ctx, "wg0"); err != nil {
			p.t.Fatal(err)
		}
	})
	p.t.Cleanup(func() {
		cancel()
		for range changes { // it is closed in the end
		}
	})
	return changes
}

func receive(t *testing.T, changes <-chan host.Change) host.Change {
	t.Helper()
	select {
	case c := <-changes:
		return c
	case <-time.After(testnet.Patience):
		t.Fatal("nothing is told of")
		return host.Change{}
	}
}

// Who removes something is known while it lives.
func TestWhoDidIt(t *testing.T) {
	p := newPlace(t)
	p.up("wg0", configs["full"])
	changes := p.watch()
	const commands = "/run/commands"
	p.MustRun("mkfifo", commands)
	var to *os.File
	p.Do(func() {
		var err error
		if to, err = os.OpenFile(commands, os.O_RDWR, 0); err != nil {
			t.Fatal(err)
		}
	})
	defer to.Close()
	vandal := p.Start(nil, "ip", "-batch", commands) // which lives until there are no more
	if _, err := to.WriteString("rule del priority 32764\n"); err != nil {
		t.Fatal(err)
	}
	if c := receive(t, changes); c.What != "rule" || c.Who != fmt.Sprintf("ip (process %d)", vandal.PID()) {
		t.Errorf("told of %+v, not of process %d", c, vandal.PID())
	}
}

// While the link is down nothing is put back; when it is up again, all is.
func TestHealingWaitsForTheLink(t *testing.T) {
	p := newPlace(t)
	p.up("wg0", configs["full"])
	before := p.inForce()
	p.MustRun("ip", "link", "set", "wg0", "down")
	// What it had is refused, and does not leave by another link.
	if text, code := p.Run("ip", "route", "get", "198.51.100.1"); code == 0 {
		t.Errorf("with the link down: %s", text)
	}
	missing := func() (n int) {
		p.journal("wg0", func(j *host.Journal) {
			steps := host.Missing(p.look(j), j)
			n = len(steps)
			if err := host.Redo(context.Background(), steps, j, quiet); err != nil {
				t.Error(err)
			}
		})
		return n
	}
	if n := missing(); n != 0 {
		t.Errorf("%d steps with the link down", n)
	}
	changes := p.watch()
	p.MustRun("ip", "link", "set", "wg0", "up")
	if c := receive(t, changes); c.What != "link wg0" {
		t.Errorf("told of %q", c.What)
	}
	if n := missing(); n == 0 {
		t.Error("nothing is missing")
	}
	if diff := cmp.Diff(before, p.inForce()); diff != "" {
		t.Errorf("-before +healed:\n%s", diff)
	}
}

// The baseline is what is there after PostUp: what a hook has removed is not ours
// to put back, and what it has added to the link is.
func TestBaselineIsAfterPostUp(t *testing.T) {
	p := newPlace(t)
	before := p.facts()
	missing := func() (lines []string) {
		p.journal("wg0", func(j *host.Journal) {
			steps := host.Missing(p.look(j), j)
			for _, s := range steps {
				lines = append(lines, s.Do.String())
			}
			if err := host.Redo(context.Background(), steps, j, quiet); err != nil {
				t.Error(err)
			}
		})
		return lines
	}
	p.journal("wg0", func(j *host.Journal) {
		plan := p.plan("wg0", configs["site"], j)
		if err := host.Apply(context.Background(), plan, j, p.owner("wg0"), quiet); err != nil {
			t.Fatal(err)
		}
		p.MustRun("bash", "-c", `set -e
ip route del 10.3.0.0/16
ip route add 10.4.0.0/16 dev wg0
ip -6 route add fd04::/48 dev wg0 metric 7 table 123
ip route add 10.5.0.0/16 via 10.0.0.9
ip addr add 10.6.0.1/24 dev wg0`)
		for range 2 { // as after a reload, too
			if err := j.MarkUp(host.UpRecord{}, p.look(j)); err != nil {
				t.Fatal(err)
			}
		}
	})
	if lines := missing(); len(lines) > 0 {
		t.Errorf("missing at once: %v", lines)
	}
	p.MustRun("bash", "-c", "ip route del 10.4.0.0/16; ip -6 route del fd04::/48 table 123; ip addr del 10.6.0.1/24 dev wg0; ip addr del 10.0.0.1/24 dev wg0")
	want := []string{"ip -4 address add 10.0.0.1/24 dev wg0", "ip -4 address add 10.6.0.1/24 dev wg0", "ip -4 route add 10.4.0.0/16 dev wg0", "ip -6 route add fd04::/48 dev wg0 metric 7 table 123"}
	if diff := cmp.Diff(want, missing()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if lines := missing(); len(lines) > 0 {
		t.Errorf("missing after healing: %v", lines)
	}
	p.down("wg0")
	if diff := cmp.Diff(before, p.facts()); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
}

func TestMTUOfPaths(t *testing.T) {
	p := newPlace(t)
	p.outer.Route("198.51.100.0/24", "192.0.2.2", 1400)
	for _, c := range []struct {
		toward []string
		want   int
	}{
		{nil, 1420}, {[]string{"203.0.113.1"}, 1420}, {[]string{"203.0.113.1", "198.51.100.1"}, 1320}, {[]string{"127.0.0.1"}, 65456},
	} {
		p.Do(func() {
			q := host.Query{Link: "wg0"}
			for _, a := range c.toward {
				q.Toward = append(q.Toward, address(a))
			}
			s, err := host.Read(context.Background(), q)
			if err != nil {
				t.Fatal(err)
			}
			plan, err := host.Up(config(t, configs["nothing"]), s, host.Options{Link: "wg0"})
			if err != nil {
				t.Fatal(err)
			}
			if plan.MTU != c.want {
				t.Errorf("toward %v: MTU %d, not %d", c.toward, plan.MTU, c.want)
			}
		})
	}
	if text := fmt.Sprint(p.facts()); strings.Contains(text, "wg0") {
		t.Error("a plan has changed something")
	}
}
