//go:build linux

package hosttest

import (
	"context"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vpn/tun/host"
)

var reloads = map[string]string{
	"site":         configs["site"],
	"moved":        "[Interface]\nAddress = 10.0.0.2/24, 10.0.1.1/24, fd00::2/64\nMTU = 1300\n" + section(1) + "AllowedIPs = 10.4.0.0/16, fd01::/48\n",
	"full":         configs["full"],
	"marked":       "[Interface]\nAddress = 10.0.0.1/24\nFwMark = 99\n" + section(1) + "AllowedIPs = 0.0.0.0/0, ::/0\n",
	"excluded":     "[Interface]\nAddress = 10.0.0.1/24\n#vpn: ExcludedIPs = 172.16.0.0/12\n" + section(1) + "AllowedIPs = 0.0.0.0/0\n",
	"table":        configs["table"],
	"kill switch":  "[Interface]\nAddress = 10.0.0.1/24\n#vpn: KillSwitch = on\n",
	"kill switch2": "[Interface]\nAddress = 10.0.0.1/24\nDNS = 10.0.0.53\n#vpn: KillSwitch = on\n#vpn: KillSwitchAllow = 192.0.2.0/24\n",
	"masquerade":   "[Interface]\nAddress = 10.0.0.1/24\nDNS = 10.0.0.54\n#vpn: Masquerade = eth0\n",
}

// TestReload goes from each config to each other one: the host is then what it
// would be if the second had come first, and there is nothing more to do.
func TestReload(t *testing.T) {
	p := newPlace(t)
	before := p.facts()
	names := slices.Sorted(maps.Keys(reloads))
	fresh := map[string]string{}
	for _, name := range names {
		p.up("wg0", reloads[name])
		fresh[name] = p.inForce()
		p.unchanged(name)
		p.down("wg0")
	}
	for _, from := range names {
		for _, to := range names {
			p.up("wg0", reloads[from])
			p.up("wg0", reloads[to])
			if diff := cmp.Diff(fresh[to], p.inForce()); diff != "" && from != to {
				t.Errorf("from %q to %q: -fresh +reloaded:\n%s", from, to, diff)
			}
			p.unchanged(to)
			p.down("wg0")
			if diff := cmp.Diff(before, p.facts()); diff != "" {
				t.Fatalf("from %q to %q, then down: -before +after:\n%s", from, to, diff)
			}
		}
	}
}

// ourPriority is that of a rule which stands before main: new ones stand before old ones.
var ourPriority = regexp.MustCompile(`^3276[0-5]:`)

// inForce is what the host is like but for the order of what has none.
func (p *place) inForce() string {
	lines := strings.Split(p.facts(), "\n")
	for i := range lines {
		lines[i] = ourPriority.ReplaceAllString(strings.ReplaceAll(lines[i], " secondary", ""), "")
	}
	slices.Sort(lines)
	return without(strings.Join(lines, "\n"), "/var/lib/vpn/", "local 10.0.", "local fd00:", "linkdown") // the kernel adds local ones in its own time
}

// unchanged fails the test if there is something left to do.
func (p *place) unchanged(name string) {
	p.t.Helper()
	p.journal("wg0", func(j *host.Journal) {
		for _, s := range p.plan("wg0", reloads[name], j).Steps {
			p.t.Errorf("%s: reload would do: %v", name, s.Do)
		}
	})
}

// TestReloadFails stops a reload at each step: the host is then as it was.
func TestReloadFails(t *testing.T) {
	p := newPlace(t)
	names := slices.Sorted(maps.Keys(reloads))
	for i, from := range names {
		to := reloads[names[(i+1)%len(names)]]
		p.up("wg0", reloads[from])
		before := p.inForce()
		for k, more := 0, true; more; k++ {
			more = false
			ctx, cancel := context.WithCancel(context.Background())
			p.journal("wg0", func(j *host.Journal) {
				step := 0
				err := host.Apply(ctx, p.plan("wg0", to, j), j, p.owner("wg0"), func(host.Action) {
					if step++; step == k+1 && !more {
						more = true
						cancel()
					}
				})
				if more && !errors.Is(err, context.Canceled) {
					t.Errorf("stopped at step %d: %v", k, err)
				}
			})
			cancel()
			if diff := cmp.Diff(before, p.inForce()); more && diff != "" {
				t.Fatalf("%q, stopped at step %d: -before +after:\n%s", from, k, diff)
			}
			if more {
				p.unchanged(from)
			}
		}
		p.down("wg0")
	}
}
