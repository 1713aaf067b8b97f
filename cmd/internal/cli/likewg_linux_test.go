package cli

import (
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"math"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"vpn/cmd/internal/show"
	"vpn/cmd/internal/uapitest"
	"vpn/noise/key"
	"vpn/tunnel/uapi"
)

// serve is an interface of that name until the test ends.
func serve(t *testing.T, name string, d uapi.Device) *uapitest.Interface {
	t.Helper()
	i := uapitest.New(d)
	answer(t, name, i)
	return i
}

func answer(t *testing.T, name string, b uapi.Backend) {
	t.Helper()
	l, err := uapi.Listen(name)
	if err != nil {
		t.Fatal(err)
	}
	s := uapi.NewServer(b, slog.New(slog.DiscardHandler))
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func privateKey(t *testing.T, fill byte) key.Private {
	t.Helper()
	k, err := key.PrivateFromBytes([]byte(strings.Repeat(string(rune(fill)), key.Size)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// A moving interface is always in the state that edges had at that second, so
// that wg and vpn tell the same times one after the other.
type moving struct{ t *testing.T }

func (m moving) Set(*uapi.Config) error { return uapi.EINVAL }

func (m moving) Get() (uapi.Device, iter.Seq[uapi.Peer]) {
	return uapitest.New(edges(m.t, time.Now().Truncate(time.Second))).Get()
}

// start is a time that all of a run agree on.
var start = time.Now()

// edges is a device with the values at which a form of output changes.
func edges(t *testing.T, now time.Time) uapi.Device {
	t.Helper()
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	const day = 24 * time.Hour
	preshared, err := key.ParsePreshared("CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=")
	if err != nil {
		t.Fatal(err)
	}
	prefixes := func(texts ...string) (ps []netip.Prefix) {
		for _, s := range texts {
			ps = append(ps, netip.MustParsePrefix(s))
		}
		return ps
	}
	endpoint := netip.MustParseAddrPort
	peers := []uapi.Peer{
		{Endpoint: endpoint("192.0.2.1:5"), LastHandshake: now, Rx: 1, Keepalive: 25,
			AllowedIPs: prefixes("10.0.0.0/8", "::/0", "0.0.0.0/0", "fe80::1/128")},
		{Endpoint: endpoint("[::192.0.2.4]:65535"), LastHandshake: ago(time.Second), Rx: 1024, Tx: 1023,
			AllowedIPs: prefixes("::ffff:192.0.2.4/128", "::192.0.2.4/128", "::5/128", "::5:0/112", "::1:0:0/96", "1::/16")},
		{Endpoint: endpoint("[fe80::1%1]:1"), LastHandshake: ago(time.Minute), Rx: 1 << 20, Tx: 1025, Keepalive: 1, Preshared: preshared},
		{Endpoint: endpoint("[fe80::1%lo]:1"), LastHandshake: ago(62 * time.Second), Rx: 1 << 30, Tx: 1<<20 - 1, Keepalive: math.MaxUint16},
		{LastHandshake: ago(time.Hour + time.Minute + time.Second), Rx: 1 << 50, Tx: 1 << 40},
		{Rx: 1 << 63, Tx: math.MaxUint64},
		{LastHandshake: now.Add(time.Hour), Tx: 10},
		{LastHandshake: ago(366*day + 2*time.Hour + time.Second)},
		{Rx: 7, Endpoint: endpoint("[2001:db8:0:0:1::1]:80")},
		{LastHandshake: ago(62*time.Second - time.Millisecond)},
		{LastHandshake: ago(365 * day)},
		{LastHandshake: ago(day), AllowedIPs: prefixes("2001:db8:0:1:1:1:1:1/128", "2001:0:0:1::/64")},
		{},
	}
	for n := range peers {
		peers[n].PublicKey = key.Public{byte(200 - n), byte(n)}
	}
	private := privateKey(t, 'H')
	return uapi.Device{PrivateKey: private, PublicKey: private.Public(), ListenPort: 51820, FwMark: 0xca6c, Peers: peers}
}

// run runs a program and returns what it prints and how it ends.
func run(t *testing.T, env []string, name string, args ...string) (stdout string, ok bool) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.Output()
	if _, ended := err.(*exec.ExitError); err != nil && !ended {
		t.Fatal(err)
	}
	return string(out), err == nil
}

// same checks that wg and vpn print the same and end the same way. A moving
// interface may move between its answer and the program's look at the clock: then
// both are asked again, so many times.
func same(t *testing.T, attempts int, env []string, args ...string) {
	t.Helper()
	var diff string
	for range attempts {
		want, wantOK := run(t, env, "wg", args...)
		got, ok := run(t, env, "vpn", args...)
		if diff = cmp.Diff(want, got); diff == "" && ok == wantOK {
			return
		}
		diff += fmt.Sprintf("vpn ends well: %v, wg: %v", ok, wantOK)
	}
	t.Errorf("%v %v: (-wg +vpn):\n%s", env, args, diff)
}

// inListingOrder returns names in the order to make them in, so that their
// directory lists them as they are given. Wg shows interfaces in the order of
// the directory, and vpn in that of their names.
func inListingOrder(t *testing.T, names []string) []string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil { // as the sockets' is
		t.Fatal(err)
	}
	defer unix.Unmount(dir, 0)
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	listed, err := f.Readdirnames(-1)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(listed, names) {
		slices.Reverse(names)
	}
	return names
}

func TestShowForScriptsIsLikeWg(t *testing.T) {
	if !isolated(t) {
		return
	}
	one := privateKey(t, 'a')
	devices := map[string]uapi.Device{
		"edges": edges(t, start),
		"empty": {},
		"one":   {PrivateKey: one, PublicKey: one.Public(), Peers: []uapi.Peer{{PublicKey: key.Public{1}}}},
	}
	for _, name := range inListingOrder(t, slices.Sorted(maps.Keys(devices))) {
		serve(t, name, devices[name])
	}
	for _, name := range []string{"edges", "empty", "one", "all", "none"} {
		for _, field := range show.Fields() {
			same(t, 1, nil, "show", name, field)
		}
		same(t, 1, nil, "showconf", name)
		same(t, 1, nil, "show", name, "no-field")
	}
	same(t, 1, nil, "show", "interfaces")
}

func TestShowForPeopleIsLikeWg(t *testing.T) {
	if !isolated(t) {
		return
	}
	for _, name := range inListingOrder(t, []string{"empty", "moving"}) {
		if name == "moving" {
			answer(t, name, moving{t})
		} else {
			serve(t, name, uapi.Device{})
		}
	}
	const attempts = 20
	for _, env := range [][]string{
		nil,
		{"WG_COLOR_MODE=always"},
		{"WG_COLOR_MODE=always", "NO_COLOR=1"},
		{"WG_COLOR_MODE=never"},
		{"WG_COLOR_MODE=auto"},
		{"WG_HIDE_KEYS=never"},
		{"WG_HIDE_KEYS=always"},
		{"WG_HIDE_KEYS=never", "WG_COLOR_MODE=always"},
	} {
		same(t, attempts, env, "show")
		same(t, attempts, env, "show", "all")
		same(t, attempts, env, "show", "moving")
		same(t, attempts, env, "show", "empty")
		same(t, attempts, env, "show", "none")
	}
}

// TestShowJSON compares with what wg's dump says, which is what wg-json makes
// its output of.
func TestShowJSON(t *testing.T) {
	if !isolated(t) {
		return
	}
	serve(t, "edges", edges(t, start))
	serve(t, "empty", uapi.Device{})
	dump, _ := run(t, nil, "wg", "show", "all", "dump")
	want := make(map[string]map[string]any)
	for line := range strings.Lines(dump) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		add := func(to map[string]any, name, value string, number bool) {
			switch {
			case value == "(none)" || value == "off" || value == "0":
			case number:
				n := json.Number(value)
				if strings.HasPrefix(value, "0x") {
					var mark uint32
					fmt.Sscanf(value, "0x%x", &mark)
					n = json.Number(fmt.Sprint(mark))
				}
				to[name] = n
			default:
				to[name] = value
			}
		}
		if len(f) == 5 {
			d := map[string]any{"peers": map[string]any{}}
			add(d, "privateKey", f[1], false)
			add(d, "publicKey", f[2], false)
			add(d, "listenPort", f[3], true)
			add(d, "fwmark", f[4], true)
			want[f[0]] = d
			continue
		}
		p := map[string]any{"allowedIps": []any{}}
		add(p, "presharedKey", f[2], false)
		add(p, "endpoint", f[3], false)
		if f[4] != "(none)" {
			for ip := range strings.SplitSeq(f[4], ",") {
				p["allowedIps"] = append(p["allowedIps"].([]any), ip)
			}
		}
		add(p, "latestHandshake", f[5], true)
		add(p, "transferRx", f[6], true)
		add(p, "transferTx", f[7], true)
		add(p, "persistentKeepalive", f[8], true)
		want[f[0]]["peers"].(map[string]any)[f[1]] = p
	}

	text, _ := run(t, nil, "vpn", "show", "--json")
	var got map[string]map[string]any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-wg +vpn):\n%s", diff)
	}
}
