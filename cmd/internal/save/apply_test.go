package save

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"vpn/conf"
	"vpn/noise/key"
	"vpn/tunnel/uapi"
)

const (
	privateText = "yQnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
	clampedText = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=" // what an interface shows of it
	otherText   = "aAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
	pskText     = "/UwcSPg38hW/D9Y3tcS1FOV0K1wuURMbS0sesJEP5ak="
	oneText     = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
	twoText     = "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0="
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func prefixes(texts ...string) (list []netip.Prefix) {
	for _, t := range texts {
		list = append(list, netip.MustParsePrefix(t))
	}
	return list
}

// base is a file, and before is what an interface has of it.
const base = `# the office
[Interface]
PrivateKey = ` + privateText + ` # ours
ListenPort = 51820
Address = 10.0.0.1/24, fd00::1/64
SaveConfig = true

[Peer]
#vpn: Name = one
PublicKey = ` + oneText + `
AllowedIPs = 10.0.0.2, 10.0.0.3/32
Endpoint = one.example:51820
PersistentKeepalive = off

# the second
[Peer]
PublicKey = ` + twoText + `
AllowedIPs = 10.0.0.4/32
`

func before() *Live {
	private := must(key.ParsePrivate(clampedText))
	private.Clamp()
	return &Live{
		Device: &uapi.Device{
			PrivateKey: private, ListenPort: 51820,
			Peers: []uapi.Peer{
				{PublicKey: must(key.ParsePublic(twoText)), AllowedIPs: prefixes("10.0.0.4/32")},
				{PublicKey: must(key.ParsePublic(oneText)), AllowedIPs: prefixes("10.0.0.3/32", "10.0.0.2/32"), Endpoint: netip.MustParseAddrPort("192.0.2.1:51820")},
			},
		},
		Addresses: prefixes("fd00::1/64", "10.0.0.1/24"),
		MTU:       1420,
	}
}

// oneExample is the host of that name.
func oneExample(e conf.Endpoint, at netip.AddrPort) bool {
	if addr, ok := e.Addr(); ok {
		return addr == at
	}
	return e.Host == "one.example" && at == netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), e.Port)
}

func TestApply(t *testing.T) {
	second := "\n# the second\n[Peer]\nPublicKey = " + twoText + "\nAllowedIPs = 10.0.0.4/32\n"
	for _, c := range []struct {
		name   string
		change func(*Live)
		edit   []string // of the file, before and after in turn
	}{
		{"nothing", func(*Live) {}, nil},
		{"another key", func(l *Live) { l.PrivateKey = must(key.ParsePrivate(otherText)) }, []string{privateText, otherText}},
		{"no key", func(l *Live) { l.PrivateKey = key.Private{} }, []string{"PrivateKey = " + privateText + " # ours\n", ""}},
		{"port and mark", func(l *Live) { l.ListenPort, l.FwMark = 1, 7 }, []string{"ListenPort = 51820\n", "ListenPort = 1\nFwMark = 7\n"}},
		{"addresses", func(l *Live) { l.Addresses = prefixes("10.0.0.1/24", "10.0.9.1/24") }, []string{"10.0.0.1/24, fd00::1/64", "10.0.0.1/24, 10.0.9.1/24"}},
		{"an MTU that the file leaves open", func(l *Live) { l.MTU = 1280 }, nil},
		{"limits", func(l *Live) { l.RekeyAfterPackets = 9 }, []string{"SaveConfig = true\n", "SaveConfig = true\n#vpn: RekeyAfterPackets = 9\n"}},
		{"a peer gone", func(l *Live) { l.Peers = l.Peers[1:] }, []string{second, ""}},
		{"a peer more", func(l *Live) {
			l.Peers = append(l.Peers, uapi.Peer{PublicKey: key.Public{1}, Preshared: must(key.ParsePreshared(pskText)), Keepalive: 25,
				AllowedIPs: prefixes("10.0.0.9/32"), Endpoint: netip.MustParseAddrPort("[2001:db8::9]:9")})
		}, []string{second, second + "\n[Peer]\nPublicKey = " + key.Public{1}.String() + "\nPresharedKey = " + pskText +
			"\nAllowedIPs = 10.0.0.9/32\nEndpoint = [2001:db8::9]:9\nPersistentKeepalive = 25\n"}},
		{"moved away", func(l *Live) { l.Peers[1].Endpoint = netip.MustParseAddrPort("[::ffff:192.0.2.9]:51820") }, []string{"one.example:51820", "192.0.2.9:51820"}},
		{"another port", func(l *Live) { l.Peers[1].Endpoint = netip.MustParseAddrPort("192.0.2.1:4") }, []string{"one.example:51820", "192.0.2.1:4"}},
		{"nowhere", func(l *Live) { l.Peers[1].Endpoint = netip.AddrPort{} }, nil},
		{"keepalive", func(l *Live) { l.Peers[1].Keepalive = 5 }, []string{"PersistentKeepalive = off", "PersistentKeepalive = 5"}},
		{"preshared", func(l *Live) { l.Peers[1].Preshared = must(key.ParsePreshared(pskText)) },
			[]string{"\nAllowedIPs = 10.0.0.2", "\nPresharedKey = " + pskText + "\nAllowedIPs = 10.0.0.2"}},
		{"prefixes", func(l *Live) { l.Peers[1].AllowedIPs = prefixes("10.1.0.0/16", "10.0.0.2/32") },
			[]string{"10.0.0.2, 10.0.0.3/32", "10.0.0.2, 10.1.0.0/16"}},
	} {
		l := before()
		c.change(l)
		check(t, c.name, base, l, strings.NewReplacer(c.edit...).Replace(base))
	}
}

func check(t *testing.T, name, file string, l *Live, want string) {
	t.Helper()
	c, _, err := conf.Parse("x", []byte(file), conf.WGQuick)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	l.apply(c, oneExample)
	got, err := c.Merge("x", []byte(file))
	if err != nil || string(got) != want {
		t.Errorf("%s: %v, got\n%s\nwant\n%s", name, err, got, want)
	}
}

func TestApplyLeavesWhatIsElsewhere(t *testing.T) {
	two := "[Peer]\nPublicKey = " + twoText + "\n"
	for _, c := range []struct {
		name, file string
		change     func(*Live)
		want       string
	}{
		{"keys in files", "[Interface]\n#vpn: PrivateKeyFile = /k\n" + two + "#vpn: PresharedKeyFile = /p\n", func(l *Live) {
			l.Peers[0].Preshared = must(key.ParsePreshared(pskText))
		}, ""},
		{"a key that is there only", "[Interface]\nListenPort = 51820\n" + two, func(*Live) {},
			"[Interface]\nPrivateKey = " + clampedText + "\nListenPort = 51820\n" + two},
		{"an automatic mark", "[Interface]\n#vpn: PrivateKeyFile = /k\n" + two + "AllowedIPs = ::/0\n", func(l *Live) {
			l.FwMark, l.Peers[0].AllowedIPs = 51820, prefixes("::/0")
		}, ""},
		{"a mark without automatic routes", "[Interface]\n#vpn: PrivateKeyFile = /k\nTable = off\n" + two + "AllowedIPs = ::/0\n", func(l *Live) {
			l.FwMark, l.Peers[0].AllowedIPs = 51820, prefixes("::/0")
		}, "[Interface]\nFwMark = 51820\n#vpn: PrivateKeyFile = /k\nTable = off\n" + two + "AllowedIPs = ::/0\n"},
		{"an MTU", "[Interface]\n#vpn: PrivateKeyFile = /k\nMTU = 1400\n", func(l *Live) { l.Peers = nil }, "[Interface]\n#vpn: PrivateKeyFile = /k\nMTU = 1420\n"},
		{"a candidate's address", "[Interface]\n#vpn: PrivateKeyFile = /k\n" + two + "Endpoint = a.example:1\n#vpn: Endpoint = one.example:51820\n", func(l *Live) {
			l.Peers[0].Endpoint = netip.MustParseAddrPort("192.0.2.1:51820")
		}, ""},
		{"changes that come to the same", "[Interface]\n#vpn: PrivateKeyFile = /k\n" + two + "AllowedIPs = 10.0.0.0/8, -10.0.0.0/8\nAllowedIPs = 10.0.0.4/32\n", func(*Live) {}, ""},
		{"a peer in two sections", "[Interface]\n#vpn: PrivateKeyFile = /k\n" + two + two + "AllowedIPs = 10.0.0.4/32\n", func(*Live) {},
			"[Interface]\n#vpn: PrivateKeyFile = /k\n" + two + "AllowedIPs = 10.0.0.4/32\n"},
	} {
		l := before()
		l.Addresses, l.Peers = nil, l.Peers[:1]
		if !strings.Contains(c.file, "ListenPort") {
			l.ListenPort = 0
		}
		if !strings.Contains(c.file, "AllowedIPs") {
			l.Peers[0].AllowedIPs = nil
		}
		c.change(l)
		want := c.want
		if want == "" {
			want = c.file
		}
		check(t, c.name, c.file, l, want)
	}
}

// A peer whose time is over is left out of the interface, but not of the file.
func TestApplyKeepsWhatIsExpired(t *testing.T) {
	file := base + "\n[Peer]\nPublicKey = " + key.Public{7}.String() + "\nAllowedIPs = 10.0.0.7/32\n#vpn: Expires = 2030-01-01\n"
	l := before()
	l.Now = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	check(t, "expired", file, l, file)
	l.Now = l.Now.Add(-time.Second)
	check(t, "removed by hand before its time", file, l, base)
}
