package demo

import (
	"bytes"
	"crypto/sha256"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"vpn/tunnel"
)

func TestPacer(t *testing.T) {
	begin := time.Unix(1700000000, 0)
	now := begin
	p := pacer{rate: 1000}
	var sent int
	for range 100 { // 100 bytes in 0.1 s each, and what may be caught up at first
		now = now.Add(p.wait(now, 100))
		sent += 100
	}
	if got, want := now.Sub(begin), 10*time.Second-100*time.Millisecond-longestLag; got != want {
		t.Errorf("%d bytes took %v, want %v", sent, got, want)
	}

	// Who was held up for long goes on at the same rate, with no more than longestLag made up.
	now = now.Add(time.Hour)
	held := now
	for range 100 {
		now = now.Add(p.wait(now, 100))
	}
	if got, want := now.Sub(held), 10*time.Second-100*time.Millisecond-longestLag; got != want {
		t.Errorf("after a pause the same took %v, want %v", got, want)
	}
}

func TestOrder(t *testing.T) {
	tests := []struct {
		numbers []uint64
		want    order
	}{
		{nil, order{}},
		{[]uint64{1, 2, 3}, order{last: 3, count: 3}},
		{[]uint64{1, 3}, order{last: 3, count: 2}},
		{[]uint64{1, 3, 2, 4}, order{last: 4, count: 4, late: 1}},
		{[]uint64{1, 2, 2}, order{last: 2, count: 3, late: 1}},
	}
	for _, test := range tests {
		var o order
		for _, n := range test.numbers {
			o.see(n)
		}
		if o != test.want {
			t.Errorf("%v: %+v, want %+v", test.numbers, o, test.want)
		}
	}
}

// TestEventQueueNeverBlocks would hang if it did.
func TestEventQueueNeverBlocks(t *testing.T) {
	q := newEventQueue()
	for range eventQueueLen + 3 {
		q.add(tunnel.Event{})
	}
	if lost := q.lost.Load(); lost != 3 {
		t.Errorf("%d events lost, want 3", lost)
	}
}

func TestConfigFiles(t *testing.T) {
	ids, err := newIdentities()
	if err != nil {
		t.Fatal(err)
	}
	defer ids.erase()
	folder := t.TempDir()
	c := ids.clientConf(testEndpoint, 1234)
	secrets := []string{ids.client.Base64(), ids.preshared.Base64()}
	f, err := writeConfig(folder, clientName, c)
	if err != nil {
		t.Fatal(err)
	}
	if !c.Interface.PrivateKey.Value.IsZero() || !c.Peers[0].Preshared.Value.IsZero() {
		t.Error("the keys that were written are not erased")
	}
	if info, err := os.Stat(f.path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	text, err := os.ReadFile(f.path)
	if err != nil {
		t.Fatal(err)
	}
	shown := strings.Join(f.shown, "\n")
	for _, secret := range secrets {
		if !bytes.Contains(text, []byte(secret)) {
			t.Error("a key is missing in the file")
		}
		if strings.Contains(shown, secret) {
			t.Error("a key is shown")
		}
	}
	if n := strings.Count(shown, hidden); n != len(secrets) {
		t.Errorf("%d keys are hidden, want %d", n, len(secrets))
	}
	for _, want := range []string{"#vpn: RekeyAfterPackets = 1234", "#vpn: Name = server", "Endpoint = 127.0.0.1:51820", "Address = 10.77.0.2/24"} {
		if !strings.Contains(shown, want+"\n") && !strings.HasSuffix(shown, want) {
			t.Errorf("no line %q in\n%s", want, shown)
		}
	}

	addrs, u, err := f.read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer u.Erase()
	if len(addrs) != 1 || addrs[0].Addr() != clientAddr {
		t.Errorf("addresses %v, want %v", addrs, clientAddr)
	}
	if *u.RekeyAfterPackets != 1234 || u.Peers[0].Endpoint != testEndpoint || !u.Peers[0].Preshared.Equal(&ids.preshared) {
		t.Errorf("the file was read back as %+v", u)
	}
}

func TestFileIsWhatItsChecksumSays(t *testing.T) {
	f, err := newFile(t.TempDir(), 1<<20+7)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	text, err := io.ReadAll(f.section())
	if err != nil || len(text) != 1<<20+7 || sha256.Sum256(text) != f.sum {
		t.Errorf("%d bytes, %v, and another checksum", len(text), err)
	}
	if filepath.Base(f.Name()) != "file" {
		t.Errorf("the file is called %s", f.Name())
	}
}
