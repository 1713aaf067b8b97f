//go:build linux

package hosttest

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vpn/tun/host"
)

// sharedFile is where tunnels keep what they share, without its place.
var sharedFile = regexp.MustCompile(`(?m)^/run/vpn/.*\n`)

// way returns the link that packets to an address leave by.
func (p *place) way(address string, mark uint32) string {
	p.t.Helper()
	words := strings.Fields(p.MustRun("ip", "route", "get", address, "mark", fmt.Sprint(mark)))
	for i, w := range words {
		if w == "dev" {
			return words[i+1]
		}
	}
	p.t.Fatalf("no way to %s: %q", address, words)
	return ""
}

func full(n int) string {
	return fmt.Sprintf("[Interface]\nAddress = 10.%d.0.1/24\n", n) + section(n) + "AllowedIPs = 0.0.0.0/0, ::/0\n"
}

// TestTwoFullTunnels takes two down in either order. The one that came last has
// the traffic, and is carried by the other; the neighbourhood stays reachable, and
// the user's own rule stays.
func TestTwoFullTunnels(t *testing.T) {
	for _, first := range []string{"wg1", "wg2"} {
		t.Run(first+" down first", func(t *testing.T) {
			p := newPlace(t)
			p.MustRun("ip", "rule", "add", "priority", "40000", "table", "main", "suppress_prefixlength", "0")
			before := p.facts()
			p.up("wg1", full(1))
			one := p.facts()
			p.up("wg2", full(2))
			mark1, mark2 := p.owner("wg1").mark, p.owner("wg2").mark
			for _, address := range []string{"198.51.100.1", "2001:db8:9::1"} {
				for mark, want := range map[uint32]string{0: "wg2", mark2: "wg1", mark1: "eth0"} {
					if way := p.way(address, mark); way != want {
						t.Errorf("%s with mark %d: by %s, not %s", address, mark, way, want)
					}
				}
			}
			for _, address := range []string{"192.0.2.2", "2001:db8::2"} {
				if way := p.way(address, 0); way != "eth0" {
					t.Errorf("the neighbour by %s", way)
				}
			}
			second, mark := "wg2", mark2
			if first == "wg2" {
				second, mark = "wg1", mark1
			}
			p.down(first)
			if first == "wg2" {
				if diff := cmp.Diff(sharedFile.ReplaceAllString(one, ""), sharedFile.ReplaceAllString(p.facts(), "")); diff != "" {
					t.Errorf("the first before and after the second:\n%s", diff)
				}
			}
			for want, ways := range map[string][]string{
				second: {p.way("198.51.100.1", 0), p.way("2001:db8:9::1", 0)},
				"eth0": {p.way("198.51.100.1", mark), p.way("192.0.2.2", 0), p.way("2001:db8::2", 0)},
			} {
				for _, way := range ways {
					if way != want {
						t.Errorf("with one left: by %s, not %s", way, want)
					}
				}
			}
			if text := p.ReadFile("/proc/sys/net/ipv4/conf/all/src_valid_mark"); text != "1" {
				t.Errorf("src_valid_mark is %s with one left", text)
			}
			p.down(second)
			if diff := cmp.Diff(before, p.facts()); diff != "" {
				t.Errorf("-before +after:\n%s", diff)
			}
		})
	}
}

// Two that plan at the same time choose the same mark: the slower one hears of it.
func TestMarkTaken(t *testing.T) {
	p := newPlace(t)
	p.journal("wg1", func(j *host.Journal) {
		plan := p.plan("wg1", full(1), j)
		p.up("wg2", full(2))
		before := p.facts()
		if err := host.Apply(context.Background(), plan, j, p.owner("wg1"), quiet); !errors.Is(err, host.ErrTaken) {
			t.Errorf("error: %v", err)
		}
		if diff := cmp.Diff(before, p.facts()); diff != "" {
			t.Errorf("-before +after:\n%s", diff)
		}
	})
	p.up("wg1", full(1))
	if a, b := p.owner("wg1").mark, p.owner("wg2").mark; a == b {
		t.Errorf("both have mark %d", a)
	}
}

// What a tunnel that is no more has held is put back by the last of the others.
func TestHoldOfTheDead(t *testing.T) {
	p := newPlace(t)
	p.up("wg1", full(1))
	p.up("wg2", full(2))
	p.MustRun("rm", "/run/vpn/wg1/journal")
	p.down("wg2")
	if text := p.ReadFile("/proc/sys/net/ipv4/conf/all/src_valid_mark"); text != "0" {
		t.Errorf("src_valid_mark is %s", text)
	}
}

func TestSysctlsReadOnly(t *testing.T) {
	p := newPlace(t)
	p.Do(func() { p.remountReadOnly("/proc/sys") })
	before := p.facts()
	p.up("wg0", full(1))
	p.down("wg0")
	if diff := cmp.Diff(before, p.facts()); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
}

func TestNoIPv6(t *testing.T) {
	p := newPlace(t)
	p.DisableIPv6()
	before := p.facts()
	p.up("wg0", everythingConf())
	if strings.Contains(p.facts(), "fd00::1") {
		t.Error("there is an IPv6 address")
	}
	p.down("wg0")
	if diff := cmp.Diff(before, p.facts()); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
}

// Many peers: one dump, few writes.
func TestTenThousandRoutes(t *testing.T) {
	p := newPlace(t)
	before := p.facts()
	p.up("wg0", many(10_000))
	if n := strings.Count(p.MustRun("ip", "route", "show", "dev", "wg0"), "\n"); n != 10_000 {
		t.Errorf("%d routes", n)
	}
	p.down("wg0")
	if diff := cmp.Diff(before, p.facts()); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
}

func many(n int) string {
	var b strings.Builder
	b.WriteString("[Interface]\nAddress = 10.0.0.1/32\n")
	for i := range n {
		fmt.Fprintf(&b, "[Peer]\nPublicKey = %05dAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nAllowedIPs = 10.%d.%d.%d/32\n", i, 1+i>>16, i>>8&255, i&255)
	}
	return b.String()
}
