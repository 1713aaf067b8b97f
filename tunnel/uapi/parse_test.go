package uapi

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vpn/noise/key"
)

// hexKey is a key of 32 equal bytes, as text.
func hexKey(b string) string { return strings.Repeat(b, key.Size) }

func public(b byte) key.Public { return key.Public(bytes.Repeat([]byte{b}, key.Size)) }

func preshared(t testing.TB, b byte) *key.Preshared {
	t.Helper()
	k, err := key.PresharedFromBytes(bytes.Repeat([]byte{b}, key.Size))
	if err != nil {
		t.Fatal(err)
	}
	return &k
}

func private(t testing.TB, b byte) *key.Private {
	t.Helper()
	k, err := key.PrivateFromBytes(bytes.Repeat([]byte{b}, key.Size))
	if err != nil {
		t.Fatal(err)
	}
	return &k
}

func set(t testing.TB, lines ...string) *Config {
	t.Helper()
	c, err := ParseSet(bufio.NewReader(strings.NewReader(strings.Join(lines, "\n") + "\n\n")))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestParseSet(t *testing.T) {
	port, mark, keepalive := uint16(51820), uint32(4294967295), uint16(65535)
	zero16, zero32 := uint16(0), uint32(0)
	rekey, packets := 90*time.Second, uint64(1<<60)
	one, two := "public_key="+hexKey("01"), "public_key="+hexKey("02")
	for name, c := range map[string]struct {
		lines []string
		want  Config
	}{
		"nothing": {nil, Config{}},
		"interface": {
			[]string{"private_key=" + hexKey("aa"), "listen_port=51820", "fwmark=4294967295", "replace_peers=true"},
			Config{PrivateKey: private(t, 0xaa), ListenPort: &port, FwMark: &mark, ReplacePeers: true},
		},
		"interface, all zero": {
			[]string{"private_key=" + hexKey("00"), "listen_port=0", "fwmark=0"},
			Config{PrivateKey: private(t, 0), ListenPort: &zero16, FwMark: &zero32},
		},
		"candidates": {
			[]string{one, "candidate=1.2.3.4:5", "endpoint=1.2.3.4:6", "candidate=[::ffff:1.2.3.4]:7", two, "candidate=[fe80::1%eth0]:8", "candidate=", "public_key=" + hexKey("03"), "candidate=", "candidate=[::1]:9"},
			Config{Peers: []PeerConfig{
				{PublicKey: public(1), Endpoint: netip.MustParseAddrPort("1.2.3.4:6"), Candidates: []netip.AddrPort{netip.MustParseAddrPort("1.2.3.4:5"), netip.MustParseAddrPort("1.2.3.4:7")}},
				{PublicKey: public(2), Candidates: []netip.AddrPort{}},
				{PublicKey: public(3), Candidates: []netip.AddrPort{netip.MustParseAddrPort("[::1]:9")}},
			}},
		},
		"our own limits": {
			[]string{"rekey_after_time=90", "rekey_after_packets=1152921504606846976"},
			Config{RekeyAfterTime: &rekey, RekeyAfterPackets: &packets},
		},
		"upper-case key, zeros before a number, the last of two": {
			[]string{"private_key=" + hexKey("bb"), "private_key=" + hexKey("AA"), "listen_port=1", "listen_port=0051820"},
			Config{PrivateKey: private(t, 0xaa), ListenPort: &port},
		},
		"peer": {
			[]string{one, "update_only=true", "preshared_key=" + hexKey("bb"), "preshared_key=" + hexKey("cc"), "endpoint=1.2.3.4:5", "persistent_keepalive_interval=65535",
				"replace_allowed_ips=true", "allowed_ip=10.0.0.1/24", "allowed_ip=-fd00::1/64", "protocol_version=1"},
			Config{Peers: []PeerConfig{{
				PublicKey: public(1), UpdateOnly: true, ReplaceAllowedIPs: true, Preshared: preshared(t, 0xcc),
				Endpoint: netip.MustParseAddrPort("1.2.3.4:5"), Keepalive: &keepalive,
				AllowedIPs: []AllowedIP{{Prefix: netip.MustParsePrefix("10.0.0.0/24")}, {Prefix: netip.MustParsePrefix("fd00::/64"), Remove: true}},
			}}},
		},
		"endpoints": {
			[]string{one, "endpoint=[fe80::1%eth0]:1", two, "endpoint=[::ffff:1.2.3.4]:2", "public_key=" + hexKey("03"), "endpoint=[2001:db8::1]:65535"},
			Config{Peers: []PeerConfig{
				{PublicKey: public(1), Endpoint: netip.MustParseAddrPort("[fe80::1%eth0]:1")},
				{PublicKey: public(2), Endpoint: netip.MustParseAddrPort("1.2.3.4:2")},
				{PublicKey: public(3), Endpoint: netip.MustParseAddrPort("[2001:db8::1]:65535")},
			}},
		},
		"preshared key away": {
			[]string{one, "preshared_key=" + hexKey("00")},
			Config{Peers: []PeerConfig{{PublicKey: public(1), Preshared: preshared(t, 0)}}},
		},
		"a peer twice stays two changes, and removal": {
			[]string{one, "allowed_ip=10.0.0.0/8", two, "remove=true", one, "allowed_ip=11.0.0.0/8"},
			Config{Peers: []PeerConfig{
				{PublicKey: public(1), AllowedIPs: []AllowedIP{{Prefix: netip.MustParsePrefix("10.0.0.0/8")}}},
				{PublicKey: public(2), Remove: true},
				{PublicKey: public(1), AllowedIPs: []AllowedIP{{Prefix: netip.MustParsePrefix("11.0.0.0/8")}}},
			}},
		},
		"replacing also what the same peer was given above": {
			[]string{one, "allowed_ip=9.0.0.0/8", two, "allowed_ip=10.0.0.0/8", "replace_allowed_ips=true", "allowed_ip=11.0.0.0/8"},
			Config{Peers: []PeerConfig{
				{PublicKey: public(1), AllowedIPs: []AllowedIP{{Prefix: netip.MustParsePrefix("9.0.0.0/8")}}},
				{PublicKey: public(2), ReplaceAllowedIPs: true, AllowedIPs: []AllowedIP{{Prefix: netip.MustParsePrefix("11.0.0.0/8")}}},
			}},
		},
		"all-zero public key": {
			[]string{"public_key=" + hexKey("00")},
			Config{Peers: []PeerConfig{{}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if d := diff(*set(t, c.lines...), c.want); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestParseSetRefuses(t *testing.T) {
	one := "public_key=" + hexKey("01") + "\n"
	for text, want := range map[string]string{
		one + "candidate=vpn.example:1":             "line 2: candidate: not address:port or [address]:port",
		"listen_port=65536":                         "line 1: listen_port: not a number from 0 to 65535",
		"listen_port=":                              "line 1: listen_port: not a number from 0 to 65535",
		"listen_port=-1":                            "line 1: listen_port: not a number from 0 to 65535",
		"listen_port=+1":                            "line 1: listen_port: not a number from 0 to 65535",
		"listen_port= 1":                            "line 1: listen_port: not a number from 0 to 65535",
		"fwmark=4294967296":                         "line 1: fwmark: not a number from 0 to 4294967295",
		"fwmark=0x1":                                "line 1: fwmark: not a number from 0 to 4294967295",
		"fwmark=99999999999999999999":               "line 1: fwmark: not a number from 0 to 4294967295",
		"replace_peers=1":                           "line 1: replace_peers: not true",
		"replace_peers=false":                       "line 1: replace_peers: not true",
		"replace_peers=True":                        "line 1: replace_peers: not true",
		"rekey_after_time=121":                      "line 1: rekey_after_time: not a number of seconds from 0 to 120",
		"rekey_after_packets=2^60":                  "line 1: rekey_after_packets: not a number from 0 to 2^60",
		"private_key=" + hexKey("0"):                "line 1: private_key: not a key of 64 hexadecimal digits",
		"private_key=" + hexKey("zz"):               "line 1: private_key: not a key of 64 hexadecimal digits",
		"public_key=":                               "line 1: public_key: not a key of 64 hexadecimal digits",
		"fwmark=1\n" + one + "fwmark=1":             "line 3: fwmark: no such key of a peer",
		"endpoint=1.2.3.4:5":                        "line 1: endpoint: no such key of the interface",
		"jc=4":                                      "line 1: jc: no such key of the interface",
		hexKey("ab") + "=1":                         "line 1: no such key of the interface",
		"no equals sign":                            "line 1: not of the form key=value",
		"listen_port=1\r":                           "line 1: listen_port: not a number from 0 to 65535",
		one + "preshared_key=00":                    "line 2: preshared_key: not a key of 64 hexadecimal digits",
		one + "replace_peers=true":                  "line 2: replace_peers: no such key of a peer",
		one + "remove=yes":                          "line 2: remove: not true",
		one + "update_only=":                        "line 2: update_only: not true",
		one + "replace_allowed_ips=no":              "line 2: replace_allowed_ips: not true",
		one + "protocol_version=2":                  "line 2: protocol_version: not 1",
		one + "endpoint=example.com:1":              "line 2: endpoint: not address:port or [address]:port",
		one + "endpoint=1.2.3.4":                    "line 2: endpoint: not address:port or [address]:port",
		one + "endpoint=1.2.3.4:65536":              "line 2: endpoint: not address:port or [address]:port",
		one + "endpoint=2001:db8::1:1":              "line 2: endpoint: not address:port or [address]:port",
		one + "allowed_ip=10.0.0.0":                 "line 2: allowed_ip: not an address with a prefix length",
		one + "allowed_ip=10.0.0.0/33":              "line 2: allowed_ip: not an address with a prefix length",
		one + "allowed_ip=--10.0.0.0/8":             "line 2: allowed_ip: not an address with a prefix length",
		one + "allowed_ip=":                         "line 2: allowed_ip: not an address with a prefix length",
		one + "allowed_ip=fe80::1%1/64":             "line 2: allowed_ip: not an address with a prefix length",
		one + "persistent_keepalive_interval=65536": "line 2: persistent_keepalive_interval: not a number from 0 to 65535",
		one + "persistent_keepalive_interval=off":   "line 2: persistent_keepalive_interval: not a number from 0 to 65535",
		"fwmark=1\n" + strings.Repeat("x", 200000):  "line 2: line is too long",
		"fwmark=" + strings.Repeat("0", 4096):       "line 1: line is too long",
	} {
		// What comes after a bad line is passed over, to the blank line.
		r := bufio.NewReader(strings.NewReader(text + "\nwhatever\nprivate_key=x\n\nnext"))
		c, err := ParseSet(r)
		var malformed *ParseError
		if c != nil || !errors.As(err, &malformed) || err.Error() != want {
			t.Errorf("%.60q: got %v, want %s", text, err, want)
		}
		if rest, _ := io.ReadAll(r); string(rest) != "next" {
			t.Errorf("%.60q: left %q, want the next request", text, rest)
		}
	}
}

func TestParseSetCutShort(t *testing.T) {
	whole := "private_key=" + hexKey("aa") + "\nlisten_port=1\n\n"
	for n := range len(whole) {
		if c, err := ParseSet(bufio.NewReader(strings.NewReader(whole[:n]))); c != nil || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes: got %v and %v", n, c, err)
		}
	}
}

func TestParseSetBoundsTheRequest(t *testing.T) {
	lines := newLineReader(bufio.NewReader(strings.NewReader(strings.Repeat("fwmark=1\n", 100) + "\n")))
	lines.left = 500
	if _, err := parseSet(lines); err != errRequestTooLarge {
		t.Errorf("got %v, want %v", err, errRequestTooLarge)
	}
	// While the rest of a bad request is passed over, too.
	lines = newLineReader(bufio.NewReader(strings.NewReader(strings.Repeat("bad=1\n", 100) + "\n")))
	lines.left = 500
	if _, err := parseSet(lines); err != errRequestTooLarge {
		t.Errorf("got %v, want %v", err, errRequestTooLarge)
	}
}

// No text of a key stays in the reader's buffer, whether the request is good or
// not.
func TestParseSetForgetsKeys(t *testing.T) {
	secret := strings.Repeat("5a", key.Size)
	for _, text := range []string{
		"private_key=" + secret + "\npublic_key=" + hexKey("01") + "\npreshared_key=" + secret + "\n\n",
		"private_key=" + secret + "0\n" + secret + "\n\n",
		"private_key=" + secret + "\n" + strings.Repeat(secret, 100) + "\n\n",
	} {
		r := bufio.NewReaderSize(strings.NewReader(text), 1024)
		start, err := r.Peek(1) // a slice of the buffer itself
		if err != nil {
			t.Fatal(err)
		}
		buffer := start[:cap(start)]
		if !bytes.Contains(buffer, []byte(secret)) {
			t.Fatal("the test doesn't see the buffer")
		}
		ParseSet(r)
		wipeReader(r, nil)
		if !bytes.Equal(buffer, make([]byte, len(buffer))) {
			t.Errorf("%.20s...: left in the buffer: %q", text, bytes.Trim(buffer, "\x00"))
		}
	}
}

func TestConfigErase(t *testing.T) {
	c := set(t, "private_key="+hexKey("aa"), "public_key="+hexKey("01"), "public_key="+hexKey("02"), "preshared_key="+hexKey("bb"))
	c.Erase()
	if !c.PrivateKey.IsZero() || !c.Peers[1].Preshared.IsZero() {
		t.Error("a key is still there")
	}
}

// A peer with very many prefixes, and many peers with few, have their own.
func TestParseSetManyPrefixes(t *testing.T) {
	var b strings.Builder
	const peers = 5000
	for i := range peers {
		b.WriteString("public_key=" + hexKey("01") + "\n")
		n := 1
		if i%1000 == 0 {
			n = 2000
		}
		for j := range n {
			b.WriteString("allowed_ip=" + netip.AddrFrom4([4]byte{byte(i >> 8), byte(i), byte(j >> 8), byte(j)}).String() + "/32\n")
		}
	}
	c := set(t, b.String()+"public_key="+hexKey("02"))
	for i, p := range c.Peers[:peers] {
		want := 1
		if i%1000 == 0 {
			want = 2000
		}
		if len(p.AllowedIPs) != want || cap(p.AllowedIPs) != want {
			t.Fatalf("peer %d has %d prefixes, room for %d, want %d", i, len(p.AllowedIPs), cap(p.AllowedIPs), want)
		}
		for j, a := range p.AllowedIPs {
			if a.Prefix.Addr().As4() != [4]byte{byte(i >> 8), byte(i), byte(j >> 8), byte(j)} {
				t.Fatalf("prefix %d of peer %d is %v", j, i, a.Prefix)
			}
		}
	}
}

// diff is what two values differ in. Keys are compared as such, and not by how
// they are kept.
func diff(got, want any) string {
	return cmp.Diff(want, got,
		cmp.Comparer(func(a, b key.Private) bool { return a.Equal(&b) }),
		cmp.Comparer(func(a, b key.Preshared) bool { return a.Equal(&b) }),
		cmp.Comparer(func(a, b *key.Private) bool { return a == b || a != nil && b != nil && a.Equal(b) }),
		cmp.Comparer(func(a, b *key.Preshared) bool { return a == b || a != nil && b != nil && a.Equal(b) }),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
		cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
	)
}
