//go:build linux

package hosttest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vpn/tun/host"
)

// everything uses all that a config can want of a host.
const everything = `[Interface]
Address = 10.0.0.1/24, 10.0.0.2/24, 10.7.0.1/32, fd00::1/64
DNS = 10.0.0.53, corp.example
PreUp = first %i
PostUp = last %i
#vpn: KillSwitch = on
#vpn: KillSwitchAllow = 192.0.2.0/24
#vpn: ExcludedIPs = 172.16.0.0/12, 2001:db8:7::/48
#vpn: Masquerade = eth0
`

func everythingConf() string {
	return everything + section(1) + "AllowedIPs = 0.0.0.0/0, ::/0, 10.3.0.0/16, fd01::/48\nEndpoint = 192.0.2.2:51820\n"
}

var configs = map[string]string{
	"nothing":    "[Interface]\n",
	"site":       "[Interface]\nAddress = 10.0.0.1/24, fd00::1/64\n" + section(1) + "AllowedIPs = 10.0.0.2/32, 10.3.0.0/16, fd01::/48\n",
	"full":       "[Interface]\nAddress = 10.0.0.1/24\n" + section(1) + "AllowedIPs = 0.0.0.0/0, ::/0\n",
	"table":      "[Interface]\nAddress = 10.0.0.1/24\nTable = 77\n" + section(1) + "AllowedIPs = 0.0.0.0/0, 10.3.0.0/16\n",
	"everything": everythingConf(),
}

func TestDownLeavesNothing(t *testing.T) {
	for name, text := range configs {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			before := p.facts()
			p.up("wg0", text)
			if up := p.facts(); up == before {
				t.Fatal("up changed nothing")
			}
			p.down("wg0")
			if diff := cmp.Diff(before, p.facts()); diff != "" {
				t.Errorf("-before +after:\n%s", diff)
			}
			p.down("wg0") // once more is no error
		})
	}
}

// TestCrash ends an up before each of its steps, with what is written about it
// and no more, and another process undoes it, with the link's owner dead.
func TestCrash(t *testing.T) {
	p := newPlace(t)
	before := p.facts()
	for k, more := 0, true; more; k++ {
		more = false
		p.journal("wg0", func(j *host.Journal) {
			plan := p.plan("wg0", everythingConf(), j)
			step := 0
			defer func() {
				if r := recover(); r != nil && r != "killed" {
					panic(r)
				}
			}()
			err := host.Apply(context.Background(), plan, j, p.owner("wg0"), func(host.Action) {
				if step == k {
					more = true
					panic("killed")
				}
				step++
			})
			if err != nil {
				t.Fatal(err)
			}
		})
		p.owner("wg0").close()
		p.down("wg0")
		if diff := cmp.Diff(before, p.facts()); diff != "" {
			t.Fatalf("killed before step %d: -before +after:\n%s", k, diff)
		}
		if k > 100 {
			t.Fatal("it never ends")
		}
	}
}

// TestCrashInDown ends a down before each of its steps, and does it again.
func TestCrashInDown(t *testing.T) {
	p := newPlace(t)
	before := p.facts()
	for k, more := 0, true; more; k++ {
		more = false
		p.up("wg0", everythingConf())
		p.journal("wg0", func(j *host.Journal) {
			step := 0
			defer func() {
				if r := recover(); r != nil && r != "killed" {
					panic(r)
				}
			}()
			err := host.Undo(context.Background(), j, func(host.Action) {
				if step == k {
					more = true
					panic("killed")
				}
				step++
			})
			if err != nil {
				t.Fatal(err)
			}
		})
		p.journal("wg0", func(j *host.Journal) {
			if j.Up() != nil {
				t.Fatalf("killed before step %d: it still passes for up", k)
			}
		})
		p.down("wg0")
		if diff := cmp.Diff(before, p.facts()); diff != "" {
			t.Fatalf("killed before step %d: -before +after:\n%s", k, diff)
		}
	}
}

func TestFailureRollsBack(t *testing.T) {
	p := newPlace(t)
	before := p.facts()
	for _, hook := range []string{"first wg0", "last wg0"} {
		o := p.owner("wg0")
		o.fail, o.hooks = hook, nil
		p.journal("wg0", func(j *host.Journal) {
			err := host.Apply(context.Background(), p.plan("wg0", everythingConf(), j), j, o, quiet)
			if err == nil || err.Error() != hook+": failed" {
				t.Errorf("error: %v", err)
			}
		})
		if !slices.Contains(o.hooks, hook) {
			t.Errorf("%s was not run", hook)
		}
		o.close()
		if diff := cmp.Diff(before, p.facts()); diff != "" {
			t.Errorf("%s: -before +after:\n%s", hook, diff)
		}
	}
}

// TestInterrupted ends the context at each step.
func TestInterrupted(t *testing.T) {
	p := newPlace(t)
	before := p.facts()
	for k, more := 0, true; more; k += 3 {
		more = false
		ctx, cancel := context.WithCancel(context.Background())
		p.journal("wg0", func(j *host.Journal) {
			step := 0
			err := host.Apply(ctx, p.plan("wg0", everythingConf(), j), j, p.owner("wg0"), func(host.Action) {
				if step == k {
					more = true
					cancel()
				}
				step++
			})
			if more && !errors.Is(err, context.Canceled) {
				t.Errorf("interrupted at step %d: %v", k, err)
			}
		})
		cancel()
		p.owner("wg0").close()
		if !more {
			p.down("wg0")
		}
		if diff := cmp.Diff(before, p.facts()); diff != "" {
			t.Fatalf("interrupted at step %d: -before +after:\n%s", k, diff)
		}
	}
}

// A route that somebody adds between the plan and its execution.
func TestRouteTakenMeanwhile(t *testing.T) {
	p := newPlace(t)
	before := p.facts()
	p.journal("wg0", func(j *host.Journal) {
		plan := p.plan("wg0", configs["site"], j)
		p.outer.Route("10.3.0.0/16", "", 0)
		err := host.Apply(context.Background(), plan, j, p.owner("wg0"), quiet)
		if err == nil || !strings.HasPrefix(err.Error(), "ip -4 route add 10.3.0.0/16 dev wg0: eth0 has it already") {
			t.Errorf("error: %v", err)
		}
	})
	if text := p.facts(); !strings.Contains(text, "10.3.0.0/16 dev eth0") {
		t.Error("the other's route is gone")
	}
	p.MustRun("ip", "route", "del", "10.3.0.0/16")
	if diff := cmp.Diff(before, p.facts()); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
}

// A link that somebody else made under the name is left alone.
func TestLinkOfAnother(t *testing.T) {
	p := newPlace(t)
	p.up("wg0", configs["site"])
	p.owner("wg0").close()
	p.MustRun("ip", "link", "del", "wg0")
	p.MustRun("ip", "tuntap", "add", "dev", "wg0", "mode", "tun")
	p.MustRun("ip", "addr", "add", "10.0.0.1/24", "dev", "wg0")
	const held = "send_redirects" // which is put back
	before := without(p.facts(), "/run/vpn", held)
	p.down("wg0")
	if diff := cmp.Diff(before, without(p.facts(), held)); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
}
