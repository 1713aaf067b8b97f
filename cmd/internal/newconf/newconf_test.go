package newconf

import (
	"bytes"
	"crypto/rand"
	"errors"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"vpn/conf"
	"vpn/noise/key"
)

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, t := range texts {
		all = append(all, netip.MustParsePrefix(t))
	}
	return all
}

func TestNext(t *testing.T) {
	for _, c := range []struct {
		networks, taken []netip.Prefix
		want            string // or the error
	}{
		{prefixes("10.0.0.0/24", "fd00::/64"), prefixes("10.0.0.1/32", "fd00::1/128"), "10.0.0.2 fd00::2"},
		{prefixes("10.0.0.0/24", "fd00::/64"), prefixes("10.0.0.1/32", "fd00::1/128", "fd00::2/128", "10.0.0.4/32"), "10.0.0.3 fd00::3"},
		{prefixes("10.0.0.0/24"), prefixes("0.0.0.0/0", "10.0.0.0/24", "10.0.0.0/29"), "10.0.0.8"},
		{prefixes("10.0.0.0/30"), prefixes("10.0.0.1/32"), "10.0.0.2"},
		{prefixes("10.0.0.0/30"), prefixes("10.0.0.1/32", "10.0.0.2/32"), "10.0.0.0/30 has no free address left"},
		{prefixes("10.0.0.0/31"), prefixes("10.0.0.1/32"), "10.0.0.0"},
		{prefixes("fd00::/127"), prefixes("fd00::/128"), "fd00::1"},
		{prefixes("10.0.0.0/30", "fd00::/64"), prefixes("fd00::1/128", "fd00::2/128"), "10.0.0.0/30 has no free address left"},
		{prefixes("fd00::/64"), prefixes("fd00::/65"), "fd00::8000:0:0:0"},
		{prefixes("fd00::/64"), prefixes("fd00::/65", "fd00::8000:0:0:0/65"), "fd00::/64 has no free address left"},
		{prefixes("fd00::/48"), prefixes("fd00:0:0:1::/64", "fd00::1/128"), "fd00::2"},
		{prefixes("fd00::/48"), prefixes("fd00::/64"), "fd00::/48 has no free address left"},
		{nil, nil, ErrNoNetwork.Error()},
	} {
		got, err := Next(c.networks, c.taken)
		text := ""
		for i, a := range got {
			if i > 0 {
				text += " "
			}
			text += a.String()
		}
		if err != nil {
			text = err.Error()
		}
		if text != c.want {
			t.Errorf("%v, taken %v: got %s, want %s", c.networks, c.taken, text, c.want)
		}
	}
}

// The naive twin tries one address after the other.
func TestNextIsTheFirstThatIsFree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		networks := []netip.Prefix{
			netip.PrefixFrom(netip.MustParseAddr("10.0.0.0"), rapid.IntRange(26, 31).Draw(t, "length")),
			netip.PrefixFrom(netip.MustParseAddr("fd00::"), rapid.IntRange(118, 127).Draw(t, "length of IPv6")),
		}
		var taken []netip.Prefix
		for range rapid.IntRange(0, 20).Draw(t, "taken") {
			n := rapid.SampledFrom(networks).Draw(t, "of")
			a := nth(n.Addr(), rapid.Uint64Range(0, 80).Draw(t, "at"))
			taken = append(taken, netip.PrefixFrom(a, a.BitLen()-rapid.IntRange(0, 3).Draw(t, "size")).Masked())
		}
		var want []netip.Addr
		for n := uint64(0); n < 600 && want == nil; n++ {
			var at []netip.Addr
			for _, network := range networks {
				if a := nth(network.Addr(), n); network.Contains(a) && CheckFree(a, networks, taken) == nil {
					at = append(at, a)
				}
			}
			if len(at) == len(networks) {
				want = at
			}
		}
		got, err := Next(networks, taken)
		if !slices.Equal(got, want) || (err == nil) != (want != nil) {
			t.Fatalf("%v, taken %v: got %v, %v, want %v", networks, taken, got, err, want)
		}
	})
}

// Whoever is added one after the other gets an address of their own.
func TestNextOneAfterTheOther(t *testing.T) {
	c := &conf.Config{}
	for _, a := range prefixes("10.7.0.9/26", "fd00::9/120") {
		c.Interface.Addresses = append(c.Interface.Addresses, conf.Given(a))
	}
	seen := map[netip.Addr]bool{netip.MustParseAddr("10.7.0.9"): true}
	for i := range 61 { // 64, less the edges and the interface's own
		next, err := Next(Networks(c), Taken(c))
		if err != nil || len(next) != 2 || seen[next[0]] || seen[next[1]] || next[0].As4()[3] != next[1].As16()[15] {
			t.Fatalf("the %dth: %v, %v", i, next, err)
		}
		var p conf.Peer
		for _, a := range next {
			seen[a] = true
			p.AllowedIPs = append(p.AllowedIPs, conf.AllowedIP{Prefix: netip.PrefixFrom(a, a.BitLen())})
		}
		c.Peers = append(c.Peers, p)
	}
	if next, err := Next(Networks(c), Taken(c)); err == nil {
		t.Errorf("there is one more: %v", next)
	}
}

func TestCheckFree(t *testing.T) {
	networks, taken := prefixes("10.0.0.0/24"), prefixes("10.0.0.1/32", "10.0.0.16/28")
	for text, want := range map[string]string{
		"10.0.0.2":   "",
		"10.0.0.1":   "10.0.0.1 is taken already, by 10.0.0.1/32",
		"10.0.0.20":  "10.0.0.20 is taken already, by 10.0.0.16/28",
		"10.0.1.1":   "10.0.1.1 is in none of the interface's networks: [10.0.0.0/24]",
		"10.0.0.0":   "10.0.0.0 is not for hosts: it is at the edge of 10.0.0.0/24",
		"10.0.0.255": "10.0.0.255 is not for hosts: it is at the edge of 10.0.0.0/24",
	} {
		if err := CheckFree(netip.MustParseAddr(text), networks, taken); (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestNetworksAreFree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var taken []netip.Prefix
		for range rapid.IntRange(0, 30).Draw(t, "taken") {
			b := rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "address")
			b[0] = rapid.SampledFrom([]byte{10, 172, 192, 0}).Draw(t, "first")
			taken = append(taken, netip.PrefixFrom(netip.AddrFrom4([4]byte(b)), rapid.IntRange(17, 32).Draw(t, "length")).Masked())
		}
		if rapid.Bool().Draw(t, "all of 10") {
			taken = append(taken, prefixes("10.0.0.0/8", "0.0.0.0/0")...)
		}
		p, err := Network4(rand.Reader, taken)
		private := p.Addr().IsPrivate() && p.Bits() == 24 && p == p.Masked()
		if err != nil || !private || slices.ContainsFunc(taken, func(t netip.Prefix) bool { return t.Bits() > 0 && t.Overlaps(p) }) {
			t.Fatalf("%v, %v", p, err)
		}
	})
	if p, err := Network4(rand.Reader, pools); !errors.Is(err, errNoNetwork) {
		t.Errorf("all are taken: got %v, %v", p, err)
	}
	p, err := Network6(bytes.NewReader([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}), prefixes("fd01:203::/32", "fc00::/7"))
	if err != nil || p != netip.MustParsePrefix("fd06:708:90a::/64") || First(p) != netip.MustParsePrefix("fd06:708:90a::1/64") {
		t.Errorf("got %v, %v", p, err)
	}
}

func TestSide(t *testing.T) {
	c := &conf.Config{}
	for _, a := range prefixes("10.7.0.1/24", "fd00::1/64") {
		c.Interface.Addresses = append(c.Interface.Addresses, conf.Given(a))
	}
	c.Interface.MTU = conf.Given(1380)
	private, err := key.ParsePrivate("yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=")
	if err != nil {
		t.Fatal(err)
	}
	preshared, err := key.ParsePreshared("/UwcSPg38hW/D9Y3tcS1FOV0K1wuURMbS0sesJEP5ak=")
	if err != nil {
		t.Fatal(err)
	}
	s := Side{
		Private: &private, Preshared: &preshared, Public: private.Public(), Endpoint: conf.Endpoint{Host: "vpn.example.com", Port: 51820},
		Addresses: []netip.Addr{netip.MustParseAddr("10.7.0.2"), netip.MustParseAddr("fd00::2")},
		Split:     prefixes("10.7.0.5/32", "192.168.0.0/16", "192.168.0.0/16"), DNS: []netip.Addr{netip.MustParseAddr("10.7.0.1")}, DNSSearch: []string{"lan"}, Keepalive: 25,
	}
	const want = "[Interface]\nPrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\nAddress = 10.7.0.2/32, fd00::2/128\nDNS = 10.7.0.1, lan\nMTU = 1380\n\n" +
		"[Peer]\nPublicKey = HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=\nPresharedKey = /UwcSPg38hW/D9Y3tcS1FOV0K1wuURMbS0sesJEP5ak=\n" +
		"AllowedIPs = 10.7.0.0/24, fd00::/64, 192.168.0.0/16\nEndpoint = vpn.example.com:51820\nPersistentKeepalive = 25\n"
	if got := string(s.Config(c).Format()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	s.FullTunnel = true
	if got := s.Config(c).Peers[0].AllowedIPs; len(got) != 2 || got[0].Prefix.Bits() != 0 || got[1].Prefix.Bits() != 0 {
		t.Errorf("all traffic is %v", got)
	}
}
