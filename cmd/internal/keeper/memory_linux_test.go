package keeper_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"

	"vpn/cmd/internal/testnet"
)

// copies counts what a process has in its memory of a secret, in the three forms
// that keys have.
func copies(t *testing.T, pid int, inHex string) int {
	t.Helper()
	raw, err := hex.DecodeString(inHex)
	if err != nil {
		t.Fatal(err)
	}
	// The middle: keys are clamped at their ends.
	forms := [][]byte{raw[4:28], []byte(base64.StdEncoding.EncodeToString(raw))[8:40], []byte(inHex)[8:56]}
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	n, seen := 0, 0
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		var mode string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode); err != nil || !strings.HasPrefix(mode, "rw") {
			continue
		}
		b := make([]byte, to-from)
		got, _ := mem.ReadAt(b, from) // what can't be read is no memory of the program's
		seen += got
		for _, form := range forms {
			n += bytes.Count(b[:got], form)
		}
	}
	if seen == 0 {
		t.Fatal("nothing can be read")
	}
	return n
}

// TestKeeperForgetsKeys looks for keys in the keeper's memory when the engine has
// them: after up, and after a reload that brings another.
func TestKeeperForgetsKeys(t *testing.T) {
	w := newWorld(t)
	psk := testnet.NewKey().Private
	w.a.write(w.a.config(w.b, "", "PresharedKey = "+base64Of(psk)))
	w.a.do("up", "wg0")
	look := func(when string, secrets ...string) {
		t.Helper()
		for i, secret := range secrets {
			if n := copies(t, w.a.pid(), secret); n > 0 {
				t.Errorf("%s: the keeper has %d copies of key %d", when, n, i)
			}
		}
	}
	look("up", w.a.key.Private, psk)
	if copies(t, w.a.engine(), w.a.key.Private) == 0 {
		t.Error("the engine's key isn't found either: the search is wrong")
	}
	old := w.a.key.Private
	w.a.key = testnet.NewKey()
	w.a.write(w.a.config(w.b, "", "PresharedKey = "+base64Of(psk)))
	w.a.do("reload", "wg0")
	look("reloaded", old, w.a.key.Private, psk)
	w.a.do("down", "wg0")
}
