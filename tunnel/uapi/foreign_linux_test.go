package uapi

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"vpn/noise/key"
)

// foreign serves a backend where other programs look for it.
func foreign(t *testing.T) (name string, m *memory) {
	t.Helper()
	name = fmt.Sprintf("uapi%d", os.Getpid())
	m = new(memory)
	answer(t, listen(t, Default, name), m)
	return name, m
}

// pair makes a private key as wgctrl and wg make it, and its public key.
func pair(t *testing.T, b byte) (wgtypes.Key, wgtypes.Key) {
	t.Helper()
	k := private(t, b)
	k.Clamp()
	p, err := wgtypes.ParseKey(k.Base64())
	if err != nil {
		t.Fatal(err)
	}
	return p, p.PublicKey()
}

func ipNet(t *testing.T, s string) net.IPNet {
	t.Helper()
	_, n, err := net.ParseCIDR(s)
	if err != nil {
		t.Fatal(err)
	}
	return *n
}

// asWgctrl is what wgctrl should say of the backend's state.
func asWgctrl(name string, m *memory) *wgtypes.Device {
	d := &wgtypes.Device{
		Name: name, Type: wgtypes.Userspace, ListenPort: int(m.device.ListenPort), FirewallMark: int(m.device.FwMark),
	}
	if !m.device.PrivateKey.IsZero() {
		d.PrivateKey, _ = wgtypes.ParseKey(m.device.PrivateKey.Base64())
	}
	d.PublicKey = d.PrivateKey.PublicKey()
	for _, p := range m.peers {
		w := wgtypes.Peer{
			PublicKey: wgtypes.Key(p.PublicKey), PresharedKey: wgtypes.Key(*p.Preshared.Bytes()), ProtocolVersion: 1,
			PersistentKeepaliveInterval: time.Duration(p.Keepalive) * time.Second, LastHandshakeTime: p.LastHandshake,
			ReceiveBytes: int64(p.Rx), TransmitBytes: int64(p.Tx),
		}
		if p.Endpoint.IsValid() {
			w.Endpoint = net.UDPAddrFromAddrPort(p.Endpoint)
		}
		for _, prefix := range p.AllowedIPs {
			w.AllowedIPs = append(w.AllowedIPs, net.IPNet{IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen())})
		}
		d.Peers = append(d.Peers, w)
	}
	return d
}

// wgctrl is a client that knows nothing of us: what it sets, the backend has,
// and what the backend has, it reads.
func TestWgctrl(t *testing.T) {
	if !root(t) {
		return
	}
	name, m := foreign(t)
	client, err := wgctrl.New()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	secret, _ := pair(t, 1)
	_, one := pair(t, 2)
	_, two := pair(t, 3)
	psk := wgtypes.Key(bytes.Repeat([]byte{7}, key.Size))
	port, mark, noMark, keepalive := 51820, 7, 0, 25*time.Second
	for _, step := range []struct {
		what   string
		config wgtypes.Config
		check  func() bool
	}{
		{"nothing", wgtypes.Config{}, func() bool { return m.device.ListenPort == 0 && len(m.peers) == 0 }},
		{"interface", wgtypes.Config{PrivateKey: &secret, ListenPort: &port, FirewallMark: &mark}, func() bool {
			return m.device.PrivateKey.Base64() == secret.String() && m.device.ListenPort == 51820 && m.device.FwMark == 7
		}},
		{"peers", wgtypes.Config{FirewallMark: &noMark, Peers: []wgtypes.PeerConfig{
			{PublicKey: one, PresharedKey: &psk, Endpoint: &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5}, PersistentKeepaliveInterval: &keepalive,
				AllowedIPs: []net.IPNet{ipNet(t, "10.0.0.0/8"), ipNet(t, "fd00::/8")}},
			{PublicKey: two, Endpoint: &net.UDPAddr{IP: net.ParseIP("2001:db8::1"), Port: 65535}, AllowedIPs: []net.IPNet{ipNet(t, "0.0.0.0/0")}},
		}}, func() bool {
			return m.device.FwMark == 0 && len(m.peers) == 2 && m.peers[0].Keepalive == 25 && len(m.peers[0].AllowedIPs) == 2
		}},
		{"allowed-ips moved", wgtypes.Config{Peers: []wgtypes.PeerConfig{
			{PublicKey: two, ReplaceAllowedIPs: true, AllowedIPs: []net.IPNet{ipNet(t, "10.0.0.0/8")}},
		}}, func() bool {
			return fmt.Sprint(m.peers[0].AllowedIPs, m.peers[1].AllowedIPs) == "[fd00::/8] [10.0.0.0/8]"
		}},
		{"preshared key away, update only", wgtypes.Config{Peers: []wgtypes.PeerConfig{
			{PublicKey: one, UpdateOnly: true, PresharedKey: new(wgtypes.Key)},
			{PublicKey: wgtypes.Key{9}, UpdateOnly: true},
		}}, func() bool { return len(m.peers) == 2 && m.peers[0].Preshared.IsZero() }},
		{"a peer away", wgtypes.Config{Peers: []wgtypes.PeerConfig{{PublicKey: one, Remove: true}}}, func() bool { return len(m.peers) == 1 }},
		{"all replaced", wgtypes.Config{ReplacePeers: true, Peers: []wgtypes.PeerConfig{{PublicKey: one}}}, func() bool {
			return len(m.peers) == 1 && m.peers[0].PublicKey == key.Public(one)
		}},
		{"private key away", wgtypes.Config{PrivateKey: new(wgtypes.Key)}, func() bool { return m.device.PrivateKey.IsZero() }},
	} {
		if err := client.ConfigureDevice(name, step.config); err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		if !step.check() {
			t.Errorf("%s: the backend has %+v, %+v", step.what, m.device, m.peers)
		}
		if len(m.peers) > 0 {
			m.peers[0].LastHandshake, m.peers[0].Rx, m.peers[0].Tx = time.Unix(1700000000, 12345), 1<<40, 3
		}
		got, err := client.Device(name)
		if err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		// As text: an address may be held in four bytes or in sixteen.
		if got, want := fmt.Sprintf("%+v", *got), fmt.Sprintf("%+v", *asWgctrl(name, m)); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", step.what, got, want)
		}
	}
	m.fail = EADDRINUSE
	if err := client.ConfigureDevice(name, wgtypes.Config{ListenPort: &port}); err == nil || !strings.Contains(err.Error(), "errno=-98") {
		t.Errorf("a failure: %v", err)
	}
}

// run runs stock `wg` and returns what it prints.
func run(t *testing.T, args ...string) string {
	t.Helper()
	var failed *exec.ExitError
	out, err := exec.Command("wg", args...).Output()
	if errors.As(err, &failed) {
		return "error: " + string(failed.Stderr)
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// Stock `wg`, every one of its commands.
func TestStockWg(t *testing.T) {
	if !root(t) {
		return
	}
	if _, err := exec.LookPath("wg"); err != nil {
		t.Log("wg is not installed: only wgctrl is tested")
		return
	}
	name, m := foreign(t)
	secret, own := pair(t, 1)
	_, one := pair(t, 2)
	_, two := pair(t, 3)
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	psk := wgtypes.Key(bytes.Repeat([]byte{7}, key.Size)).String()
	dump := func(head string, peers ...string) string {
		return strings.ReplaceAll(strings.Join(append([]string{head}, peers...), "\n")+"\n", " ", "\t")
	}
	head := fmt.Sprintf("%s %s 51820 0x7", secret, own)
	for _, step := range []struct {
		what string
		args []string
		want string // of dump
	}{
		{"the interface", []string{"set", name, "private-key", file("secret", secret.String()), "listen-port", "51820", "fwmark", "0x7"}, dump(head)},
		{"a peer", []string{"set", name, "peer", one.String(), "preshared-key", file("psk", psk+"\n"), "endpoint", "[2001:db8::1]:5", "persistent-keepalive", "25", "allowed-ips", "10.0.0.1/24,fd00::1"},
			dump(head, fmt.Sprintf("%s %s [2001:db8::1]:5 10.0.0.0/24,fd00::1/128 0 0 0 25", one, psk))},
		{"preshared key and keepalive away", []string{"set", name, "peer", one.String(), "preshared-key", "/dev/null", "persistent-keepalive", "off"},
			dump(head, fmt.Sprintf("%s (none) [2001:db8::1]:5 10.0.0.0/24,fd00::1/128 0 0 0 off", one))},
		{"addconf", []string{"addconf", name, file("add.conf", "[Peer]\nPublicKey = "+two.String()+"\nEndpoint = 192.0.2.1:1\nAllowedIPs = 0.0.0.0/0\n")},
			dump(head, fmt.Sprintf("%s (none) [2001:db8::1]:5 10.0.0.0/24,fd00::1/128 0 0 0 off", one), fmt.Sprintf("%s (none) 192.0.2.1:1 0.0.0.0/0 0 0 0 off", two))},
		{"removal", []string{"set", name, "peer", one.String(), "remove"}, dump(head, fmt.Sprintf("%s (none) 192.0.2.1:1 0.0.0.0/0 0 0 0 off", two))},
		{"syncconf", []string{"syncconf", name, file("sync.conf", "[Interface]\nPrivateKey = "+secret.String()+"\nListenPort = 51820\nFwMark = 7\n[Peer]\nPublicKey = "+one.String()+"\n")},
			dump(head, fmt.Sprintf("%s (none) (none) (none) 0 0 0 off", one))},
		{"setconf", []string{"setconf", name, file("set.conf", "[Interface]\nListenPort = 1\n[Peer]\nPublicKey = "+two.String()+"\nAllowedIPs = 10.0.0.0/8\n[Peer]\nPublicKey = "+one.String()+"\nAllowedIPs = 10.0.0.0/8\n")},
			dump("(none) (none) 1 off", fmt.Sprintf("%s (none) (none) (none) 0 0 0 off", two), fmt.Sprintf("%s (none) (none) 10.0.0.0/8 0 0 0 off", one))},
	} {
		if out := run(t, step.args...); out != "" {
			t.Fatalf("%s: wg says %s", step.what, out)
		}
		if got := run(t, "show", name, "dump"); got != step.want {
			t.Errorf("%s:\ngot  %q\nwant %q", step.what, got, step.want)
		}
	}
	m.mu.Lock()
	m.peers[0].LastHandshake, m.peers[0].Rx, m.peers[0].Tx = time.Unix(1700000000, 5), 1<<63, 1<<64-1
	m.peers[0].Endpoint = netip.MustParseAddrPort("[fe80::1%lo]:9")
	m.mu.Unlock()
	want := fmt.Sprintf("%s\t(none)\t[fe80::1%%lo]:9\t(none)\t1700000000\t9223372036854775808\t18446744073709551615\toff", two)
	if got := run(t, "show", name, "dump"); !strings.Contains(got, want) {
		t.Errorf("got %q, want in it %q", got, want)
	}
	if all := strings.Fields(run(t, "show", "interfaces")); !slices.Contains(all, name) {
		t.Errorf("wg doesn't find it: %v", all)
	}
	m.mu.Lock()
	m.fail = EADDRINUSE
	m.mu.Unlock()
	if out := run(t, "set", name, "listen-port", "5"); !strings.Contains(out, "Address already in use") {
		t.Errorf("a failure: wg says %q", out)
	}
}
