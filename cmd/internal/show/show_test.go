package show

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"vpn/noise/key"
	"vpn/tunnel/uapi"
)

// The texts are held beside wg's own in package cli, where that can be run.
var (
	now  = time.Unix(1_800_000_000, 0)
	some = Interface{"wg0", &uapi.Device{
		ListenPort: 51820, FwMark: 0xca6c, RekeyAfterTime: time.Minute, RekeyAfterPackets: 1000,
		Peers: []uapi.Peer{
			{PublicKey: key.Public{1}},
			{
				PublicKey: key.Public{2}, Endpoint: netip.MustParseAddrPort("[2001:db8::1]:7"), Keepalive: 25,
				LastHandshake: now.Add(-62 * time.Second), Rx: 1239, Tx: 2048,
				AllowedIPs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1.2.3.4/128")},
			},
		},
	}}
)

const (
	first  = "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	second = "AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
)

func check(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got\n%s\nwant\n%s", what, got, want)
	}
}

func TestPretty(t *testing.T) {
	var b bytes.Buffer
	Pretty(&b, some, Style{Now: now})
	check(t, "plain", b.String(), `interface: wg0
  listening port: 51820
  fwmark: 0xca6c

peer: `+second+`
  endpoint: [2001:db8::1]:7
  allowed ips: 10.0.0.0/8, ::1.2.3.4/128
  latest handshake: 1 minute, 2 seconds ago
  transfer: 1.21 KiB received, 2.00 KiB sent
  persistent keepalive: every 25 seconds

peer: `+first+`
  allowed ips: (none)
`)
	b.Reset()
	Pretty(&b, Interface{"wg0", &uapi.Device{FwMark: 1}}, Style{Colour: true})
	check(t, "coloured", b.String(), "\x1b[0m\x1b[32m\x1b[1minterface\x1b[0m: \x1b[32mwg0\x1b[0m\n  \x1b[1mfwmark\x1b[0m: 0x1\n")
}

func TestPrettyHidesKeys(t *testing.T) {
	k, err := key.NewPrivate(strings.NewReader(strings.Repeat("s", key.Size)))
	if err != nil {
		t.Fatal(err)
	}
	for _, showKeys := range []bool{false, true} {
		var b bytes.Buffer
		Pretty(&b, Interface{"wg0", &uapi.Device{PrivateKey: k}}, Style{ShowKeys: showKeys})
		if shown := strings.Contains(b.String(), k.Base64()); shown != showKeys || strings.Contains(b.String(), "(hidden)") == showKeys {
			t.Errorf("ShowKeys %v: %s", showKeys, &b)
		}
	}
}

func TestField(t *testing.T) {
	for name, want := range map[string]string{
		"fwmark":      "wg0\t0xca6c\n",
		"private-key": "wg0\t(none)\n",
		"peers":       "wg0\t" + first + "\nwg0\t" + second + "\n",
		"transfer":    "wg0\t" + first + "\t0\t0\nwg0\t" + second + "\t1239\t2048\n",
		"endpoints":   "wg0\t" + first + "\t(none)\n" + second + "\t[2001:db8::1]:7\n", // the name once: see endpoints
		"dump": "wg0\t(none)\t(none)\t51820\t0xca6c\nwg0\t" + first + "\t(none)\t(none)\t(none)\t0\t0\t0\toff\n" +
			"wg0\t" + second + "\t(none)\t[2001:db8::1]:7\t10.0.0.0/8,::1.2.3.4/128\t1799999938\t1239\t2048\t25\n",
	} {
		var b bytes.Buffer
		if !Field(&b, some, name, true) {
			t.Errorf("there is no field %s", name)
		}
		check(t, name, b.String(), want)
	}
	if Field(new(bytes.Buffer), some, "none", true) {
		t.Error("there is a field none")
	}
}

func TestConf(t *testing.T) {
	var b bytes.Buffer
	Conf(&b, some)
	check(t, "file", b.String(), `[Interface]
ListenPort = 51820
FwMark = 0xca6c
#vpn: RekeyAfterTime = 60
#vpn: RekeyAfterPackets = 1000

[Peer]
PublicKey = `+first+`

[Peer]
PublicKey = `+second+`
AllowedIPs = 10.0.0.0/8, ::1.2.3.4/128
Endpoint = [2001:db8::1]:7
PersistentKeepalive = 25
`)
}

func TestJSONField(t *testing.T) {
	var b bytes.Buffer
	JSON(&b, []Interface{some, {"wg1", new(uapi.Device)}}, "endpoints")
	check(t, "endpoints", b.String(), `{
	"wg0": {
		"peers": {
			"`+first+`": {},
			"`+second+`": {
				"endpoint": "[2001:db8::1]:7"
			}
		}
	},
	"wg1": {
		"peers": {}
	}
}
`)
}
