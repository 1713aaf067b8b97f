package save_test

import (
	"cmp"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"vpn/cmd/internal/testnet"
	"vpn/conf"
)

func TestMain(m *testing.M) { os.Exit(testnet.Main(m)) }

const (
	private = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
	one     = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
	two     = "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0="
	three   = "gN65BkIKy1eCE9pP1wdc8ROUtkHLF2PfAqYdyYBz6EA="
	psk     = "/UwcSPg38hW/D9Y3tcS1FOV0K1wuURMbS0sesJEP5ak="
)

const before = `# The office.
[Interface]
PrivateKey = ` + private + `
Address = 10.0.0.1/24, fd00::1/64 # two
MTU = 1400
PostUp = echo a # b

# the server
[Peer]
PublicKey = ` + one + `
Endpoint = server.example:51820 # moves
AllowedIPs = 10.0.0.2/32, 10.1.0.0/16

# one who will go
[Peer]
PublicKey = ` + two + `
AllowedIPs = 10.0.0.3/32
`

const after = `# The office.
[Interface]
PrivateKey = ` + private + `
ListenPort = 51999
Address = 10.0.0.1/24, 10.0.5.1/24 # two
MTU = 1300
PostUp = echo a # b

# the server
[Peer]
PublicKey = ` + one + `
PresharedKey = ` + psk + `
Endpoint = server.example:51820 # moves
PersistentKeepalive = 25
AllowedIPs = 10.0.0.2/32, 10.1.0.0/16

[Peer]
PublicKey = ` + three + `
AllowedIPs = 10.0.0.4/32
Endpoint = 192.0.2.9:9
`

// TestSave changes a tunnel while it is up, and saves it; wg-quick does the same.
func TestSave(t *testing.T) {
	h := testnet.NewMachine(t, "machine")
	vpn := testnet.Binary(t, testnet.VPN)
	h.WriteFile("/etc/wireguard/wg0.conf", before, 0o640)
	h.WriteFile("/etc/hosts", "192.0.2.1 server.example\n", 0o644)
	h.WriteFile("/run/psk", psk, 0o600)
	device := h.Start(nil, vpn, "device", "wg0", "-f")
	testnet.Until(t, "the interface answers", func() bool {
		_, code := h.Run(vpn, "show", "wg0")
		return code == 0 || !device.Running()
	})
	h.MustRun("bash", "-c", "set -e; umask 077; "+vpn+" strip wg0 > /run/stripped; "+vpn+" setconf wg0 /run/stripped; ip link set wg0 mtu 1400 up; ip address add 10.0.0.1/24 dev wg0; ip address add fd00::1/64 dev wg0")
	h.MustRun(vpn, "set", "wg0", "listen-port", "51999")

	h.MustRun(vpn, "save", "wg0")
	unchanged := strings.Replace(before, "PrivateKey = "+private+"\n", "PrivateKey = "+private+"\nListenPort = 51999\n", 1)
	if got := h.MustRun("cat", "/etc/wireguard/wg0.conf"); got != unchanged {
		t.Errorf("saved as it was, the file is\n%s", got)
	}

	h.MustRun("ip", "address", "add", "10.0.5.1/24", "dev", "wg0")
	h.MustRun("ip", "address", "del", "fd00::1/64", "dev", "wg0")
	h.MustRun("ip", "link", "set", "wg0", "mtu", "1300")
	h.MustRun("wg", "set", "wg0", "peer", one, "persistent-keepalive", "25", "preshared-key", "/run/psk", "peer", two, "remove",
		"peer", three, "allowed-ips", "10.0.0.4/32", "endpoint", "192.0.2.9:9")
	h.MustRun("mkdir", "/run/copy")
	h.MustRun("cp", "/etc/wireguard/wg0.conf", "/run/copy/wg0.conf")
	h.MustRun("wg-quick", "save", "/run/copy/wg0.conf")
	h.MustRun(vpn, "save", "wg0")
	got := h.MustRun("cat", "/etc/wireguard/wg0.conf")
	if got != after {
		t.Errorf("saved, the file is\n%s\nwant\n%s", got, after)
	}
	if mode := h.MustRun("stat", "--format=%a", "/etc/wireguard/wg0.conf"); mode != "640\n" {
		t.Errorf("its mode is %s", mode)
	}
	// Wg-quick forgets the name, and the comment that is part of a command.
	ours := strings.Replace(strings.Replace(got, "server.example", "192.0.2.1", 1), " # b", "", 1)
	if a, b := plain(t, ours), plain(t, h.MustRun("cat", "/run/copy/wg0.conf")); !a.Equal(b) {
		t.Errorf("what is saved is\n%s\nwg-quick saves\n%s", a.Format(), b.Format())
	}

	// Saved again, the file is not touched.
	inode := h.MustRun("stat", "--format=%i", "/etc/wireguard/wg0.conf")
	h.MustRun(vpn, "save", "wg0")
	if now := h.MustRun("stat", "--format=%i", "/etc/wireguard/wg0.conf"); now != inode {
		t.Error("it was written without need")
	}
	h.WriteFile("/etc/wireguard/wg0.conf", "[Interface]\nNo = 1\n", 0o600)
	if text, code := h.Run(vpn, "save", "wg0"); code == 0 || !strings.Contains(text, "wg0.conf:2: No: no such setting") {
		t.Errorf("code %d: %s", code, text)
	}
	if text, code := h.Run(vpn, "save", "/run/copy/none.conf"); code == 0 || !strings.Contains(text, "there is no interface none") {
		t.Errorf("code %d: %s", code, text)
	}
}

// plain is a file without what only its order says.
func plain(t *testing.T, text string) *conf.Config {
	t.Helper()
	c, _, err := conf.Parse("saved", []byte(text), conf.WGQuick)
	if err != nil {
		t.Fatal(err)
	}
	byText := func(a, b any) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) }
	for i := range c.Interface.Addresses {
		c.Interface.Addresses[i].Line = 0
	}
	slices.SortFunc(c.Interface.Addresses, func(a, b conf.Setting[netip.Prefix]) int { return byText(a.Value, b.Value) })
	slices.SortFunc(c.Peers, func(a, b conf.Peer) int { return byText(a.PublicKey.Value, b.PublicKey.Value) })
	for _, p := range c.Peers {
		slices.SortFunc(p.AllowedIPs, func(a, b conf.AllowedIP) int { return byText(a.Prefix, b.Prefix) })
	}
	return c
}
