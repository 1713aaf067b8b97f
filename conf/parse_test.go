package conf

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vpn/noise/key"
)

// Keys for files. What they are is of no account, only that they are.
const (
	secretText = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
	pskText    = "/UwcSPg38hW/D9Y3tcS1FOV0K1wuURMbS0sesJEP5ak="
	oneText    = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
	twoText    = "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0="
)

// differ says what two configs differ in, but for their lines.
func differ(got, want *Config) string {
	return cmp.Diff(want, got,
		cmp.Comparer(func(a, b key.Private) bool { return a.Equal(&b) }),
		cmp.Comparer(func(a, b key.Preshared) bool { return a.Equal(&b) }),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Line" }, cmp.Ignore()),
	)
}

// messages are the lines of an error, each with its hint.
func messages(err error) []string {
	if err == nil {
		return nil
	}
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	var texts []string
	for _, err := range all {
		text := err.Error()
		var e *Error
		if errors.As(err, &e) && e.Hint != "" {
			text += "\n  hint: " + e.Hint
		}
		texts = append(texts, text)
	}
	return texts
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func private(text string) key.Private {
	k, err := key.ParsePrivate(text)
	if err != nil {
		panic(err)
	}
	return k
}

func preshared(text string) key.Preshared {
	k, err := key.ParsePreshared(text)
	if err != nil {
		panic(err)
	}
	return k
}

func public(text string) key.Public {
	k, err := key.ParsePublic(text)
	if err != nil {
		panic(err)
	}
	return k
}

func list[T any](values ...T) []Setting[T] {
	var all []Setting[T]
	for _, v := range values {
		all = append(all, Given(v))
	}
	return all
}

func TestParseEverything(t *testing.T) {
	prefix := netip.MustParsePrefix
	want := &Config{
		Interface: Interface{
			PrivateKey: Given(private(secretText)), ListenPort: Given(uint16(51820)), FwMark: Given(uint32(0xca6c)),
			Addresses: list(prefix("10.0.0.1/24"), prefix("10.0.1.1/32"), prefix("fd00::1/64")),
			DNS:       list(netip.MustParseAddr("1.1.1.1"), netip.MustParseAddr("fe80::1%eth0")),
			DNSSearch: list("corp.example", "lan"),
			MTU:       Given(1420), Table: Given(Table{Kind: TableName, Name: "main"}), SaveConfig: Given(false),
			PreUp:    list(`echo "a # b" # and a comment for bash`),
			PostUp:   list("iptables -A FORWARD -i %i -j ACCEPT; echo a=b", "true"),
			PreDown:  list("echo down"),
			PostDown: list("echo off #1"),

			RekeyAfterTime: Given(90 * time.Second), RekeyAfterPackets: Given(uint64(1000)),
			KillSwitch: Given(true), KillSwitchAllow: list(prefix("192.168.0.0/16"), prefix("fe80::/10")),
			Masquerade: Given("eth0"), DNSRoute: list("corp.example", "lan"), Heal: Given(false),
			ExcludedIPs:    list(prefix("10.9.0.0/16"), prefix("10.8.0.1/32")),
			PublicEndpoint: Given(Endpoint{"vpn.example.org", 51821}),
		},
		Peers: []Peer{
			{
				PublicKey: Given(public(oneText)), Preshared: Given(preshared(pskText)), Keepalive: Given(uint16(25)),
				Endpoint:   Given(Endpoint{"vpn.example.com", 51820}),
				Candidates: list(Endpoint{"2001:db8::1", 51820}, Endpoint{"192.0.2.1", 443}),
				Name:       Given("laptop #2"), ExcludedIPs: list(prefix("10.7.0.0/16")),
				Expires:    Given(time.Date(2030, 12, 31, 0, 0, 0, 0, time.UTC)),
				AllowedIPs: []AllowedIP{{Prefix: prefix("10.0.0.2/32")}, {Prefix: prefix("fd00::2/128")}, {Prefix: prefix("192.168.7.0/24")}},
			},
			{
				PublicKey: Given(public(twoText)), PresharedKeyFile: Given("credential:psk"), Keepalive: Given(uint16(0)), Name: Given("the phone"),
				Endpoint:    Given(Endpoint{"fe80::1%eth0", 1}),
				AllowedIPs:  []AllowedIP{{Prefix: prefix("0.0.0.0/0")}, {Prefix: prefix("10.0.0.0/8"), Remove: true}},
				Incremental: true,
			},
		},
	}
	for _, file := range []string{"everything.conf", "odd.conf"} {
		got, warnings, err := Parse(file, read(t, file), WGQuick)
		if err != nil {
			t.Fatalf("%s: %v", file, messages(err))
		}
		if len(warnings) > 0 {
			t.Errorf("%s: %v", file, warnings)
		}
		if d := differ(got, want); d != "" {
			t.Errorf("%s: %s", file, d)
		}
	}
	if got, want := string(want.Format()), string(read(t, "formatted.conf")); got != want {
		t.Errorf("formatted:\n%s\nwant\n%s", got, want)
	}
}

func TestLines(t *testing.T) {
	c, _, err := Parse("f", read(t, "everything.conf"), WGQuick)
	if err != nil {
		t.Fatal(err)
	}
	i, p := &c.Interface, &c.Peers[1]
	got := []int{
		i.Line, i.PrivateKey.Line, i.Addresses[0].Line, i.Addresses[2].Line, i.PostUp[1].Line, i.KillSwitchAllow[1].Line,
		p.Line, p.PublicKey.Line, p.AllowedIPs[1].Line, c.Peers[0].Candidates[1].Line,
	}
	var want []int
	for n, line := range strings.Split(string(read(t, "everything.conf")), "\n") {
		if strings.HasSuffix(line, "# LINE") || strings.HasSuffix(line, "#LINE") || line == "PostUp = true" {
			want = append(want, n+1)
		}
	}
	slices.Sort(got)
	if got = slices.Compact(got); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// under puts a line into the section that it belongs to, as line 2.
func under(line string) string {
	if name, ok := strings.CutPrefix(line, "peer: "); ok {
		return "[Peer]\n" + name + "\nPublicKey = " + oneText
	}
	return "[Interface]\n" + line
}

func TestErrors(t *testing.T) {
	const mean = "\n  hint: did you mean "
	for line, want := range map[string]string{
		"peer: AllowedIPs = 10.0.0.0/33":            `wg0.conf:2: AllowedIPs "10.0.0.0/33": prefix length exceeds 32`,
		"peer: allowedips = 10.0.0.0/8, fd00::/129": `wg0.conf:2: AllowedIPs "fd00::/129": prefix length exceeds 128`,
		"peer: AllowedIPs =":                        "wg0.conf:2: AllowedIPs: no value\n  hint: leave the line out to have none",
		"peer: AllowedIPs = # none":                 "wg0.conf:2: AllowedIPs: no value\n  hint: leave the line out to have none",
		"peer: AllowedIPs = 10.0.0.0/8,":            `wg0.conf:2: AllowedIPs "10.0.0.0/8,": nothing between two commas, or before or after one`,
		"peer: AllowedIPs = 10.0.0.0/":              `wg0.conf:2: AllowedIPs "10.0.0.0/": not a prefix length after the slash`,
		"peer: AllowedIPs = 10.0.0.0/-8":            `wg0.conf:2: AllowedIPs "10.0.0.0/-8": not a prefix length after the slash`,
		"peer: AllowedIPs = 10.0.0.0/255.0.0.0":     "wg0.conf:2: AllowedIPs \"10.0.0.0/255.0.0.0\": not a prefix length after the slash\n  hint: write the mask as the number of its ones: 255.255.255.0 is /24",
		"peer: AllowedIPs = 10.0.0.0/8 10.1.0.0/16": "wg0.conf:2: AllowedIPs \"10.0.0.0/8 10.1.0.0/16\": not a prefix length after the slash\n  hint: prefixes are separated by commas",
		"peer: AllowedIPs = 10.0.0":                 `wg0.conf:2: AllowedIPs "10.0.0": not an IP address`,
		"peer: AllowedIPs = 010.0.0.0/8":            `wg0.conf:2: AllowedIPs "010.0.0.0/8": not an IP address`,
		"peer: AllowedIPs = fe80::1%eth0/64":        `wg0.conf:2: AllowedIPs "fe80::1%eth0/64": not an IP address`,
		"peer: AllowedIPs = ++10.0.0.0/8":           `wg0.conf:2: AllowedIPs "++10.0.0.0/8": not an IP address`,
		"peer: AllowedIPs = +":                      `wg0.conf:2: AllowedIPs "+": not an IP address`,
		"peer: AllowedIPs = " + secretText:          `wg0.conf:2: AllowedIPs "(hidden)": not an IP address`,
		"peer: Endpoint = example.com":              "wg0.conf:2: Endpoint \"example.com\": no port\n  hint: add it after a colon, as in vpn.example.com:51820",
		"peer: Endpoint = example.com:":             "wg0.conf:2: Endpoint \"example.com:\": no port\n  hint: add it after a colon, as in vpn.example.com:51820",
		"peer: Endpoint = [::1]":                    "wg0.conf:2: Endpoint \"[::1]\": no port\n  hint: add it after a colon, as in vpn.example.com:51820",
		"peer: Endpoint = [::1]51820":               "wg0.conf:2: Endpoint \"[::1]51820\": no port\n  hint: add it after a colon, as in vpn.example.com:51820",
		"peer: Endpoint = [::1:51820":               `wg0.conf:2: Endpoint "[::1:51820": no closing bracket`,
		"peer: Endpoint = :51820":                   `wg0.conf:2: Endpoint ":51820": no host`,
		"peer: Endpoint = http://example.com:51820": `wg0.conf:2: Endpoint "http://example.com:51820": not a host's name or address before the port`,
		"peer: Endpoint = example.com:65536":        `wg0.conf:2: Endpoint "example.com:65536": not a port from 0 to 65535`,
		"peer: Endpoint = example.com:no-service":   `wg0.conf:2: Endpoint "example.com:no-service": not a port from 0 to 65535`,
		"peer: PersistentKeepalive = 65536":         `wg0.conf:2: PersistentKeepalive "65536": not off, nor a number of seconds from 0 to 65535`,
		"peer: PersistentKeepalive = 25s":           `wg0.conf:2: PersistentKeepalive "25s": not off, nor a number of seconds from 0 to 65535`,
		"peer: PresharedKey = " + pskText[1:]:       `wg0.conf:2: PresharedKey: 43 characters long, a key has 44`,
		"peer: Address = 10.0.0.1/24":               "wg0.conf:2: Address: no such setting in [Peer]\n  hint: Address belongs in [Interface]",
		"peer: AllowedIP = 10.0.0.1/24":             "wg0.conf:2: AllowedIP: no such setting in [Peer]" + mean + "AllowedIPs?",
		"peer: Name = laptop":                       "wg0.conf:2: Name: no such setting in [Peer]\n  hint: it is a directive: write it `#vpn: Name = value`",
		"peer: Whatever = 1":                        "wg0.conf:2: Whatever: no such setting in [Peer]",
		"peer: #vpn: KillSwitch = on":               "wg0.conf:2: KillSwitch: no directive of [Peer]\n  hint: it belongs in [Interface]",
		"peer: #vpn: Name":                          "wg0.conf:2: Name: a directive without a value\n  hint: a directive is written `#vpn: Name = value`; put a second # before it to keep it as a comment",
		"peer: #vpn: Nme = laptop":                  "wg0.conf:2: Nme: no such directive" + mean + "Name?",
		"peer: #vpn: Name = a\x1bb":                 `wg0.conf:2: Name "a\x1bb": not a name: at most 255 bytes of plain UTF-8`,
		"peer: #vpn: PresharedKeyFile = " + pskText: "wg0.conf:2: PresharedKeyFile \"(hidden)\": a key, and not the name of a file\n  hint: to have the key in this file, use the setting without File",
		"peer: #vpn: Endpoint = nowhere":            "wg0.conf:2: Endpoint \"nowhere\": no port\n  hint: add it after a colon, as in vpn.example.com:51820",

		"PrivateKey = " + secretText[:43]:                         "wg0.conf:2: PrivateKey: 43 characters long, a key has 44",
		"PrivateKey = " + strings.Repeat("0a", 32):                "wg0.conf:2: PrivateKey: 64 characters long, a key has 44\n  hint: this is a key in hexadecimal; the file takes base64",
		"PrivateKey = " + secretText[:20] + "!" + secretText[21:]: "wg0.conf:2: PrivateKey: has a character that is not of the base64 alphabet",
		"PrivateKey = " + secretText[:42] + "l=":                  "wg0.conf:2: PrivateKey: its last characters are not those of a key",
		"PrivateKey = " + secretText[:43] + "k":                   "wg0.conf:2: PrivateKey: its last characters are not those of a key",
		"PrivateKye = " + secretText:                              "wg0.conf:2: PrivateKye: no such setting in [Interface]" + mean + "PrivateKey?",
		secretText:                                                "wg0.conf:2: no such setting in [Interface]",
		secretText[:43]:                                           "wg0.conf:2: neither [section] nor Key = value",
		"ListenPort = 65536":                                      `wg0.conf:2: ListenPort "65536": not a port from 0 to 65535`,
		"ListenPort = -1":                                         `wg0.conf:2: ListenPort "-1": not a port from 0 to 65535`,
		"ListenPort = " + secretText:                              `wg0.conf:2: ListenPort "(hidden)": not a port from 0 to 65535`,
		"FwMark = 0x100000000":                                    `wg0.conf:2: FwMark "0x100000000": not off, nor a number from 0 to 0xffffffff`,
		"FwMark = 0x":                                             `wg0.conf:2: FwMark "0x": not off, nor a number from 0 to 0xffffffff`,
		"FwMark = 4294967296":                                     `wg0.conf:2: FwMark "4294967296": not off, nor a number from 0 to 0xffffffff`,
		"FwMark = on":                                             `wg0.conf:2: FwMark "on": not off, nor a number from 0 to 0xffffffff`,
		"FwMark =":                                                "wg0.conf:2: FwMark: no value\n  hint: leave the line out to have none",
		"Address = 10.0.0.1/33":                                   `wg0.conf:2: Address "10.0.0.1/33": prefix length exceeds 32`,
		"Address = 10.0.0.1/255.0.255.0":                          `wg0.conf:2: Address "10.0.0.1/255.0.255.0": not a mask after the slash`,
		"Address = host.example":                                  `wg0.conf:2: Address "host.example": not an IP address`,
		"DNS = 1.1.1":                                             `wg0.conf:2: DNS "1.1.1": not an IP address`,
		"DNS = 1.1.1.1:53":                                        "wg0.conf:2: DNS \"1.1.1.1:53\": not an IP address\n  hint: a DNS server is given without a port",
		"DNS = a/b":                                               `wg0.conf:2: DNS "a/b": not a domain`,
		"MTU = 67":                                                `wg0.conf:2: MTU "67": not an MTU from 68 to 65535`,
		"MTU = 65536":                                             `wg0.conf:2: MTU "65536": not an MTU from 68 to 65535`,
		"MTU = auto":                                              `wg0.conf:2: MTU "auto": not an MTU from 68 to 65535`,
		"Table = 4294967296":                                      `wg0.conf:2: Table "4294967296": not a table number from 0 to 4294967295`,
		"Table = 1a":                                              `wg0.conf:2: Table "1a": not a table number from 0 to 4294967295`,
		"Table = a b":                                             `wg0.conf:2: Table "a b": not auto, off, a number, or the name of a table`,
		"SaveConfig = yes":                                        `wg0.conf:2: SaveConfig "yes": neither true nor false`,
		"SaveConfig =":                                            "wg0.conf:2: SaveConfig: no value\n  hint: leave the line out to have none",
		"Post Up = true":                                          "wg0.conf:2: Post Up: no such setting in [Interface]" + mean + "PostUp?",
		"AllowedIPs = 10.0.0.0/8":                                 "wg0.conf:2: AllowedIPs: no such setting in [Interface]\n  hint: AllowedIPs belongs in [Peer]",
		"Jc = 4":                                                  "wg0.conf:2: Jc: no such setting in [Interface]",
		"KillSwitch = on":                                         "wg0.conf:2: KillSwitch: no such setting in [Interface]\n  hint: it is a directive: write it `#vpn: KillSwitch = value`",
		"just words":                                              "wg0.conf:2: neither [section] nor Key = value",
		"words # = commented":                                     "wg0.conf:2: neither [section] nor Key = value",
		"[Interface":                                              "wg0.conf:2: neither [section] nor Key = value",
		"[Peers]\nanything\n#vpn: x":                              "wg0.conf:2: [Peers]: no such section\n  hint: there are [Interface] and [Peer]",
		"[" + secretText + "]":                                    "wg0.conf:2: no such section\n  hint: there are [Interface] and [Peer]",
		"[Peer]":                                                  "wg0.conf:2: [Peer]: has no PublicKey",

		"#vpn: KillSwitch = maybe":                                   "wg0.conf:2: KillSwitch \"maybe\": neither on nor off",
		"# VPN : killswitch=maybe":                                   "wg0.conf:2: KillSwitch \"maybe\": neither on nor off",
		"#vpn: KilSwitch = on":                                       "wg0.conf:2: KilSwitch: no such directive" + mean + "KillSwitch?",
		"#vpn: whatever":                                             "wg0.conf:2: whatever: no such directive",
		"#vpn:":                                                      "wg0.conf:2: no such directive",
		"#vpn: " + secretText:                                        "wg0.conf:2: no such directive",
		"#vpn KillSwitch = on":                                       "wg0.conf:2: KillSwitch: a comment that looks like a directive\n  hint: a directive is written `#vpn: KillSwitch = value`; put a second # before it to keep it as a comment",
		"#vnp: KillSwitch = on":                                      "wg0.conf:2: KillSwitch: a comment that looks like a directive\n  hint: a directive is written `#vpn: KillSwitch = value`; put a second # before it to keep it as a comment",
		"# vpn; heal = off":                                          "wg0.conf:2: Heal: a comment that looks like a directive\n  hint: a directive is written `#vpn: Heal = value`; put a second # before it to keep it as a comment",
		"#vpnHeal = off":                                             "wg0.conf:2: Heal: a comment that looks like a directive\n  hint: a directive is written `#vpn: Heal = value`; put a second # before it to keep it as a comment",
		"FwMark = 1 #vpn: Heal = off":                                "wg0.conf:2: Heal: a directive after a setting would not be read\n  hint: give it a line of its own",
		"#vpn: Name = x":                                             "wg0.conf:2: Name: no directive of [Interface]\n  hint: it belongs in [Peer]",
		"#vpn: RekeyAfterTime = 121":                                 "wg0.conf:2: RekeyAfterTime \"121\": longer than the protocol's own 120 seconds\n  hint: the limit can only be lowered",
		"#vpn: RekeyAfterTime = 0":                                   "wg0.conf:2: RekeyAfterTime \"0\": not a number of seconds from 1 to 120",
		"#vpn: RekeyAfterPackets = 1152921504606846977":              "wg0.conf:2: RekeyAfterPackets \"1152921504606846977\": more than the protocol's own 2^60 packets\n  hint: the limit can only be lowered",
		"#vpn: RekeyAfterPackets = 1e6":                              "wg0.conf:2: RekeyAfterPackets \"1e6\": not a number of packets from 1 to 2^60",
		"#vpn: Masquerade = on":                                      "wg0.conf:2: Masquerade \"on\": not the name of a link\n  hint: name the link that packets leave by, as in eth0; or write off",
		"#vpn: Masquerade = eth0, eth1":                              "wg0.conf:2: Masquerade \"eth0, eth1\": not the name of a link, nor off",
		"#vpn: Masquerade = a-name-of-16-chars":                      "wg0.conf:2: Masquerade \"a-name-of-16-chars\": not the name of a link, nor off",
		"#vpn: KillSwitchAllow = 10.0.0.0/99":                        "wg0.conf:2: KillSwitchAllow \"10.0.0.0/99\": prefix length exceeds 32",
		"#vpn: PublicEndpoint = vpn.example.com":                     "wg0.conf:2: PublicEndpoint \"vpn.example.com\": no port\n  hint: add it after a colon, as in vpn.example.com:51820",
		"#vpn: Expires = 2030-12-31":                                 "wg0.conf:2: Expires: no directive of [Interface]\n  hint: it belongs in [Peer]",
		"[Peer]\n#vpn: Expires = tomorrow":                           "wg0.conf:3: Expires \"tomorrow\": neither a day nor a day and a time\n  hint: write it as in 2030-12-31 or 2030-12-31T18:00:00Z",
		"[Peer]\n#vpn: Expires = 2030-02-30":                         "wg0.conf:3: Expires \"2030-02-30\": neither a day nor a day and a time\n  hint: write it as in 2030-12-31 or 2030-12-31T18:00:00Z",
		"#vpn: ExcludedIPs = x":                                      "wg0.conf:2: ExcludedIPs \"x\": not an IP address",
		"#vpn: PrivateKeyFile = credential:a/b":                      "wg0.conf:2: PrivateKeyFile \"credential:a/b\": not the name of a credential",
		"#vpn: PrivateKeyFile = /k\nPrivateKey = " + secretText:      "wg0.conf:3: PrivateKey: there is a PrivateKeyFile in line 2 already\n  hint: only one of the two can be meant",
		"PrivateKey = " + secretText + "\n#vpn: PrivateKeyFile = /k": "wg0.conf:3: PrivateKeyFile: there is a PrivateKey in line 2 already\n  hint: only one of the two can be meant",
	} {
		c, _, err := Parse("wg0.conf", []byte(under(line)), WGQuick)
		if got := strings.Join(messages(err), "\n"); got != want || c != nil {
			t.Errorf("%q:\ngot  %s\nwant %s", line, got, want)
		}
	}
}

func TestErrorsOfTheWhole(t *testing.T) {
	for text, want := range map[string]string{
		"ListenPort = 1":                  "-: 1: ListenPort: stands before the first section\n  hint: a file begins with [Interface]",
		"#vpn: Heal = off":                "-: 1: Heal: a directive before the first section\n  hint: it belongs to the section that it stands in",
		"\xff\xfe[\x00":                   "-: the file is in UTF-16\n  hint: save it as UTF-8",
		"[Interface]\n\x00":               "-: the file has a zero byte in it: it is not text",
		"[Interface]\nA=1\nB=2\n[X]\nC=3": "-: 2: A: no such setting in [Interface]\n-: 3: B: no such setting in [Interface]\n-: 4: [X]: no such section\n  hint: there are [Interface] and [Peer]",
	} {
		_, _, err := Parse("-", []byte(text), WGQuick)
		if got := strings.Join(messages(err), "\n"); got != strings.ReplaceAll(want, "-: ", "-:") && got != want {
			t.Errorf("%q:\ngot  %s\nwant %s", text, got, want)
		}
	}
	_, _, err := Parse("-", []byte("[Interface]\n"+strings.Repeat("A=1\n", 1000)), WGQuick)
	if n := len(messages(err)); n != maxErrors {
		t.Errorf("%d errors, want %d", n, maxErrors)
	}
}

func TestDialectWG(t *testing.T) {
	for _, name := range []string{"Address", "DNS", "MTU", "Table", "SaveConfig", "PreUp", "PostUp", "PreDown", "PostDown"} {
		text := "[Interface]\n" + strings.ToLower(name) + " = 1"
		want := "x:2: " + name + ": not a setting that `wg setconf` takes\n  hint: it is wg-quick's: `wg-quick strip` leaves such settings out"
		_, _, err := Parse("x", []byte(text), WG)
		if got := strings.Join(messages(err), "\n"); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	text := "[Interface]\nPrivateKey = " + secretText + "\nListenPort = 1\nFwMark = off\n#vpn: RekeyAfterTime = 60\n[Peer]\nPublicKey = " + oneText + "\n"
	if c, warnings, err := Parse("x", []byte(text), WG); err != nil || len(warnings) > 0 || c.Interface.RekeyAfterTime.Value != time.Minute {
		t.Errorf("got %v, %v", warnings, err)
	}
}

func TestWarnings(t *testing.T) {
	one, two := "[Peer]\nPublicKey = "+oneText+"\n", "[Peer]\nPublicKey = "+twoText+"\n"
	k := private(secretText)
	for text, want := range map[string][]string{
		"[Peer]\nAllowedIPs = 10.0.0.1/24, fd00::1/64\nPublicKey = " + oneText: {
			`x:2: AllowedIPs "10.0.0.1/24": has host bits, which are masked: 10.0.0.0/24`,
			`x:2: AllowedIPs "fd00::1/64": has host bits, which are masked: fd00::/64`,
		},
		"[Interface]\n#vpn: ExcludedIPs = 10.0.0.1/8": {`x:2: ExcludedIPs "10.0.0.1/8": has host bits, which are masked: 10.0.0.0/8`},
		one + two + one: {"x:6: PublicKey: the same peer as in line 2: of what both give, the later one wins"},
		one + "AllowedIPs = 10.0.0.0/8\n" + two + "AllowedIPs = 10.0.0.0/8\n": {
			`x:6: AllowedIPs "10.0.0.0/8": given in line 3 to the peer of line 1 too: the later one wins`,
		},
		// Not to two peers: to one twice, or to one that has lost it by then.
		one + "AllowedIPs = 10.0.0.0/8\nAllowedIPs = 10.0.0.0/8\n":                          nil,
		one + "AllowedIPs = +10.0.0.0/8, -10.0.0.0/8\n" + two + "AllowedIPs = 10.0.0.0/8\n": nil,
		one + "AllowedIPs = 10.0.0.0/8\n" + one + "AllowedIPs = 11.0.0.0/8\n" + two + "AllowedIPs = 10.0.0.0/8\n": {
			"x:5: PublicKey: the same peer as in line 2: of what both give, the later one wins",
		},
		one + "AllowedIPs = 10.0.0.0/8\n" + one + "AllowedIPs = +11.0.0.0/8\n" + one + "AllowedIPs = 12.0.0.0/8\n" + two + "AllowedIPs = 10.0.0.0/8, 11.0.0.0/8\n": {
			"x:5: PublicKey: the same peer as in line 2: of what both give, the later one wins",
			"x:8: PublicKey: the same peer as in line 5: of what both give, the later one wins",
		},
		one + "AllowedIPs = 10.0.0.0/8\n" + two + "AllowedIPs = -10.0.0.0/8\n" + one + "AllowedIPs = +1.0.0.0/8": {
			"x:8: PublicKey: the same peer as in line 2: of what both give, the later one wins",
		},
		"[Interface]\nFwMark = 1\nfwmark = 2\n[interface]\nMTU = 1400\n": {
			"x:3: FwMark: already given in line 2: the later one wins",
			"x:4: [Interface]: goes on from line 1: of what both give, the later one wins",
		},
		"[Interface]\nPrivateKey = " + secretText + "\nPrivateKey = " + pskText: {"x:3: PrivateKey: already given in line 2: the later one wins"},
		"[Interface]\nPrivateKey = " + secretText + "\n[Peer]\nPublicKey = " + k.Public().String(): {
			"x:4: PublicKey: is the interface's own: the peer is ignored",
		},
		one + "Endpoint = 2001:db8::1:51820":        {`x:3: Endpoint "2001:db8::1:51820": an IPv6 address should stand in brackets: [2001:db8::1]:51820`},
		one + "Endpoint = a:0":                      {`x:3: Endpoint "a:0": nothing can be sent to port 0`},
		one + "# friendly_name = a\n#vpn: Name = b": {"x:4: Name: already given in line 3: the later one wins"},
		one + "# friendly_name = a\n#vpn: Name = a": {"x:4: Name: already given in line 3: the later one wins"},
		one + "#vpn: Name = a\n# friendly_name = a": nil,
		"[Interface]\nAddress =\nDNS = #\nMTU=\nTable = \nPostUp =": {
			"x:2: Address: no value: the line has no effect", "x:3: DNS: no value: the line has no effect",
			"x:4: MTU: no value: the line has no effect", "x:5: Table: no value: the line has no effect",
		},
		"[Interface]\nSaveConfig = true\n" + one + "# friendly_name = a": {
			"x:2: SaveConfig: wg-quick drops all comments when it saves, and with them the directives (the first is in line 5)",
		},
		"[Interface]\nSaveConfig = true\n# a comment":           nil,
		"[Interface]\n#vpn: KillSwitchAllow = 10.0.0.0/8":       {"x:2: KillSwitchAllow: has no effect without KillSwitch = on"},
		"[Interface]\n#vpn: DNSRoute = corp.example\nDNS = lan": {"x:2: DNSRoute: has no effect without a server in DNS"},
		"[Interface]\nAddress = 10.0.0.1, fd00::1\nMTU = 1279":  {`x:3: MTU "1279": is less than the 1280 that IPv6 needs: the address of line 2 will not work`},
		"[Interface]\nAddress = 10.0.0.1\nMTU = 1279":           nil,
		"[Interface]\nAddress = fd00::1\nMTU = 1280":            nil,
		"# vpn to the office\n[Interface]\n# a VPN = a tunnel\n#VPN\n##vpn: Heal = off\n# Name = x\n#Endpoint = 1\n# friendly_name = x\n# Heal = on": nil,
	} {
		_, warnings, err := Parse("x", []byte(text), WGQuick)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		var got []string
		for _, w := range warnings {
			got = append(got, w.String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q:\ngot  %s\nwant %s", text, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
		}
	}
}
