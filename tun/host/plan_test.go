package host

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vpn/conf"
	"vpn/tun/host/dns"
)

// peer begins a peer's section; there is one for each number.
func peer(n int) string {
	return fmt.Sprintf("[Peer]\nPublicKey = %sAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", fmt.Sprintf("%03d", n))
}

func parse(t testing.TB, text string) *conf.Config {
	t.Helper()
	c, _, err := conf.Parse("wg0.conf", []byte(text), conf.WGQuick)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return c
}

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// laptop is a host with IPv4 and IPv6, one Ethernet link and default routes by it.
func laptop() *State {
	found := func(p, link string, table, metric uint32) FoundRoute {
		return FoundRoute{Route: Route{Prefix: prefix(p), Link: link, Table: table, Metric: metric}, Protocol: 3}
	}
	rule := func(six bool, priority, table uint32) FoundRule {
		return FoundRule{Rule: Rule{Six: six, Priority: priority, Table: table}, Protocol: 2}
	}
	return &State{
		Links: []Link{{Name: "lo", Index: 1, MTU: 65536, Up: true}, {Name: "eth0", Index: 2, MTU: 1500, Up: true}},
		Routes: []FoundRoute{
			found("0.0.0.0/0", "eth0", MainTable, 0), found("192.0.2.0/24", "eth0", MainTable, 0),
			found("::/0", "eth0", MainTable, 1024), found("2001:db8::/64", "eth0", MainTable, 256),
		},
		Rules:   []FoundRule{rule(false, 0, 255), rule(false, 32766, 254), rule(false, 32767, 253), rule(true, 0, 255), rule(true, 32766, 254)},
		IPv6:    true,
		Default: 1500,
		Sysctls: map[string]string{
			srcValidMark: "0", sendRedirectsOfAll: "0", forwarding4: "0", forwarding6: "0",
			"net.ipv6.conf.eth0.accept_ra": "1",
		},
		TableNames: map[string]uint32{"main": 254, "default": 253, "local": 255, "lan": 100},
		Resolver:   dns.Resolvconf,
	}
}

// commands are the plan as it is shown, without what is the same for all.
func commands(p *Plan) (lines []string) {
	for _, s := range p.Steps {
		switch s.Do.(type) {
		case OpenLink, Configure, Sysctl:
			continue
		case LoadTable:
			first, _, _ := strings.Cut(s.Do.(LoadTable).ruleset().Table().String(), "\n")
			lines = append(lines, "nft "+first)
			continue
		}
		if text := s.Do.String(); text != "" {
			lines = append(lines, strings.Split(text, "\n")[0])
		}
	}
	for _, w := range p.Warnings {
		lines = append(lines, "warning: "+w)
	}
	return lines
}

func TestUp(t *testing.T) {
	const iface = "[Interface]\nAddress = 10.0.0.1/24\n"
	up := func(mtu int, more ...string) []string {
		return append([]string{"ip -4 address add 10.0.0.1/24 dev wg0", fmt.Sprintf("ip link set mtu %d up dev wg0", mtu)}, more...)
	}
	for _, c := range []struct {
		name  string
		text  string
		state func(s *State)
		want  []string
	}{
		{name: "nothing", text: "[Interface]\n", want: []string{"ip link set mtu 1420 up dev wg0"}},
		{name: "routes, the most specific first", text: iface + peer(1) + "AllowedIPs = 10.1.0.0/16, 10.2.0.0/24, fd00::/48\n" + peer(2) + "AllowedIPs = 10.2.0.7, fd00::7\n", want: up(1420,
			"ip -6 route add fd00::7/128 dev wg0", "ip -6 route add fd00::/48 dev wg0", "ip -4 route add 10.2.0.7/32 dev wg0", "ip -4 route add 10.2.0.0/24 dev wg0", "ip -4 route add 10.1.0.0/16 dev wg0")},
		{name: "covered by the link's own route", text: iface + "Address = 10.9.0.1/32, fd00::1/64, fd01::1/128\n" + peer(1) + "AllowedIPs = 10.0.0.2/32, 10.0.0.0/24, 10.0.0.0/16, 10.9.0.1/32, fd00::2/128, fd01::1/128\n", want: []string{
			"ip -4 address add 10.0.0.1/24 dev wg0", "ip -4 address add 10.9.0.1/32 dev wg0", "ip -6 address add fd00::1/64 dev wg0", "ip -6 address add fd01::1/128 dev wg0", "ip link set mtu 1420 up dev wg0",
			"ip -4 route add 10.9.0.1/32 dev wg0", "ip -4 route add 10.0.0.0/16 dev wg0"}},
		{name: "of two peers with one prefix, and of a peer that loses it", text: iface + peer(1) + "AllowedIPs = 10.1.0.0/16, 10.3.0.0/16\n" + peer(2) + "AllowedIPs = 10.1.0.0/16\n" + peer(1) + "AllowedIPs = 10.2.0.0/16\n",
			want: up(1420, "ip -4 route add 10.1.0.0/16 dev wg0", "ip -4 route add 10.2.0.0/16 dev wg0")},
		{name: "incremental", text: iface + peer(1) + "AllowedIPs = 10.1.0.0/16, 10.3.0.0/16\n" + peer(1) + "AllowedIPs = +10.2.0.0/16, -10.3.0.0/16\n",
			want: up(1420, "ip -4 route add 10.1.0.0/16 dev wg0", "ip -4 route add 10.2.0.0/16 dev wg0")},
		{name: "table off", text: iface + "Table = off\n" + peer(1) + "AllowedIPs = 0.0.0.0/0\n", want: up(1420)},
		{name: "table by number", text: iface + "Table = 1234\n" + peer(1) + "AllowedIPs = 0.0.0.0/0, 10.0.0.7/32\n", want: up(1420,
			"ip -4 route add 10.0.0.7/32 dev wg0 table 1234", "ip -4 route add 0.0.0.0/0 dev wg0 table 1234")},
		{name: "table by name", text: iface + "Table = lan\n" + peer(1) + "AllowedIPs = 10.1.0.0/16\n", want: up(1420, "ip -4 route add 10.1.0.0/16 dev wg0 table 100")},
		{name: "MTU given", text: iface + "MTU = 1300\n", want: up(1300)},
		{name: "MTU of the worst path", text: iface, state: func(s *State) {
			s.Paths = map[netip.Addr]int{netip.MustParseAddr("192.0.2.1"): 1492, netip.MustParseAddr("192.0.2.2"): 1400}
		}, want: up(1320)},
		{name: "MTU of the default route", text: iface, state: func(s *State) { s.Default = 9000 }, want: up(8920)},
		{name: "MTU without any", text: iface, state: func(s *State) { s.Default = 0 }, want: up(1420)},
		{name: "MTU too small for IPv6", text: iface + "Address = fd00::1/64\nMTU = 1200\n" + peer(1) + "AllowedIPs = ::/0, 10.1.0.0/16\n", want: up(1200, "ip -4 route add 10.1.0.0/16 dev wg0",
			"warning: wg0.conf:3: Address \"fd00::1/64\": the MTU is 1200, less than the 1280 that IPv6 needs: IPv6 addresses and routes are left out")},
		{name: "IPv6 off", text: iface + peer(1) + "AllowedIPs = ::/0, 10.1.0.0/16\n", state: func(s *State) { s.IPv6 = false }, want: up(1420, "ip -4 route add 10.1.0.0/16 dev wg0",
			"warning: wg0.conf:5: AllowedIPs \"::/0\": IPv6 is off on this host: IPv6 addresses and routes are left out")},
		{name: "DNS", text: iface + "DNS = 1.1.1.1, corp.example\n", want: up(1420, "resolvconf -a wg0 -m 0 -x <<EOF")},
		{name: "hooks", text: iface + "PreUp = echo %i %i\nPostUp = true # %i\n", want: append(append([]string{"echo wg0 wg0"}, up(1420)...), "true # wg0")},

		{name: "full tunnel", text: iface + peer(1) + "AllowedIPs = 0.0.0.0/0\n", want: append([]string{"wg set wg0 fwmark 51820"}, up(1420,
			"sysctl -q net.ipv4.conf.all.src_valid_mark=1", "nft ip wg-quick-wg0",
			"ip -4 rule add not fwmark 51820 table 51820", "ip -4 rule add table main suppress_prefixlength 0",
			"ip -4 route add 0.0.0.0/0 dev wg0 table 51820", "ip -4 route add unreachable default metric 4294967295 table 51820")...)},
		{name: "full tunnel of both families", text: iface + "Address = fd00::1/64\n" + peer(1) + "AllowedIPs = 0.0.0.0/0, ::/0, 10.1.0.0/16\n", want: []string{
			"wg set wg0 fwmark 51820", "ip -4 address add 10.0.0.1/24 dev wg0", "ip -6 address add fd00::1/64 dev wg0", "ip link set mtu 1420 up dev wg0", "ip -4 route add 10.1.0.0/16 dev wg0",
			"sysctl -q net.ipv4.conf.all.src_valid_mark=1", "nft ip wg-quick-wg0",
			"ip -4 rule add not fwmark 51820 table 51820", "ip -4 rule add table main suppress_prefixlength 0",
			"ip -4 route add 0.0.0.0/0 dev wg0 table 51820", "ip -4 route add unreachable default metric 4294967295 table 51820",
			"nft ip6 wg-quick-wg0",
			"ip -6 rule add not fwmark 51820 table 51820", "ip -6 rule add table main suppress_prefixlength 0",
			"ip -6 route add ::/0 dev wg0 table 51820", "ip -6 route add unreachable default metric 4294967295 table 51820"}},
		{name: "full tunnel with a mark", text: iface + "FwMark = 0x10\n" + peer(1) + "AllowedIPs = ::/0\n", want: up(1420, "nft ip6 wg-quick-wg0",
			"ip -6 rule add not fwmark 16 table 16", "ip -6 rule add table main suppress_prefixlength 0",
			"ip -6 route add ::/0 dev wg0 table 16", "ip -6 route add unreachable default metric 4294967295 table 16")},
		{name: "the next table", text: iface + peer(1) + "AllowedIPs = ::/0\n", state: func(s *State) {
			s.Routes = append(s.Routes, FoundRoute{Route: Route{Prefix: prefix("10.7.0.0/16"), Link: "eth0", Table: 51820}})
			s.Marks = map[uint32]string{51821: "wg7"}
		}, want: append([]string{"wg set wg0 fwmark 51822"}, up(1420, "nft ip6 wg-quick-wg0",
			"ip -6 rule add not fwmark 51822 table 51822", "ip -6 rule add table main suppress_prefixlength 0",
			"ip -6 route add ::/0 dev wg0 table 51822", "ip -6 route add unreachable default metric 4294967295 table 51822")...)},
		{name: "beside another full tunnel", text: iface + peer(1) + "AllowedIPs = 0.0.0.0/0\n", state: func(s *State) {
			other := Rule{Priority: 32765, Not: true, Mark: 51820, Table: 51820}
			s.Rules = append([]FoundRule{s.Rules[0], {Rule: Rule{Priority: 32764, Table: 254, NoDefault: true}}, {Rule: other}}, s.Rules[1:]...)
			s.Routes = append(s.Routes, FoundRoute{Route: Route{Prefix: prefix("0.0.0.0/0"), Link: "wg7", Table: 51820}})
			s.Sysctls[srcValidMark] = "1"
			s.Held = map[string]bool{srcValidMark: true}
		}, want: append([]string{"wg set wg0 fwmark 51821"}, up(1420, "nft ip wg-quick-wg0",
			"ip -4 rule add not fwmark 51821 table 51821", "ip -4 rule add fwmark 51820 table main", "ip -4 rule add table main suppress_prefixlength 0",
			"ip -4 route add 0.0.0.0/0 dev wg0 table 51821", "ip -4 route add unreachable default metric 4294967295 table 51821")...)},
		{name: "src_valid_mark set by others", text: iface + peer(1) + "AllowedIPs = 0.0.0.0/0\n", state: func(s *State) { s.Sysctls[srcValidMark] = "1"; s.SysctlsReadOnly = true },
			want: append([]string{"wg set wg0 fwmark 51820"}, up(1420, "nft ip wg-quick-wg0",
				"ip -4 rule add not fwmark 51820 table 51820", "ip -4 rule add table main suppress_prefixlength 0",
				"ip -4 route add 0.0.0.0/0 dev wg0 table 51820", "ip -4 route add unreachable default metric 4294967295 table 51820")...)},
		{name: "src_valid_mark read-only", text: iface + "FwMark = 7\n" + peer(1) + "AllowedIPs = 0.0.0.0/0\n", state: func(s *State) { s.SysctlsReadOnly = true },
			want: up(1420, "nft ip wg-quick-wg0",
				"ip -4 rule add not fwmark 7 table 7", "ip -4 rule add table main suppress_prefixlength 0",
				"ip -4 route add 0.0.0.0/0 dev wg0 table 7", "ip -4 route add unreachable default metric 4294967295 table 7",
				"warning: wg0.conf:6: AllowedIPs \"0.0.0.0/0\": net.ipv4.conf.all.src_valid_mark is read-only and stays 0: with a strict reverse path filter no reply would come through")},

		{name: "excluded beside a default route", text: iface + "#vpn: ExcludedIPs = 192.168.0.0/16, 10.1.2.0/24\n" + peer(1) + "AllowedIPs = 0.0.0.0/0, 10.1.2.0/23\n#vpn: ExcludedIPs = 172.16.0.0/12\n", want: append([]string{"wg set wg0 fwmark 51820"}, up(1420,
			"ip -4 route add 10.1.3.0/24 dev wg0",
			"sysctl -q net.ipv4.conf.all.src_valid_mark=1", "nft ip wg-quick-wg0",
			"ip -4 rule add not fwmark 51820 table 51820", "ip -4 rule add table main suppress_prefixlength 0",
			"ip -4 route add throw 10.1.2.0/24 table 51820", "ip -4 route add throw 192.168.0.0/16 table 51820", "ip -4 route add throw 172.16.0.0/12 table 51820",
			"ip -4 route add 0.0.0.0/0 dev wg0 table 51820", "ip -4 route add unreachable default metric 4294967295 table 51820")...)},
		{name: "excluded otherwise", text: iface + "#vpn: ExcludedIPs = 10.4.0.0/15\n" + peer(1) + "AllowedIPs = 10.4.0.0/14, 10.5.1.0/24, fd00::/8\n", want: up(1420,
			"ip -4 route add 10.6.0.0/15 dev wg0", "ip -6 route add fd00::/8 dev wg0")},
		{name: "a peer's exclusion is not another's", text: iface + peer(1) + "AllowedIPs = 10.4.0.0/14\n#vpn: ExcludedIPs = 10.4.0.0/15\n" + peer(2) + "AllowedIPs = 10.4.7.0/24\n", want: up(1420,
			"ip -4 route add 10.4.7.0/24 dev wg0", "ip -4 route add 10.6.0.0/15 dev wg0")},

		{name: "kill switch", text: iface + "PreUp = true\n#vpn: KillSwitch = on\n", want: append([]string{"nft inet vpn-killswitch-wg0", "true", "wg set wg0 fwmark 51820"}, up(1420)...)},
		{name: "kill switch and exclusions", text: iface + "#vpn: KillSwitch = on\n#vpn: KillSwitchAllow = 192.168.0.0/16\n#vpn: ExcludedIPs = 192.168.7.0/24, 172.16.0.0/12\n",
			want: append(append([]string{"nft inet vpn-killswitch-wg0", "wg set wg0 fwmark 51820"}, up(1420)...),
				"warning: wg0.conf:5: ExcludedIPs \"172.16.0.0/12\": is kept out of the tunnel, and the kill switch lets it nowhere else: name it in KillSwitchAllow too")},
		{name: "masquerade", text: iface + "#vpn: Masquerade = eth0\n", want: up(1420, "sysctl -q net.ipv4.ip_forward=1", "nft inet vpn-masquerade-wg0")},
		{name: "masquerade of both families", text: iface + "#vpn: Masquerade = eth0\n" + peer(1) + "AllowedIPs = fd00::/64\n", state: func(s *State) { s.Sysctls[forwarding4] = "1" },
			want: up(1420, "ip -6 route add fd00::/64 dev wg0", "sysctl -q net.ipv6.conf.eth0.accept_ra=2", "sysctl -q net.ipv6.conf.all.forwarding=1", "nft inet vpn-masquerade-wg0")},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := laptop()
			if c.state != nil {
				c.state(s)
			}
			p, err := Up(parse(t, c.text), s, Options{Link: "wg0", File: "wg0.conf"})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, commands(p)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestUpRefused(t *testing.T) {
	const iface = "[Interface]\nAddress = 10.0.0.1/24\n"
	for _, c := range []struct {
		text  string
		state func(s *State)
		want  string
	}{
		{iface, func(s *State) { s.Links = append(s.Links, Link{Name: "wg0", Kind: "wireguard"}) }, "wg0: there is a link of that name already, of kind wireguard"},
		{iface + "Table = nosuch\n", nil, "wg0.conf:3: Table \"nosuch\": no routing table of that name"},
		{iface + peer(1) + "AllowedIPs = 10.1.0.0/16, 192.0.2.0/24\n", nil, "wg0.conf:5: AllowedIPs \"192.0.2.0/24\": eth0 has it already, in table main with the same metric"},
		{iface + "FwMark = 100\n" + peer(1) + "AllowedIPs = ::/0\n", func(s *State) {
			s.Routes = append(s.Routes, FoundRoute{Route: Route{Prefix: prefix("::/0"), Link: "eth0", Table: 100, Metric: 1024}})
		}, "wg0.conf:6: AllowedIPs \"::/0\": eth0 has it already, in table 100 with the same metric"},
		{iface + "Table = 100\n" + peer(1) + "AllowedIPs = 10.1.0.0/16\n", func(s *State) {
			s.Routes = append(s.Routes, FoundRoute{Route: Route{Prefix: prefix("10.1.0.0/16"), Type: "blackhole", Table: 100}})
		}, "wg0.conf:6: AllowedIPs \"10.1.0.0/16\": a route of type blackhole has it already, in table 100 with the same metric"},
		{iface + peer(1) + "AllowedIPs = 0.0.0.0/0\n", func(s *State) { s.SysctlsReadOnly, s.StrictFilter = true, true },
			"wg0.conf:5: AllowedIPs \"0.0.0.0/0\": needs net.ipv4.conf.all.src_valid_mark=1, which is read-only here, because the reverse path filter is strict"},
		{iface + "#vpn: Masquerade = eth0\n", func(s *State) { s.SysctlsReadOnly = true }, "wg0.conf:3: Masquerade \"eth0\": needs net.ipv4.ip_forward=1, which is read-only here"},
		{iface + "#vpn: KillSwitch = on\n#vpn: KillSwitchAllow = 192.0.2.0/24\n", func(s *State) {
			s.Sessions = []Session{{Peer: netip.MustParseAddr("192.0.2.7"), Link: "eth0"}, {Peer: netip.MustParseAddr("203.0.113.5"), Link: "eth0"}}
		}, "wg0.conf:3: KillSwitch \"on\": would cut the SSH session with 203.0.113.5"},
		{iface + "#vpn: KillSwitch = on\n", func(s *State) { s.KillSwitches = []string{"wg1"} },
			"wg0.conf:3: KillSwitch \"on\": wg1 has one that is loaded, and each would cut the other's tunnel"},
		{iface + "DNS = 1.1.1.1\n#vpn: DNSRoute = corp.example\n", nil, "wg0.conf:4: DNSRoute \"corp.example\": needs systemd-resolved: any other way sends all names to the same servers"},
		{iface + peer(1) + "AllowedIPs = ::/0\n", func(s *State) { s.Rules[4].Priority = 2 }, "wg0: no room for 2 policy rules before the one of priority 2"},
	} {
		s := laptop()
		if c.state != nil {
			c.state(s)
		}
		_, err := Up(parse(t, c.text), s, Options{Link: "wg0", File: "wg0.conf"})
		if err == nil || err.Error() != c.want {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
	}
	for _, name := range []string{"all", "default"} { // of which the kernel's own answer is: invalid argument
		_, err := Up(parse(t, iface), laptop(), Options{Link: name, File: name + ".conf"})
		if want := name + ".conf: the kernel keeps the name " + name + " for itself"; err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

// A session that a default route would take into the tunnel is warned of.
func TestSessionIntoTheTunnel(t *testing.T) {
	const iface = "[Interface]\n"
	full := iface + peer(1) + "AllowedIPs = 0.0.0.0/0\n"
	for text, want := range map[string]bool{
		full: true,
		full + "#vpn: ExcludedIPs = 203.0.113.0/24\n":  false,
		iface + peer(1) + "AllowedIPs = 10.1.0.0/16\n": false,
		iface + peer(1) + "AllowedIPs = ::/0\n":        false,
	} {
		s := laptop()
		s.Sessions = []Session{{Peer: netip.MustParseAddr("203.0.113.5"), Link: "eth0"}, {Peer: netip.MustParseAddr("192.0.2.9"), Link: "eth0"}, {Peer: netip.MustParseAddr("::1")}}
		p, err := Up(parse(t, text), s, Options{Link: "wg0", File: "wg0.conf"})
		if err != nil {
			t.Fatal(err)
		}
		warned := slices.ContainsFunc(p.Warnings, func(w string) bool {
			return strings.Contains(w, "takes the SSH session with 203.0.113.5 into the tunnel")
		})
		if warned != want || strings.Contains(strings.Join(p.Warnings, "\n"), "192.0.2.9") {
			t.Errorf("%s\nwarnings %q", text, p.Warnings)
		}
	}
}

// What the kill switch would cut is cut if it has to be, or was cut before.
func TestSessions(t *testing.T) {
	text := "[Interface]\n#vpn: KillSwitch = on\n#vpn: KillSwitchAllow = 192.0.2.0/24\n"
	for _, c := range []struct {
		name  string
		alter func(s *State, o *Options)
	}{
		{"force", func(_ *State, o *Options) { o.Force = true }},
		{"loaded before", func(s *State, _ *Options) { s.KillSwitch = true }},
		{"allowed", func(s *State, _ *Options) { s.Sessions[0].Peer = netip.MustParseAddr("192.0.2.9") }},
		{"on the host itself", func(s *State, _ *Options) { s.Sessions[0].Peer = netip.MustParseAddr("::1") }},
		{"through the tunnel", func(s *State, _ *Options) { s.Sessions[0].Link = "wg0" }},
	} {
		s, o := laptop(), Options{Link: "wg0"}
		s.Sessions = []Session{{Peer: netip.MustParseAddr("203.0.113.5"), Link: "eth0"}}
		c.alter(s, &o)
		if _, err := Up(parse(t, text), s, o); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
