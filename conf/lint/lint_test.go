package lint

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	privateText = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
	pskText     = "/UwcSPg38hW/D9Y3tcS1FOV0K1wuURMbS0sesJEP5ak="
	oneText     = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
	twoText     = "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0="

	// four lines, of which the third is for more
	iface = "[Interface]\nPrivateKey = " + privateText + "\nListenPort = 1\n"
	peer  = "[Peer]\nPublicKey = " + oneText + "\n"
	other = "[Peer]\nPublicKey = " + twoText + "\n"
)

var prefix = netip.MustParsePrefix

// home is a host behind a router, with a container bridge.
func home() *Host {
	return &Host{
		Link:  "wg0",
		Links: []Link{{Name: "lo", MTU: 65536}, {Name: "eth0", MTU: 1500}, {Name: "docker0", MTU: 1500}},
		Routes: []Route{
			{Prefix: prefix("0.0.0.0/0"), Link: "eth0"}, {Prefix: prefix("192.168.1.0/24"), Link: "eth0"}, {Prefix: prefix("172.17.0.0/16"), Link: "docker0"},
		},
		PathMTU: map[netip.Addr]int{netip.MustParseAddr("192.0.2.1"): 1492, netip.MustParseAddr("2001:db8::1"): 1400},
	}
}

// six gives a host IPv6.
func six(h *Host) *Host {
	h.Routes = append(h.Routes, Route{Prefix: prefix("::/0"), Link: "eth0"})
	return h
}

func described(found []Finding) (all []string) {
	for _, f := range found {
		all = append(all, fmt.Sprintf("%s %s %v | %s", f.Severity, f.Rule, f, f.Hint))
	}
	return all
}

// findings are what is found in files, on a host; of each the warning's start.
var findings = []struct {
	name, text string
	host       *Host
	want       []string
}{
	{"a sound file", iface + "Address = 10.9.0.1/24\nDNS = 10.9.0.53, lan, 127.0.0.1, 10.9.0.1\nMTU = 1412\n#vpn: Masquerade = eth0\nPostUp = true\n" +
		peer + "AllowedIPs = 10.9.0.2/32, 10.9.0.53/32\nEndpoint = 192.0.2.1:1\n", home(), nil},
	{"refused", "[Interface]\nListenPort = x\nMTU = 1\n", nil, []string{"error syntax wg0.conf:2: ListenPort \"x\": ", "error syntax wg0.conf:3: MTU \"1\": "}},
	{"said by the parser", iface + peer + "AllowedIPs = 10.0.0.1/24\n" + other + "AllowedIPs = 10.0.0.2/24\n", nil, []string{
		`warning parse wg0.conf:6: AllowedIPs "10.0.0.1/24": has host bits, which are masked: 10.0.0.0/24 | if one address is meant, write 10.0.0.1`,
		`warning parse wg0.conf:9: AllowedIPs "10.0.0.2/24": has host bits`,
		`warning parse wg0.conf:9: AllowedIPs "10.0.0.0/24": given in line 6 to the peer of line 4 too: the later one wins | a prefix belongs to one peer`,
	}},
	{"one peer twice", iface + peer + "AllowedIPs = 10.0.0.1\n" + peer + "AllowedIPs = 10.0.0.2\n", nil, []string{`warning parse wg0.conf:8: PublicKey: the same peer as in line 5`}},

	{"no key", "[Interface]\nListenPort = 1\n", nil, []string{`warning private-key wg0.conf:1: [Interface]: has no PrivateKey: nothing can be sent | make one`}},
	{"a hook's key", "[Interface]\nPostUp = wg set %i private-key /run/key\n", nil, nil},
	{"no port", "[Interface]\nPrivateKey = " + privateText + "\n" + peer + "AllowedIPs = 10.0.0.2\nEndpoint = a:1\n" + other + "AllowedIPs = 10.0.0.3\n", nil,
		[]string{`warning listen-port wg0.conf:1: ListenPort: there is none, so another one at each start: the peer of line 7, which has no Endpoint, can't know it`}},
	{"port 0", strings.Replace(iface, "= 1", "= 0", 1) + peer + "AllowedIPs = 10.0.0.2\n", nil, []string{`warning listen-port wg0.conf:3: ListenPort "0": `}},
	{"no port is needed", "[Interface]\nPrivateKey = " + privateText + "\n" + peer + "AllowedIPs = 10.0.0.2\n#vpn: Endpoint = a:1\n", nil, nil},

	{"comments are saved away", iface + "SaveConfig = true\n# mine\n", nil, []string{`warning save-config wg0.conf:4: SaveConfig "true": wg-quick drops all comments when it saves (the first is in line 5)`}},
	{"directives are, too", iface + "SaveConfig = true\n# mine\n#vpn: Heal = off\n", nil, []string{`warning parse wg0.conf:4: SaveConfig: wg-quick drops all comments`}},
	{"names are, too", iface + "SaveConfig = true\n" + peer + "AllowedIPs = 10.0.0.2\nEndpoint = vpn.example.com:1\n", nil,
		[]string{`warning save-config wg0.conf:8: Endpoint "vpn.example.com:1": wg-quick, which saves because of line 4, writes the address in place of the name`}},
	{"not saved", iface + "SaveConfig = false\n# mine\n", nil, nil},

	{"a hook that stays", iface + "PostUp = iptables -t nat -A POSTROUTING -j MASQUERADE\n", nil,
		[]string{"warning hooks wg0.conf:4: PostUp: what iptables does stays when the link goes down: there is no PreDown and no PostDown | undo it in PostDown, or write `#vpn: Masquerade = LINK`"}},
	{"a rule that stays", iface + "PreUp = true; /sbin/ip -6 rule add table 7\n", nil, []string{"warning hooks wg0.conf:4: PreUp: what ip rule add does stays"}},
	{"undone", iface + "PostUp = nft -f /etc/x\nPostDown = nft delete table x\n", nil, nil},
	{"nothing lasting", iface + "PostUp = echo no-iptables; ip link set %i alias nft1\n", nil, nil},

	{"DNS outside", iface + "DNS = 1.1.1.1, 2001:db8::53\n" + peer + "AllowedIPs = 10.0.0.0/8, ::/0\n", nil,
		[]string{`warning dns-outside wg0.conf:4: DNS "1.1.1.1": no peer has it in its AllowedIPs: questions go around the tunnel | add 1.1.1.1/32 to`}},
	{"DNS excluded", iface + "DNS = 1.1.1.1\n#vpn: ExcludedIPs = 1.1.1.0/24\n" + peer + "AllowedIPs = 0.0.0.0/0\n", nil, []string{`warning dns-outside wg0.conf:4: DNS`}},

	{"MTU of the path", iface + "MTU = 1440\n" + peer + "AllowedIPs = 10.0.0.2\nEndpoint = 192.0.2.1:1\n", home(),
		[]string{`warning mtu wg0.conf:4: MTU "1440": too large for the path, whose MTU is 1492: packets of more than 1432 bytes are cut up or lost on the way | leave MTU out, which finds it; or write MTU = 1412`}},
	{"MTU of the path over IPv6", iface + "MTU = 1330\n" + peer + "AllowedIPs = 10.0.0.2\n#vpn: Endpoint = [2001:db8::1]:1\n", home(),
		[]string{`warning mtu wg0.conf:4: MTU "1330": too large for the path, whose MTU is 1400: packets of more than 1320`}},
	{"MTU of the default route", iface + "MTU = 1441\n" + peer + "AllowedIPs = 10.0.0.2\nEndpoint = a:1\n", home(), []string{`warning mtu wg0.conf:4: MTU "1441": `}},
	{"MTU of a host that is not known", iface + "MTU = 9000\n", nil, nil},

	{"the address of another", iface + "Address = 172.17.5.1/24\n", home(), []string{`warning address-taken wg0.conf:4: Address "172.17.5.1/24": overlaps 172.17.0.0/16, which is reached by docker0`}},
	{"around that of another", iface + "Address = 192.168.0.1/16\n", home(), []string{`warning address-taken wg0.conf:4: Address "192.168.0.1/16": overlaps 192.168.1.0/24`}},

	{"no such link", iface + "#vpn: Masquerade = eth1\n", home(), []string{`warning masquerade wg0.conf:4: Masquerade "eth1": there is no such link | there are eth0, docker0`}},
	{"itself", iface + "#vpn: Masquerade = wg0\n", home(), []string{`warning masquerade wg0.conf:4: Masquerade "wg0": is this link itself`}},
	{"no masquerade", iface + "#vpn: Masquerade = off\n", home(), nil},

	{"no prefixes", iface + peer, nil, []string{`warning no-allowed-ips wg0.conf:4: [Peer]: has no AllowedIPs`}},
	{"the own address", iface + "Address = 10.0.0.1/24\n" + peer + "AllowedIPs = 10.0.0.1\n", nil, []string{`warning own-address wg0.conf:7: AllowedIPs "10.0.0.1/32": is the address of the interface itself, in line 4`}},
	{"one name for two", iface + "#vpn: Heal = off\n" + peer + "#vpn: Name = a\nAllowedIPs = 10.0.0.2\n" + other + "# friendly_name = a\nAllowedIPs = 10.0.0.3\n", nil,
		[]string{`warning name-twice wg0.conf:11: Name: the peer of line 5 has the same name`}},
	{"expired", iface + peer + "AllowedIPs = 10.0.0.2\n#vpn: Expires = 2030-01-01\n", nil, []string{`warning expired wg0.conf:7: Expires "2030-01-01T00:00:00Z": is over`}},
	{"not yet", iface + peer + "AllowedIPs = 10.0.0.2\n#vpn: Expires = 2030-01-02\n", nil, nil},

	{"endpoint inside", iface + peer + "AllowedIPs = 192.0.0.0/8\nEndpoint = 192.0.2.1:1\n", home(),
		[]string{"warning endpoint-inside wg0.conf:7: Endpoint \"192.0.2.1:1\": is inside 192.0.0.0/8 of line 6: the tunnel's own messages would be led into the tunnel | narrow the prefix, or keep the address out with `#vpn: ExcludedIPs = 192.0.2.1/32`"}},
	{"inside another peer's", iface + peer + "AllowedIPs = 10.0.0.2\nEndpoint = 192.0.2.1:1\n" + other + "AllowedIPs = 192.0.2.0/24\n", nil, []string{`warning endpoint-inside wg0.conf:7: `}},
	{"two halves", iface + peer + "AllowedIPs = 0.0.0.0/1, 128.0.0.0/1\nEndpoint = 192.0.2.1:1\n", nil, []string{`warning endpoint-inside wg0.conf:7: Endpoint "192.0.2.1:1": is inside 128.0.0.0/1 of line 6: the tunnel's own messages would be led into the tunnel | write 0.0.0.0/0`}},
	{"full tunnel", iface + peer + "AllowedIPs = 0.0.0.0/0, ::/0\nEndpoint = 192.0.2.1:1\n", six(home()), nil},
	{"full tunnel, and a narrower prefix", iface + peer + "AllowedIPs = 0.0.0.0/0, 192.0.2.0/24\nEndpoint = 192.0.2.1:1\n", nil, []string{`warning endpoint-inside`}},
	{"excluded", iface + peer + "AllowedIPs = 192.0.2.0/24\nEndpoint = 192.0.2.1:1\n#vpn: ExcludedIPs = 192.0.2.1\n", nil, nil},
	{"no routes", iface + "Table = off\n" + peer + "AllowedIPs = 192.0.2.0/24\nEndpoint = 192.0.2.1:1\n", nil, nil},
	{"a neighbour", iface + peer + "AllowedIPs = 192.168.0.0/16\nEndpoint = 192.168.1.9:1\n", home(), nil},

	{"a prefix of another link", iface + peer + "AllowedIPs = 192.168.1.0/24\n", home(), []string{`warning route-taken wg0.conf:6: AllowedIPs "192.168.1.0/24": is reached by eth0 already`}},
	{"IPv6 goes around", iface + peer + "AllowedIPs = 0.0.0.0/0\n", six(home()), []string{`warning ipv6-outside wg0.conf:6: AllowedIPs: takes all of IPv4 into the tunnel, and none of IPv6`}},
	{"there is no IPv6", iface + peer + "AllowedIPs = 0.0.0.0/0\n", home(), nil},
	{"IPv6 is cut", iface + "#vpn: KillSwitch = on\n" + peer + "AllowedIPs = 0.0.0.0/0\n", six(home()), nil},
}

func TestFindings(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	fired := map[string]bool{}
	for _, c := range findings {
		found := Check("wg0.conf", []byte(c.text), now, c.host)
		got := described(found)
		same := len(got) == len(c.want)
		for i := range min(len(got), len(c.want)) {
			same = same && strings.HasPrefix(got[i], c.want[i])
		}
		if !same {
			t.Errorf("%s: %s\nof\n%s", c.name, cmp.Diff(c.want, got), c.text)
		}
		for _, f := range found {
			fired[f.Rule] = true
			if f.Severity == Warning && (f.Hint == "" || f.Line == 0 || f.Key == "") {
				t.Errorf("%s: not all is said: %+v", c.name, f)
			}
		}
		if Refused(found) != (len(c.want) > 0 && strings.HasPrefix(c.want[0], "error")) {
			t.Errorf("%s: refused: %v", c.name, Refused(found))
		}
	}
	for _, r := range rules {
		if r.name != "key-file" && !fired[r.name] {
			t.Errorf("nothing is found by %s", r.name)
		}
	}
}

func TestKeyFiles(t *testing.T) {
	h := &Host{KeyFile: func(name string, private bool) error {
		if name == "good" {
			return nil
		}
		return fmt.Errorf("%w: private %v", errors.ErrUnsupported, private)
	}}
	const text = "[Interface]\n#vpn: PrivateKeyFile = bad\nListenPort = 1\n" + peer + "AllowedIPs = 10.0.0.2\n#vpn: PresharedKeyFile = good\n" + other +
		"AllowedIPs = 10.0.0.3\n#vpn: PresharedKeyFile = credential:x\n"
	want := []string{`error key-file wg0.conf:2: PrivateKeyFile "bad": unsupported operation: private true | `}
	if diff := cmp.Diff(want, described(Check("wg0.conf", []byte(text), time.Time{}, h))); diff != "" {
		t.Error(diff)
	}
}

// Whatever the text is, nothing fails, and what is found is in the order of its
// lines and shows no key.
func FuzzCheck(f *testing.F) {
	for _, c := range findings {
		f.Add([]byte(c.text), 30)
	}
	f.Fuzz(func(t *testing.T, text []byte, at int) {
		at = max(0, min(at, len(text)))
		pasted := string(text[:at]) + pskText + string(text[at:])
		for _, s := range []string{string(text), pasted} {
			line := 0
			for _, found := range Check("x", []byte(s), time.Unix(0, 0), six(home())) {
				said := fmt.Sprint(found, found.Hint)
				if strings.Contains(said, pskText[:20]) || strings.Contains(said, pskText[20:40]) {
					t.Fatalf("the key is shown: %s", said)
				}
				if found.Line < line {
					t.Fatalf("line %d after %d", found.Line, line)
				}
				line = found.Line
			}
		}
	})
}
