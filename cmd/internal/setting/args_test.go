package setting

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vpn/conf"
	"vpn/tunnel/uapi"
)

const (
	privateText = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
	peerText    = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
)

// offline resolves nothing but addresses.
func offline(t testing.TB) *Resolver {
	r, err := NewResolver("0", nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestFromArgsSigns has what wg 1.0.20210914 doesn't know: changes of prefixes.
// The rest is held beside wg in package cli.
func TestFromArgsSigns(t *testing.T) {
	prefix := netip.MustParsePrefix
	for value, want := range map[string]uapi.PeerConfig{
		"":                          {ReplaceAllowedIPs: true},
		"10.0.0.0/8":                {ReplaceAllowedIPs: true, AllowedIPs: []uapi.AllowedIP{{Prefix: prefix("10.0.0.0/8")}}},
		"+10.0.0.0/8,-192.0.2.1":    {AllowedIPs: []uapi.AllowedIP{{Prefix: prefix("10.0.0.0/8")}, {Prefix: prefix("192.0.2.1/32"), Remove: true}}},
		" +10.0.0.0/8 , -fd00::/8 ": {AllowedIPs: []uapi.AllowedIP{{Prefix: prefix("10.0.0.0/8")}, {Prefix: prefix("fd00::/8"), Remove: true}}},
	} {
		c, err := FromArgs(t.Context(), []string{"peer", peerText, "allowed-ips", value}, offline(t), nil)
		if err != nil {
			t.Fatalf("%q: %v", value, err)
		}
		want.PublicKey = c.Peers[0].PublicKey
		if got := fmt.Sprint(c.Peers[0]); got != fmt.Sprint(want) {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}

func TestFromArgsWarns(t *testing.T) {
	var warnings []string
	warn := func(s string) { warnings = append(warnings, s) }
	c, err := FromArgs(t.Context(), []string{"peer", peerText, "allowed-ips", "10.1.2.3/8,::/0"}, offline(t), warn)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Peers[0].AllowedIPs[0].Prefix.String(); got != "10.0.0.0/8" {
		t.Errorf("prefix %s", got)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], `"10.1.2.3/8"`) {
		t.Errorf("warnings %q", warnings)
	}
}

func TestKeyFiles(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		privateText:                              "",
		privateText + "\n":                       "",
		privateText + " \t\r\n\n":                "",
		"":                                       "zero",
		"\n":                                     "44 characters",
		" " + privateText:                        "something follows",
		privateText[:43]:                         "44 characters",
		privateText + "x":                        "something follows",
		privateText + "\n" + privateText:         "something follows",
		privateText + strings.Repeat(" ", 10000): "something follows",
		strings.Repeat("A", 43) + "B":            "44 characters",
	} {
		path := filepath.Join(dir, "key")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		k, err := ReadPrivateFile(path)
		switch {
		case want == "" && (err != nil || k.Base64() != privateText):
			t.Errorf("%d bytes: %v", len(text), err)
		case want == "zero" && (err != nil || !k.IsZero()):
			t.Errorf("%d bytes: %v", len(text), err)
		case want != "" && want != "zero" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%d bytes: error %v, want %s", len(text), err, want)
		}
		if err != nil && text != "" && strings.Contains(err.Error(), privateText[:20]) {
			t.Errorf("the error holds a key: %v", err)
		}
	}
	if _, err := ReadPresharedFile(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that isn't there: %v", err)
	}
	if _, err := ReadPresharedFile(dir); err == nil {
		t.Error("a directory is read")
	}
}

// TestKeyFileModes has files of keys that too many may touch.
func TestKeyFileModes(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct {
		mode     os.FileMode
		warnings int
		fails    bool
	}{{0o600, 0, false}, {0o644, 1, false}, {0o602, 0, true}} {
		path := filepath.Join(dir, "key")
		if err := os.WriteFile(path, []byte(privateText), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, test.mode); err != nil {
			t.Fatal(err)
		}
		c := &conf.Config{Interface: conf.Interface{PrivateKeyFile: conf.Given("key")}}
		warnings := 0
		_, err := FromConf(t.Context(), c, filepath.Join(dir, "wg0.conf"), offline(t), func(conf.Warning) { warnings++ })
		if warnings != test.warnings || (err != nil) != test.fails {
			t.Errorf("mode %04o: %d warnings, %v", test.mode, warnings, err)
		}
	}
}

// FuzzFromArgs takes any arguments. What it makes of them is a request that a
// server understands, and that says the same when it does.
func FuzzFromArgs(f *testing.F) {
	for _, args := range []string{
		"listen-port 51820 fwmark 0xff",
		"private-key /dev/null peer " + peerText + " remove",
		"peer " + peerText + " endpoint [fe80::1%lo]:1 persistent-keepalive off allowed-ips +10.0.0.0/8,-::1",
		"peer " + peerText + " allowed-ips 1.2.3.4/5,::ffff:1.2.3.4/100 peer " + peerText,
		"peer " + peerText + " endpoint ::1:1 preshared-key /dev/null",
	} {
		f.Add(args)
	}
	resolver := offline(f)
	f.Fuzz(func(t *testing.T, line string) {
		args := strings.Split(line, " ")
		for i, word := range args {
			switch {
			case i == 0:
			case strings.HasSuffix(args[i-1], "-key"):
				args[i] = os.DevNull // no file of this machine is read
			case args[i-1] == "endpoint":
				if e, err := parseEndpoint(word); err == nil {
					if _, isAddress := e.Addr(); !isAddress {
						args[i] = "192.0.2.1:1" // and nobody is asked for names
					}
				}
			}
		}
		c, err := FromArgs(t.Context(), args, resolver, func(string) {})
		if err != nil {
			return
		}
		var sent bytes.Buffer
		if err := uapi.WriteSet(&sent, c); err != nil {
			t.Fatal(err)
		}
		text := sent.String()
		understood, err := uapi.ParseSet(bufio.NewReader(&sent))
		if err != nil {
			t.Fatalf("%q: %v\n%s", args, err, text)
		}
		var again bytes.Buffer
		if err := uapi.WriteSet(&again, understood); err != nil || again.String() != text {
			t.Fatalf("%q: sent\n%sunderstood (%v)\n%s", args, text, err, &again)
		}
	})
}
