package firewall

import (
	"encoding/json"
	"net/netip"
	"os"
	"os/exec"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// isolated runs f on a thread of its own, which has a network namespace of its own.
func isolated(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, for network namespaces")
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		defer func() { done <- err }()
		if err == nil {
			f()
		}
	}()
	if err := <-done; err != nil {
		t.Fatalf("new network namespace: %v", err)
	}
}

// run runs a shell command in the thread's namespace.
func run(t *testing.T, command string) string {
	t.Helper()
	output, err := exec.Command("sh", "-c", command).CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", command, err, output)
	}
	return string(output)
}

var rulesets = map[string]Ruleset{
	"full tunnel": FullTunnel{Link: "wg0", Mark: 51820, Addrs: []netip.Addr{
		netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("fd00::2"), netip.MustParseAddr("10.0.1.2"),
	}},
	"full tunnel, IPv6": FullTunnel{Link: "wg0", Six: true, Mark: 0xca6c, Addrs: []netip.Addr{
		netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("fd00::2"), netip.MustParseAddr("2001:db8::1"),
	}},
	"full tunnel without addresses": FullTunnel{Link: "wg0", Mark: 1},
	"kill switch": KillSwitch{Link: "wg0", Mark: 51820, Allow: []netip.Prefix{
		netip.MustParsePrefix("192.168.1.0/24"), netip.MustParsePrefix("192.168.9.8/29"), netip.MustParsePrefix("203.0.113.7/32"),
		netip.MustParsePrefix("10.11.12.13/9"), netip.MustParsePrefix("2001:db8::/33"), netip.MustParsePrefix("fd00::5/128"),
		netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0"), netip.MustParsePrefix("128.0.0.0/1"), netip.MustParsePrefix("fc00::/7"),
	}},
	"kill switch before the mark is known": KillSwitch{Link: "a-long-name-15c"},
	"masquerade":                           Masquerade{Link: "wg0", Out: "eth0"},
}

// TestLikeNft holds what is loaded against what nft makes of the command that is
// printed for it: the text that it lists, and the kernel's own expressions.
func TestLikeNft(t *testing.T) {
	// Handles are counted on by each change.
	const list = "nft list ruleset; nft --debug=netlink list ruleset | sed -E 's/^((ip|ip6|inet) [^ ]+ [^ ]+)( [0-9]+)+ *$/\\1/'"
	for name, r := range rulesets {
		t.Run(name, func(t *testing.T) {
			var ours, nfts string
			isolated(t, func() {
				if err := r.Load(); err != nil {
					t.Error(err)
				}
				ours = run(t, list)
			})
			isolated(t, func() {
				run(t, r.String())
				nfts = run(t, list)
			})
			if ours != nfts {
				t.Errorf("loaded:\n%s\nnft makes of %s\n%s", ours, r, nfts)
			}
			if !strings.Contains(ours, r.Table().String()) {
				t.Errorf("no table %s in\n%s", r.Table(), ours)
			}
		})
	}
}

// TestLikeWgQuick compares with the commands that wg-quick gives nft.
func TestLikeWgQuick(t *testing.T) {
	const wgQuick = `nft -f - <<'EOF'
add table ip6 wg-quick-wg0
add chain ip6 wg-quick-wg0 preraw { type filter hook prerouting priority -300; }
add chain ip6 wg-quick-wg0 premangle { type filter hook prerouting priority -150; }
add chain ip6 wg-quick-wg0 postmangle { type filter hook postrouting priority -150; }
add rule ip6 wg-quick-wg0 preraw iifname != "wg0" ip6 daddr fd00::2 fib saddr type != local drop
add rule ip6 wg-quick-wg0 preraw iifname != "wg0" ip6 daddr 2001:db8::1 fib saddr type != local drop
add rule ip6 wg-quick-wg0 postmangle meta l4proto udp mark 51820 ct mark set mark
add rule ip6 wg-quick-wg0 premangle meta l4proto udp meta mark set ct mark
EOF`
	var ours, theirs string
	isolated(t, func() {
		if err := rulesets["full tunnel, IPv6"].Load(); err != nil {
			t.Error(err)
		}
		ours = run(t, "nft list ruleset")
	})
	isolated(t, func() {
		run(t, wgQuick)
		theirs = run(t, "nft list ruleset")
	})
	if ours != theirs {
		t.Errorf("ours:\n%s\nwg-quick's:\n%s", ours, theirs)
	}
}

func TestLife(t *testing.T) {
	for name, r := range rulesets {
		t.Run(name, func(t *testing.T) {
			isolated(t, func() { life(t, r) })
		})
	}
}

// life loads a table, harms it in every way, and takes it away.
func life(t *testing.T, r Ruleset) {
	table := r.Table()
	look := func(when string, exists, intact bool) {
		t.Helper()
		if got, err := table.Exists(); err != nil || got != exists {
			t.Errorf("%s: exists %v, %v", when, got, err)
		}
		if got, err := r.Intact(); err != nil || got != intact {
			t.Errorf("%s: intact %v, %v", when, got, err)
		}
	}
	load := func(when string) {
		t.Helper()
		if err := r.Load(); err != nil {
			t.Errorf("%s: %v", when, err)
		}
		look(when, true, true)
	}
	run(t, "nft add table ip mine")
	look("at first", false, false)
	if err := table.Delete(); err != nil {
		t.Errorf("delete what is not there: %v", err)
	}
	load("loaded")
	load("loaded twice")
	chain := chainsOf(r)[0].name
	run(t, "nft flush table "+table.String())
	look("flushed", true, len(chainsOf(r)[0].rules) == 0 && len(chainsOf(r)) == 1)
	load("after the flush")
	run(t, "nft insert rule "+table.String()+" "+chain+" counter accept")
	look("with a rule more", true, false)
	load("after the rule")
	run(t, "nft add chain "+table.String()+" more")
	look("with a chain more", true, false)
	load("after the chain")
	run(t, "nft chain "+table.String()+" "+chain+" '{ policy "+map[bool]string{true: "accept", false: "drop"}[chainsOf(r)[0].policyDrop]+"; }'")
	look("with another policy", true, false)
	load("after the policy")
	run(t, "nft flush ruleset")
	look("all flushed", false, false)
	run(t, "nft add table ip mine")
	load("at last")
	if all, err := List(); err != nil || !reflect.DeepEqual(all, []Table{table}) {
		t.Errorf("ours are %v, %v, want %v alone", all, err, table)
	}
	run(t, table.DeleteCommand())
	look("deleted by its command", false, false)
	load("again")
	for range 2 {
		if err := table.Delete(); err != nil {
			t.Error(err)
		}
	}
	if left := run(t, "nft list ruleset"); strings.TrimSpace(left) != "table ip mine {\n}" {
		t.Errorf("left:\n%s", left)
	}
}

func chainsOf(r Ruleset) []chain { return r.(interface{ chains() []chain }).chains() }

// TestIntactSeesValues changes one value at a time.
func TestIntactSeesValues(t *testing.T) {
	full := FullTunnel{Link: "wg0", Mark: 5, Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.2")}}
	isolated(t, func() {
		if err := full.Load(); err != nil {
			t.Error(err)
		}
		for _, other := range []FullTunnel{
			{Link: "wg0", Mark: 6, Addrs: full.Addrs},
			{Link: "wg0", Mark: 5, Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.3")}},
			{Link: "wg0", Mark: 5},
		} {
			if is, err := other.Intact(); err != nil || is {
				t.Errorf("%+v: intact %v, %v, with %+v loaded", other, is, err, full)
			}
		}
	})
}

// TestManyAddresses loads more than one netlink buffer holds.
func TestManyAddresses(t *testing.T) {
	k := KillSwitch{Link: "wg0", Mark: 1}
	for i := range 3000 {
		k.Allow = append(k.Allow, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24))
	}
	isolated(t, func() {
		if err := k.Load(); err != nil {
			t.Error(err)
		}
		if is, err := k.Intact(); err != nil || !is {
			t.Errorf("intact %v, %v", is, err)
		}
	})
}

func TestJSON(t *testing.T) {
	for name, r := range rulesets {
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		again := reflect.New(reflect.TypeOf(r))
		if err := json.Unmarshal(text, again.Interface()); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got := again.Elem().Interface(); got.(Ruleset).String() != r.String() {
			t.Errorf("%s: %s comes back as %v", name, text, got)
		}
	}
}

func TestNames(t *testing.T) {
	for _, table := range Tables("wg0") {
		if link, ok := LinkOf(table); !ok || link != "wg0" {
			t.Errorf("%s is for %q, %v", table, link, ok)
		}
	}
	if link, ok := LinkOf(Table{"ip", "filter"}); ok {
		t.Errorf("somebody's table is for %q", link)
	}
}

// Tables go together, also where one of them is gone already.
func TestDeleteTogether(t *testing.T) {
	isolated(t, func() {
		four, six := FullTunnel{Link: "wg0", Mark: 5}, FullTunnel{Link: "wg0", Six: true, Mark: 5}
		for _, loaded := range [][]Ruleset{{four, six}, {six}, nil} {
			for _, r := range loaded {
				if err := r.Load(); err != nil {
					t.Fatal(err)
				}
			}
			if err := Delete(four.Table(), six.Table()); err != nil {
				t.Errorf("with %v loaded: %v", loaded, err)
			}
			if left, err := List(); err != nil || len(left) > 0 {
				t.Errorf("with %v loaded, left: %v, %v", loaded, left, err)
			}
		}
	})
}
