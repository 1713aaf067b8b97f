package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"vpn/tunnel"
)

var testEndpoint = netip.MustParseAddrPort("127.0.0.1:51820")

// TestWhole is a whole run, as a person sees it. It takes its 25 s.
func TestWhole(t *testing.T) {
	t.Parallel()
	var out, complaints bytes.Buffer
	if err := Run(t.Context(), Options{Out: &out, Errors: &complaints}); err != nil {
		t.Errorf("%v\n%s", err, out.String())
	}
	text := out.String()
	if !strings.HasSuffix(text, "\ndemo: ok\n") {
		t.Errorf("it does not end well:\n%s", text)
	}
	for _, want := range []string{"#vpn: RekeyAfterPackets = 2000", "first handshake", "new keys: ", "replaced after ", "The SHA-256 of what arrived is the file's own"} {
		if !strings.Contains(text, want) {
			t.Errorf("nothing is said of %q:\n%s", want, text)
		}
	}
	if complaints.Len() > 0 {
		t.Errorf("the engines complain: %s", complaints.String())
	}
	checkWidth(t, text)
}

// TestNamespaces is a whole run on real devices, with as many queues and sockets as
// there are on many processors; without root, it is that it says so.
func TestNamespaces(t *testing.T) {
	t.Parallel()
	before := runtime.GOMAXPROCS(2 * tunnel.MaxLines)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
	var out bytes.Buffer
	err := Run(t.Context(), Options{Out: &out, Errors: t.Output(), JSON: true, Namespaces: true})
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		if err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "--netns") || out.Len() > 0 {
			t.Errorf("%v, %q; want one line about --netns", err, out.String())
		}
		t.Log("the run itself needs root, for network namespaces")
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	var r Report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	if !r.OK || !r.Match || r.Rekeys < 3 || r.Handshakes != r.Rekeys+1 || len(r.Sessions) != r.Handshakes || r.Bytes < 24<<20 || r.Mbps <= 0 {
		t.Errorf("not as it should be: %s", out.String())
	}
}

// cue is a writer that calls do once, when it is first given text that has words
// in it.
type cue struct {
	words string
	do    func()
	once  sync.Once
}

func (c *cue) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte(c.words)) {
		c.once.Do(c.do)
	}
	return len(b), nil
}

// TestNothingIsLeft ends runs at several points, and looks into the folder for
// temporary files.
func TestNothingIsLeft(t *testing.T) {
	for _, words := range []string{"Two complete", "RekeyAfterPackets", "GET http", "first handshake"} {
		folder := t.TempDir()
		t.Setenv("TMPDIR", folder)
		ctx, cancel := context.WithCancel(t.Context())
		err := Run(ctx, Options{Out: &cue{words: words, do: cancel}, Errors: t.Output()})
		cancel()
		if err == nil || !strings.HasPrefix(err.Error(), "interrupted") {
			t.Errorf("interrupted at %q: %v", words, err)
		}
		checkEmpty(t, folder)
	}
}

func checkEmpty(t *testing.T, folder string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Errorf("%s stays", e.Name())
	}
}

// TestTooSlow gives a run no time for its changes of keys: it fails, and leaves
// nothing.
func TestTooSlow(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	p := wholePlan
	p.bound = time.Nanosecond
	var out bytes.Buffer
	if err := run(t.Context(), Options{Out: &out, Errors: t.Output()}, p); !errors.Is(err, errTooSlow) {
		t.Errorf("%v, want %v", err, errTooSlow)
	}
	if strings.Contains(out.String(), "demo: ok") {
		t.Errorf("it ends well:\n%s", out.String())
	}
	checkEmpty(t, folder)
}
