//go:build linux

package hosttest

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vpn/cmd/internal/testnet"
)

// TestLikeWGQuick holds what a config makes of a host against what Debian's
// wg-quick makes of it: addresses, routes, rules, tables of nft, src_valid_mark and
// the link's MTU, as the kernel shows them. Where ours is another on purpose, the
// table says why, and which lines only one of the two has.
func TestLikeWGQuick(t *testing.T) {
	const iface = "[Interface]\nPrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\n"
	const site = iface + "Address = 10.0.0.1/24\n"
	for _, c := range []struct {
		name   string
		text   string
		setup  string // a command before
		better string // why they differ
		ours   string // lines of ours alone that match
		theirs string // lines of wg-quick alone that match
		fails  bool   // with wg-quick
	}{
		{name: "no peers", text: site},
		{name: "no address", text: iface + section(1) + "AllowedIPs = 10.1.0.0/16, fd01::/48\n"},
		{name: "IPv6", text: iface + "Address = fd00::1/64\n" + section(1) + "AllowedIPs = fd00::2/128, fd01::/48, fd01::7/128\n"},
		{name: "single addresses", text: iface + "Address = 10.0.0.1, fd00::1/128\n" + section(1) + "AllowedIPs = 10.0.0.2/32, fd00::2/128\n"},
		{name: "several addresses", text: iface + "Address = 10.0.0.1/24, 10.0.0.2/24, fd00::1/64\nAddress = 10.9.0.1/16\n"},
		{name: "nested prefixes", text: site + section(1) + "AllowedIPs = 10.1.0.0/16, 10.1.2.0/24\n" + section(2) + "AllowedIPs = 10.1.2.3/32, 10.0.0.0/8\n"},
		{name: "covered prefixes", text: site + section(1) + "AllowedIPs = 10.0.0.2/32, 10.0.0.128/25\n"},
		{name: "covered by one of equal length", text: site + section(1) + "AllowedIPs = 10.0.0.0/24\n"},
		{name: "host bits", text: site + section(1) + "AllowedIPs = 10.1.2.3/16\n"},
		{name: "one prefix of two peers", text: site + section(1) + "AllowedIPs = 10.1.0.0/16\n" + section(2) + "AllowedIPs = 10.1.0.0/16\n"},
		{name: "one peer twice", text: site + section(1) + "AllowedIPs = 10.1.0.0/16\n" + section(1) + "AllowedIPs = 10.2.0.0/16\n"},
		{name: "halves of everything", text: site + section(1) + "AllowedIPs = 0.0.0.0/1, 128.0.0.0/1, ::/1, 8000::/1\n"},
		{name: "MTU", text: site + "MTU = 1333\n"},
		{name: "MTU of the way", text: site + section(1) + "Endpoint = 198.51.100.1:1\n", setup: "ip route add 198.51.100.0/24 via 192.0.2.2 mtu 1400"},
		{name: "MTU of the default route", text: site, setup: "ip route replace default via 192.0.2.2 mtu 1450"},
		{name: "MTU of two ways", text: site + section(1) + "Endpoint = 198.51.100.1:1\n" + section(2) + "Endpoint = 192.0.2.2:1\n", setup: "ip route add 198.51.100.0/24 via 192.0.2.2 mtu 1400",
			better: "the smallest: with the largest, messages to the other peer don't fit", ours: "mtu 1320", theirs: "mtu 1420"},
		{name: "table off", text: site + "Table = off\n" + section(1) + "AllowedIPs = 0.0.0.0/0, 10.1.0.0/16\n"},
		{name: "table by number", text: site + "Table = 77\n" + section(1) + "AllowedIPs = 0.0.0.0/0, 10.1.0.0/16, 10.0.0.2/32, ::/0\n"},
		{name: "table by name", text: site + "Table = lan\n" + section(1) + "AllowedIPs = 10.1.0.0/16\n", setup: "mkdir -p /etc/iproute2/rt_tables.d && echo '123 lan' >/etc/iproute2/rt_tables.d/lan.conf"},
		{name: "table auto", text: site + "Table = auto\n" + section(1) + "AllowedIPs = 10.1.0.0/16\n"},
		{name: "main by name, covered", text: site + "Table = main\n" + section(1) + "AllowedIPs = 10.0.0.2/32\n",
			better: "a route that is covered is not added, whatever the table", theirs: "^10.0.0.2 dev wg0"},
		{name: "main by name, covered by one of equal length", text: site + "Table = main\n" + section(1) + "AllowedIPs = 10.0.0.0/24\n",
			better: "wg-quick fails", fails: true},
		{name: "full tunnel", text: site + section(1) + "AllowedIPs = 0.0.0.0/0\n"},
		{name: "full tunnel of IPv6", text: iface + "Address = fd00::1/64\n" + section(1) + "AllowedIPs = ::/0\n"},
		{name: "full tunnel of both", text: site + "Address = 10.0.1.1/32, fd00::1/64\n" + section(1) + "AllowedIPs = 0.0.0.0/0, ::/0, 10.1.0.0/16\n"},
		{name: "full tunnel with a mark", text: site + "FwMark = 0x1234\n" + section(1) + "AllowedIPs = 0.0.0.0/0\n"},
		{name: "full tunnel without addresses of the family", text: site + section(1) + "AllowedIPs = ::/0\n"},
		{name: "full tunnel, first table taken", text: site + section(1) + "AllowedIPs = 0.0.0.0/0\n", setup: "ip -6 route add fd77::/64 dev eth0 table 51820"},
		{name: "full tunnel, other rules", text: site + section(1) + "AllowedIPs = 0.0.0.0/0\n", setup: "ip rule add priority 100 from 203.0.113.7 table 7"},
		{name: "full tunnel, src_valid_mark set", text: site + section(1) + "AllowedIPs = 0.0.0.0/0\n", setup: "sysctl -q net.ipv4.conf.all.src_valid_mark=1"},
		{name: "one address twice", text: site + "Address = 10.0.0.1/24\n", better: "wg-quick fails", fails: true},
		{name: "IPv6 off", text: site + "Address = fd00::1/64\n", setup: "sysctl -q net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1", better: "wg-quick fails", fails: true},
		{name: "MTU too small for IPv6", text: site + "Address = fd00::1/64\nMTU = 1200\n" + section(1) + "AllowedIPs = fd01::/48\n", better: "wg-quick fails", fails: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			setup := func() *place {
				p := newPlace(t)
				p.WriteFile("/etc/wireguard/wg0.conf", c.text, 0o600)
				if c.setup != "" {
					p.MustRun("bash", "-c", c.setup)
				}
				return p
			}
			p := setup()
			command := p.Start([]string{"WG_QUICK_USERSPACE_IMPLEMENTATION=" + testnet.Binary(t, testnet.WireGuardGo)}, "wg-quick", "up", "wg0")
			if code := command.WaitEnd(); (code != 0) != c.fails {
				t.Fatalf("wg-quick ended with %d:\n%s", code, command.Output())
			}
			theirs := p.effect()

			p = setup()
			p.up("wg0", c.text)
			ours := p.effect()
			if c.fails {
				return // ours came up
			}
			onlyOurs, onlyTheirs := difference(ours, theirs), difference(theirs, ours)
			for _, side := range []struct {
				name, pattern string
				lines         []string
			}{{"ours", c.ours, onlyOurs}, {"wg-quick's", c.theirs, onlyTheirs}} {
				for _, line := range side.lines {
					if side.pattern == "" || !regexp.MustCompile(side.pattern).MatchString(line) {
						t.Errorf("only %s: %s", side.name, line)
					}
				}
				if side.pattern != "" && len(side.lines) == 0 {
					t.Errorf("%s is like the other, although %s", side.name, c.better)
				}
			}
			if diff := cmp.Diff(p.ReadFile("/proc/sys/net/ipv4/conf/all/src_valid_mark"), valueOf(theirs, "src_valid_mark")); diff != "" {
				t.Errorf("src_valid_mark: %s", diff)
			}
		})
	}
}

// Ours alone on every full tunnel: the route that keeps packets in while the link
// is down. Ours alone everywhere: a routing protocol's number.
var (
	unreachable = regexp.MustCompile(`^unreachable default .*metric 4294967295`)
	ownNumber   = regexp.MustCompile(` proto 86`)
	linkFlags   = regexp.MustCompile(` (linkdown|scope link)\b`)
)

// effect is what tunnels make of a host, line by line. The statements of nft stand
// behind the names of their table and chain.
func (p *place) effect() []string {
	p.t.Helper()
	// The kernel is done with them in the background, also where nobody looks for duplicates.
	testnet.Until(p.t, "no address of IPv6 is tentative", func() bool { return p.MustRun("ip", "-6", "-o", "addr", "show", "tentative") == "" })
	script := `
ip -o addr show dev wg0 | sed 's/valid_lft.*//'
ip -o link show dev wg0 | grep -o 'mtu [0-9]*'
ip -4 route show table all | grep -v table.local; ip -6 route show table all | grep -v table.local
ip -4 rule | sed 's/^/4 /'; ip -6 rule | sed 's/^/6 /'
nft list ruleset
echo src_valid_mark $(cat /proc/sys/net/ipv4/conf/all/src_valid_mark)`
	var lines []string
	table, chain := "", ""
	for line := range strings.Lines(without(p.MustRun("bash", "-c", script), "fe80:")) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
			continue
		case words[0] == "table" && words[len(words)-1] == "{":
			table, chain = line, ""
		case words[0] == "chain":
			chain = words[1]
		case line == "}\n":
			table, chain = "", ""
		}
		line = ownNumber.ReplaceAllString(strings.TrimRight(strings.Join(words, " "), " \n"), "")
		line = linkFlags.ReplaceAllString(indexes.ReplaceAllString(line, ""), "")
		if table != "" {
			line = strings.TrimSpace(table) + " " + chain + ": " + line
		}
		if !unreachable.MatchString(line) {
			lines = append(lines, line)
		}
	}
	return lines
}

// difference returns the lines of a that are not in b, as often as they aren't.
func difference(a, b []string) (only []string) {
	rest := slices.Clone(b)
	for _, line := range a {
		if i := slices.Index(rest, line); i >= 0 {
			rest = slices.Delete(rest, i, i+1)
		} else {
			only = append(only, line)
		}
	}
	return only
}

func valueOf(lines []string, name string) string {
	for _, line := range lines {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return value
		}
	}
	return ""
}
