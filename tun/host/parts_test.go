package host

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vpn/tun/host/dns"
	"vpn/tun/host/firewall"
)

// TestLimiter is a script of removals.
func TestLimiter(t *testing.T) {
	rule := []Step{{Do: AddRule{Rule{Priority: 1, Table: 254}}}}
	route := []Step{{Do: AddRoute{Route{Prefix: prefix("10.0.0.0/8"), Link: "wg0", Table: 254}}}}
	for _, c := range []struct {
		name string
		at   []int // seconds at which the rule is found missing
		want string
	}{
		{"five in a minute, then no more", []int{0, 1, 2, 3, 4, 5, 6, 1000}, "+++++!.."},
		{"one every quarter of a minute", []int{0, 15, 30, 45, 60, 75, 90, 105}, "++++++++"},
		{"the sixth just within the minute", []int{0, 10, 20, 30, 40, 59}, "+++++!"},
		{"the sixth just after it", []int{0, 10, 20, 30, 40, 60}, "++++++"},
		{"a clock that is set back", []int{100, 0, 1, 2, 3, 4}, "+++++!"},
	} {
		var l Limiter
		start := time.Unix(1_000_000, 0)
		var got strings.Builder
		for _, second := range c.at {
			again, givenUp := l.Allow(start.Add(time.Duration(second)*time.Second), rule)
			switch {
			case len(again) == 1:
				got.WriteByte('+')
			case len(givenUp) == 1:
				got.WriteByte('!')
			default:
				got.WriteByte('.')
			}
		}
		if got.String() != c.want {
			t.Errorf("%s: %s, not %s", c.name, got.String(), c.want)
		}
		if again, _ := l.Allow(start, append(route, rule...)); len(again) == 0 || !reflect.DeepEqual(again[0], route[0]) {
			t.Errorf("%s: another thing is not put back: %v", c.name, again)
		}
	}
}

// TestSubtract holds it against a twin that asks for every address of a small net.
func TestSubtract(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, base := range []string{"10.0.0.0/24", "fd00::/120"} {
		net := prefix(base)
		long := net.Addr().BitLen()
		random := func() netip.Prefix {
			a := net.Addr().AsSlice()
			a[len(a)-1] = byte(r.IntN(256))
			addr, _ := netip.AddrFromSlice(a)
			return netip.PrefixFrom(addr, long-r.IntN(9)).Masked()
		}
		for range 300 {
			p := random()
			var excluded []netip.Prefix
			for range r.IntN(4) {
				excluded = append(excluded, random())
			}
			got := subtract(p, excluded)
			for a := net.Addr(); net.Contains(a); a = a.Next() {
				want, is := p.Contains(a), 0
				for _, e := range excluded {
					want = want && !e.Contains(a)
				}
				for _, g := range got {
					if g.Contains(a) {
						is++
					}
				}
				if is > 1 || is == 1 != want {
					t.Fatalf("%v without %v: %v, wrong at %v", p, excluded, got, a)
				}
			}
		}
	}
	if got := subtract(prefix("0.0.0.0/0"), []netip.Prefix{prefix("128.0.0.0/1"), prefix("0.0.0.0/2")}); len(got) != 1 || got[0] != prefix("64.0.0.0/2") {
		t.Errorf("a quarter: %v", got)
	}
}

// TestActionsAsJSON writes each kind of action and reads it again.
// What came from standard input has no name that a person could type.
func TestConfigureText(t *testing.T) {
	for file, want := range map[string]string{
		"/etc/wireguard/wg0.conf": "wg setconf wg0 <(wg-quick strip /etc/wireguard/wg0.conf)",
		"standard input":          "wg setconf wg0 /dev/stdin",
	} {
		if got := (Configure{"wg0", file}).String(); got != want {
			t.Errorf("%s: got %s, want %s", file, got, want)
		}
	}
}

func TestActionsAsJSON(t *testing.T) {
	table := firewall.FullTunnel{Link: "wg0", Mark: 7, Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.1")}}
	route := Route{Prefix: prefix("10.0.0.0/8"), Type: Throw, Link: "wg0", Table: 7, Metric: 3}
	rule := Rule{Six: true, Priority: 5, Not: true, Mark: 7, Table: 7, NoDefault: true, For: 7}
	actions := []Action{
		OpenLink{"wg0"}, DeleteLink{"wg0"}, Configure{"wg0", "wg0.conf"}, SetMark{"wg0", 7}, Hook{PostUp, "true", 3},
		AddAddress{"wg0", prefix("10.0.0.1/24")}, DeleteAddress{"wg0", prefix("fd00::1/64")}, SetLink{"wg0", 1420, true},
		AddRoute{route}, DeleteRoute{route}, AddRule{rule}, DeleteRule{rule},
		RestoreRoute{route, netip.MustParseAddr("10.0.0.9"), []byte{2, 1}}, RestoreRule{"ip -4 rule add", []byte{2, 1}},
		Sysctl{"a.b", "1"}, HoldSysctl{"wg0", "a.b", "1", "0"}, ReleaseSysctl{"wg0", "a.b"}, ClaimMark{"wg0", 7}, ReleaseMark{"wg0", 7},
		LoadTable{FullTunnel: &table}, DeleteTable{table.Table()}, RemoveFile{"/x"},
		SetDNS{dns.File, dns.Settings{Link: "wg0", Servers: []netip.Addr{netip.MustParseAddr("fd00::53")}, Search: []string{"a"}}}, UnsetDNS{dns.File, "wg0"},
	}
	seen := map[reflect.Type]bool{}
	for _, a := range actions {
		seen[reflect.TypeOf(a)] = true
		text, err := json.Marshal(encoded{a})
		if err != nil {
			t.Fatal(err)
		}
		var got encoded
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got.Action, a) {
			t.Errorf("%s became %#v", text, got.Action)
		}
	}
	for name, kind := range kinds {
		if !seen[kind] {
			t.Errorf("no test of %s", name)
		}
	}
	for _, text := range []string{`{"paint":{"colour":"red"}}`, `{"add-route":{"prefix":"nonsense"}}`} {
		var u encoded
		if err := json.Unmarshal([]byte(text), &u); err != nil {
			t.Fatal(err)
		}
		if _, is := u.Action.(Unknown); !is {
			t.Errorf("%s became %#v", text, u.Action)
		}
		if again, err := json.Marshal(u); err != nil || string(again) != text {
			t.Errorf("%s became %s, %v", text, again, err)
		}
	}
}

func TestTableLine(t *testing.T) {
	for line, want := range map[string]string{
		"100 lan": "100 lan", "0x64\tlan # hex": "100 lan", "# 100 lan": "", "": "", "lan 100": "", "100": "", "4294967296 big": "",
	} {
		got := ""
		if n, name, ok := tableLine(line); ok {
			got = fmt.Sprint(n, " ", name)
		}
		if got != want {
			t.Errorf("%q: %q, not %q", line, got, want)
		}
	}
}

func TestSysctlOfALinkWithDots(t *testing.T) {
	key := sysctlOf("ipv4", "wg.0", "rp_filter")
	if key != "net.ipv4.conf.wg/0.rp_filter" || sysctlPath(key) != "/proc/sys/net/ipv4/conf/wg.0/rp_filter" {
		t.Errorf("%s, %s", key, sysctlPath(key))
	}
}

// A reload of one thing says what a person would have typed for it.
func TestReloadCommands(t *testing.T) {
	const iface = "[Interface]\nAddress = 10.0.0.1/24\n"
	for _, c := range []struct {
		name, from, to string
		want           []string
	}{
		{"nothing", iface, iface, nil},
		{"an address", iface, "[Interface]\nAddress = 10.0.0.2/24\n", []string{"ip -4 address add 10.0.0.2/24 dev wg0", "ip -4 address delete 10.0.0.1/24 dev wg0"}},
		{"a route", iface + peer(1) + "AllowedIPs = 10.1.0.0/16\n", iface + peer(1) + "AllowedIPs = 10.2.0.0/16\n",
			[]string{"ip -4 route add 10.2.0.0/16 dev wg0", "ip -4 route delete 10.1.0.0/16 dev wg0"}},
		{"a route that the link's own covers", iface, iface + peer(1) + "AllowedIPs = 10.0.0.2/32\n", nil},
		{"the MTU", iface, iface + "MTU = 1300\n", []string{"ip link set mtu 1300 dev wg0"}},
		{"a full tunnel's mark", iface + peer(1) + "AllowedIPs = ::/0\n", iface + "FwMark = 7\n" + peer(1) + "AllowedIPs = ::/0\n", []string{
			"nft ip6 wg-quick-wg0",
			"ip -6 rule add not fwmark 7 table 7", "ip -6 rule add fwmark 51820 table main", "ip -6 rule add table main suppress_prefixlength 0",
			"ip -6 route add ::/0 dev wg0 table 7", "ip -6 route add unreachable default metric 4294967295 table 7",
			"ip -6 rule delete priority 32764 table main suppress_prefixlength 0", "ip -6 rule delete priority 32765 not fwmark 51820 table 51820",
			"wg set wg0 fwmark 7",
			"ip -6 route delete unreachable default metric 4294967295 table 51820", "ip -6 route delete ::/0 dev wg0 table 51820",
			"ip -6 rule delete priority 32762 fwmark 51820 table main"}},
	} {
		s := laptop()
		from, err := Up(parse(t, c.from), s, Options{Link: "wg0", File: "wg0.conf"})
		if err != nil {
			t.Fatal(err)
		}
		j := journalOf(from)
		after(s, from)
		p, err := Reload(parse(t, c.to), j, s, Options{Link: "wg0", File: "wg0.conf", Mark: from.Mark})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, commands(p)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", c.name, diff)
		}
	}
}

// journalOf is the journal of a plan that was done, in memory.
func journalOf(p *Plan) *Journal {
	j := &Journal{Link: "wg0", up: &UpRecord{Mark: p.Mark, Auto: true}}
	for i, s := range p.Steps {
		j.entries = append(j.entries, Entry{ID: i + 1, Do: s.Do, Undo: s.Undo})
	}
	return j
}

// after makes s what the kernel is like when a plan was done.
func after(s *State, p *Plan) {
	s.Links = append(s.Links, Link{Name: "wg0", Index: 9, Kind: "tun", MTU: p.MTU, Up: true})
	s.LinkIPv6 = true
	for _, step := range p.Steps {
		switch a := step.Do.(type) {
		case AddAddress:
			s.Addresses = append(s.Addresses, a.Prefix)
		case AddRoute:
			s.Routes = append(s.Routes, FoundRoute{Route: a.Route, Protocol: Protocol})
		case AddRule:
			at := 1
			if a.Six {
				at = len(s.Rules) - 1
				for s.Rules[at-1].Priority != 0 {
					at--
				}
			}
			a.For = 0
			s.Rules = append(s.Rules[:at], append([]FoundRule{{Rule: a.Rule, Protocol: Protocol}}, s.Rules[at:]...)...)
		}
	}
}
