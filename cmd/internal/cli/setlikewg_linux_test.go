package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	peerA = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
	peerB = "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0="
)

// likewise gives two interfaces that are alike the same change, one with wg and
// one with vpn, and checks that they are alike after it.
func likewise(t *testing.T, command string, args ...string) {
	t.Helper()
	byWg, byVpn := serve(t, "bywg", edges(t, start)), serve(t, "byvpn", edges(t, start))
	env := []string{"WG_ENDPOINT_RESOLUTION_RETRIES=0"}
	_, wantOK := run(t, env, "wg", append([]string{command, "bywg"}, args...)...)
	_, ok := run(t, env, "vpn", append([]string{command, "byvpn"}, args...)...)
	if ok != wantOK {
		t.Errorf("vpn ends well: %v, wg: %v", ok, wantOK)
	}
	if !ok && byVpn.Sets() != 0 {
		t.Error("vpn changed something before it found an error")
	}
	if wantOK != (byWg.Sets() == 1) {
		t.Errorf("wg ends well: %v, and has made %d changes", wantOK, byWg.Sets())
	}
	want, _ := run(t, nil, "wg", "show", "bywg", "dump")
	got, _ := run(t, nil, "wg", "show", "byvpn", "dump")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-wg +vpn):\n%s", diff)
	}
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSetIsLikeWg(t *testing.T) {
	if !isolated(t) {
		return
	}
	keyFile := write(t, "key", "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\n \n")
	badKey := write(t, "bad", "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=x")
	known := edges(t, start).Peers[0].PublicKey.String()
	for _, args := range []string{
		"listen-port 5", "listen-port 0", "listen-port 007", "listen-port x", "listen-port 5 listen-port 6", "listen-port", "listen-port -1",
		"fwmark off", "fwmark 0", "fwmark OFF", "fwmark 0xFF", "fwmark 4294967295", "fwmark 4294967296", "fwmark 0x1g", "fwmark -1",
		"private-key KEY", "private-key /dev/null", "private-key BAD", "private-key /no/such/file",
		"", "remove", "listen_port 5", "LISTEN-PORT 5", "allowed-ips 10.0.0.0/8", "peer",
		"peer A", "peer A remove", "peer KNOWN remove", "peer KNOWN remove peer A", "peer xxx", "peer A peer B remove",
		"peer A listen-port 5", "peer A private-key KEY", "peer A remove remove",
		"peer A preshared-key KEY", "peer A preshared-key /dev/null", "peer A preshared-key BAD",
		"peer KNOWN persistent-keepalive off", "peer KNOWN persistent-keepalive 65535", "peer KNOWN persistent-keepalive 65536", "peer A persistent-keepalive x",
		"peer A endpoint 192.0.2.1:5", "peer A endpoint [2001:db8::1]:5", "peer A endpoint 2001:db8::1:5", "peer A endpoint [fe80::1%lo]:5",
		"peer A endpoint 192.0.2.1", "peer A endpoint [2001:db8::1:5", "peer A endpoint :5", "peer A endpoint 192.0.2.1:", "peer A endpoint localhost:5",
		"peer A endpoint no-such-name.invalid:5", "peer A endpoint 192.0.2.1:http",
		"peer A allowed-ips 10.9.0.0/16,fd00::/64,192.0.2.9", "peer A allowed-ips 10.0.0.0/8", "peer KNOWN allowed-ips EMPTY", "peer KNOWN allowed-ips 10.9.0.0/16",
		"peer A allowed-ips 10.0.0.0/33", "peer A allowed-ips ::/129", "peer A allowed-ips 10.0.0.0/", "peer A allowed-ips 10.0.0.0/8,", "peer A allowed-ips x",
		"peer A allowed-ips 010.0.0.0/8", "peer A allowed-ips 10.9.0.0/16 allowed-ips 10.8.0.0/16", "peer A allowed-ips ::ffff:10.0.0.0/104",
		"peer A allowed-ips 10.9.0.0/16 peer B allowed-ips 10.9.0.0/16", "listen-port 5 fwmark 6 peer A persistent-keepalive 7 allowed-ips fd01::/16 peer B",
	} {
		t.Run(args, func(t *testing.T) {
			var words []string
			for word := range strings.FieldsSeq(args) {
				switch word {
				case "KEY":
					word = keyFile
				case "BAD":
					word = badKey
				case "A":
					word = peerA
				case "B":
					word = peerB
				case "KNOWN":
					word = known
				case "EMPTY":
					word = ""
				}
				words = append(words, word)
			}
			likewise(t, "set", words...)
		})
	}
}

func TestConfIsLikeWg(t *testing.T) {
	if !isolated(t) {
		return
	}
	known := edges(t, start).Peers
	for name, text := range map[string]string{
		"empty":     "",
		"interface": "[Interface]\n",
		"all": "[Interface]\nPrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\nListenPort = 7\nFwMark = 0x10\n" +
			"[Peer]\nPublicKey = " + peerA + "\nPresharedKey = CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=\nAllowedIPs = 10.9.0.0/16, fd00::/8\nAllowedIPs = 192.0.2.1\n" +
			"Endpoint = [2001:db8::1]:7\nPersistentKeepalive = 25\n",
		"spelling": "# a comment\r\n[interface]\r\n listenport=7 # another\r\n\r\n[PEER]\r\npublickey=" + peerA + "\r\nallowedips=10.9.0.0/16,10.8.0.0/16\r\npersistentkeepalive=off\r\n",
		"known": "[Interface]\nListenPort = 7\n[Peer]\nPublicKey = " + known[0].PublicKey.String() + "\nAllowedIPs = 10.9.0.0/16\n" +
			"[Peer]\nPublicKey = " + known[1].PublicKey.String() + "\nAllowedIPs = 10.0.0.0/8\n",
		"twice":       "[Interface]\nListenPort = 7\n[Peer]\nPublicKey = " + peerA + "\nAllowedIPs = 10.9.0.0/16\nPersistentKeepalive = 3\n[Peer]\nPublicKey = " + peerA + "\nAllowedIPs = 10.8.0.0/16\n",
		"no key":      "[Peer]\nAllowedIPs = 10.9.0.0/16\n",
		"bad prefix":  "[Peer]\nPublicKey = " + peerA + "\nAllowedIPs = 10.9.0.0/99\n",
		"bad key":     "[Interface]\nPrivateKey = xyz\n",
		"wg-quick's":  "[Interface]\nAddress = 10.0.0.1/8\n",
		"no section":  "ListenPort = 7\n",
		"other field": "[Interface]\nColour = red\n",
	} {
		path := write(t, "wg.conf", text)
		for _, command := range []string{"setconf", "addconf"} {
			t.Run(command+" "+name, func(t *testing.T) { likewise(t, command, path) })
		}
	}
}

// TestSyncconfIsLikeWg leaves the port to the file: wg takes another one where
// the file gives none.
func TestSyncconfIsLikeWg(t *testing.T) {
	if !isolated(t) {
		return
	}
	serve(t, "same", edges(t, start))
	shown, _ := run(t, nil, "wg", "showconf", "same")
	for name, text := range map[string]string{
		"nothing":    shown,
		"everything": "[Interface]\nListenPort = 51820\n",
		"a peer":     shown + "[Peer]\nPublicKey = " + peerA + "\nAllowedIPs = 10.9.0.0/16\n",
		"a value":    strings.Replace(shown, "PersistentKeepalive = 25", "PersistentKeepalive = 26", 1),
	} {
		path := write(t, "wg.conf", text)
		t.Run(name, func(t *testing.T) {
			byWg, byVpn := serve(t, "bywg", edges(t, start)), serve(t, "byvpn", edges(t, start))
			_, wantOK := run(t, nil, "wg", "syncconf", "bywg", path)
			_, ok := run(t, nil, "vpn", "syncconf", "byvpn", path)
			if !ok || !wantOK {
				t.Fatalf("vpn ends well: %v, wg: %v", ok, wantOK)
			}
			sets := 1
			if name == "nothing" {
				sets = 0
			}
			if byVpn.Sets() != sets || byWg.Sets() != 1 {
				t.Errorf("vpn made %d changes, wg %d", byVpn.Sets(), byWg.Sets())
			}
			want, got := sorted(run(t, nil, "wg", "show", "bywg", "dump")), sorted(run(t, nil, "wg", "show", "byvpn", "dump"))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-wg +vpn):\n%s", diff)
			}
		})
	}
}

// sorted is a dump without the order of peers, and of the prefixes of each.
func sorted(dump string, _ bool) []string {
	lines := strings.Split(dump, "\n")
	for i, line := range lines {
		f := strings.Split(line, "\t")
		if len(f) == 8 {
			ips := strings.Split(f[3], ",")
			slices.Sort(ips)
			f[3] = strings.Join(ips, ",")
		}
		lines[i] = strings.Join(f, "\t")
	}
	slices.Sort(lines)
	return lines
}
