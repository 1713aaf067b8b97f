package host

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestConnected(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tcp")
	text := `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 010200C0:0016 057100CB:D431 01 00000000:00000000 02:000A2D3F 00000000     0        0 2 4 0 20 4 31 10 -1
   2: 010200C0:0016 067100CB:D431 01 00000000:00000000 02:000A2D3F 00000000     0        0 3 4 0 20 4 31 10 -1
   3: 0000000000000000FFFF0000010200C0:0016 0000000000000000FFFF0000077100CB:D431 01 00000000:00000000 02:000A2D3F 00000000     0        0 2 4 0 20 4 31 10 -1
   4: B80D0120000000000000000001000000:0016 B80D0120000000000000000002000000:D431 01 00000000:00000000 02:000A2D3F 00000000     0        0 2 4 0 20 4 31 10 -1
   5: nonsense
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got := connected(file, map[string]bool{"1": true, "2": true})
	var want []netip.Addr
	for _, a := range []string{"203.0.113.5", "203.0.113.7", "2001:db8::2"} {
		want = append(want, netip.MustParseAddr(a))
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// What a dump tells is cut at every length: nothing is read past its end.
func TestParseCutMessages(t *testing.T) {
	route := append([]byte{2, 8, 0, 0, 254, 86, 0, 1, 0, 0, 0, 0}, 8, 0, 1, 0, 10, 0, 0, 0, 8, 0, 4, 0, 3, 0, 0, 0)
	rule := append([]byte{2, 0, 0, 0, 254, 0, 0, 1, 2, 0, 0, 0}, 8, 0, 6, 0, 9, 0, 0, 0, 8, 0, 10, 0, 7, 0, 0, 0)
	for n := range route {
		parseRoute(route[:n], func(int) string { return "" })
		parseRule(rule[:n])
	}
	if d, ok := parseRoute(route, func(i int) string { return map[int]string{3: "wg0"}[i] }); !ok || d.Prefix != prefix("10.0.0.0/8") || d.Link != "wg0" || d.Protocol != Protocol {
		t.Errorf("%+v, %v", d, ok)
	}
	if r, ok := parseRule(rule); !ok || !r.Not || r.Priority != 9 || r.Mark != 7 || r.Table != MainTable || r.Other {
		t.Errorf("%+v, %v", r, ok)
	}
}
