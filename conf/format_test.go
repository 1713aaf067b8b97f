package conf

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"vpn/noise/key"
)

// All texts that the parser's tests use, as seeds.
var seeds = []string{
	"[Interface]\nPrivateKey = " + secretText + "\nAddress = 10.0.0.1/24\nPostUp = echo # x\n\n[Peer]\nPublicKey = " + oneText + "\nAllowedIPs = +10.0.0.0/8\nEndpoint = a:1\n",
	"[Peer]\nPublicKey = " + oneText + "\nAllowedIPs = -10.0.0.0/8\nAllowedIPs = 10.1.0.0/16\n# friendly_name = x\n#vpn: Endpoint = [::1]:1",
	"[Interface]\nTable = 0x10\nMTU = 0100\nFwMark = off\nDNS = 1.1.1.1, a\n#vpn: DNSRoute = a b\n[interface]\n",
	"\ufeff[ Interface ]\r\n#vpn: KillSwitch = on\r\n#vpn: Masquerade = Off\r\n\r\n",
	"",
}

func TestFormatKeepsTheSignsMeaning(t *testing.T) {
	for _, lines := range []string{
		"AllowedIPs = 1.0.0.0/8, 2.0.0.0/8",
		"AllowedIPs = +1.0.0.0/8, 2.0.0.0/8",
		"AllowedIPs = -1.0.0.0/8",
		"AllowedIPs = -1.0.0.0/8\nAllowedIPs = 2.0.0.0/8",
		"AllowedIPs = +1.0.0.0/8\nAllowedIPs = 2.0.0.0/8",
		"AllowedIPs = 1.0.0.0/8\nAllowedIPs = +2.0.0.0/8",
		"AllowedIPs = 1.0.0.0/8, -2.0.0.0/8, 3.0.0.0/8\nAllowedIPs = 4.0.0.0/8, 5.0.0.0/8",
	} {
		identity(t, []byte("[Peer]\nPublicKey = "+oneText+"\n"+lines))
	}
}

// identity parses, formats and parses again.
func identity(t *testing.T, text []byte) {
	t.Helper()
	first, _, err := Parse("first", text, WGQuick)
	if err != nil {
		return
	}
	formatted := first.Format()
	second, _, err := Parse("second", formatted, WGQuick)
	if err != nil {
		t.Fatalf("what was formatted is refused: %v\n%s", err, formatted)
	}
	if d := differ(second, first); d != "" {
		t.Fatalf("formatted and parsed again it is another: %s\n%s", d, formatted)
	}
	if again := second.Format(); !bytes.Equal(again, formatted) {
		t.Fatalf("formatted twice:\n%s\nand\n%s", formatted, again)
	}
}

func TestFormatOfWhatHasNoFile(t *testing.T) {
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{}, "[Interface]\n"},
		{Config{Interface: Interface{Table: Given(Table{}), FwMark: Given(uint32(0))}}, "[Interface]\nFwMark = off\nTable = auto\n"},
		{Config{Peers: []Peer{{PublicKey: Given(public(oneText)), AllowedIPs: []AllowedIP{{Prefix: netip.MustParsePrefix("::/0")}}}}},
			"[Peer]\nPublicKey = " + oneText + "\nAllowedIPs = ::/0\n"},
	} {
		if got := string(c.config.Format()); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestErase(t *testing.T) {
	c, _, err := Parse("x", read(t, "everything.conf"), WGQuick)
	if err != nil {
		t.Fatal(err)
	}
	c.Erase()
	if !c.Interface.PrivateKey.Value.IsZero() || !c.Peers[0].Preshared.Value.IsZero() {
		t.Error("a key is still there")
	}
}

func TestScanKeepsTheText(t *testing.T) {
	for _, text := range append(seeds, "\n\n", "a\r\nb", "a\n\r\n") {
		var joined []byte
		number := 0
		for l := range scan([]byte(text)) {
			if number++; l.number != number {
				t.Errorf("%q: line %d has number %d", text, number, l.number)
			}
			joined = append(joined, l.text...)
		}
		if string(joined) != text {
			t.Errorf("got %q, want %q", joined, text)
		}
	}
}

func TestNear(t *testing.T) {
	for _, c := range []struct {
		a, b  string
		slips int
		want  bool
	}{
		{"vpn", "vpn", 0, true}, {"vnp", "vpn", 1, true}, {"vp", "vpn", 1, true}, {"vpnn", "vpn", 1, true}, {"wpn", "vpn", 1, true},
		{"vxn", "vpn", 0, false}, {"npv", "vpn", 1, false}, {"", "vpn", 2, false}, {"", "vpn", 3, true}, {"killswich", "killswitch", 1, true},
		{"abcdef", "badcfe", 2, false}, {"abcdef", "badcfe", 3, true},
	} {
		if got := near(c.a, c.b, c.slips); got != c.want {
			t.Errorf("%q and %q, %d slips: got %v", c.a, c.b, c.slips, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range append(seeds, string(read(f, "everything.conf")), string(read(f, "odd.conf"))) {
		f.Add([]byte(s), 12, true)
	}
	f.Fuzz(func(t *testing.T, text []byte, at int, wg bool) {
		identity(t, text)
		var joined []byte
		for l := range scan(text) {
			joined = append(joined, l.text...)
		}
		if !bytes.Equal(joined, text) {
			t.Fatalf("the lines are not the text: %q", joined)
		}
		// Wherever a key is pasted, nothing that is said of it shows it.
		at = max(0, min(at, len(text)))
		pasted := string(text[:at]) + secretText + string(text[at:])
		d := WGQuick
		if wg {
			d = WG
		}
		_, warnings, err := Parse("pasted", []byte(pasted), d)
		said := strings.Join(messages(err), "\n")
		for _, w := range warnings {
			said += "\n" + w.String()
		}
		if strings.Contains(said, secretText[:20]) || strings.Contains(said, secretText[20:40]) {
			t.Fatalf("the key is shown: %s", said)
		}
	})
}

func BenchmarkParse20000(b *testing.B) {
	var text strings.Builder
	text.WriteString("[Interface]\nPrivateKey = " + secretText + "\n")
	for i := range 20_000 {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}).String()
		text.WriteString("\n[Peer]\n#vpn: Name = host\nPublicKey = " + key.Public{byte(i), byte(i >> 8)}.String() + "\nAllowedIPs = " + a + "/32\nEndpoint = 192.0.2.1:51820\n")
	}
	raw := []byte(text.String())
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Parse("x", raw, WGQuick); err != nil {
			b.Fatal(err)
		}
	}
}
