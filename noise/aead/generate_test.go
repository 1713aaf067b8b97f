package aead

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestGenerated runs each go:generate line of the package with its output elsewhere, and holds what comes out against what is committed.
func TestGenerated(t *testing.T) {
	text, err := os.ReadFile("aead.go")
	if err != nil {
		t.Fatal(err)
	}
	lines := regexp.MustCompile(`(?m)^//go:generate (.*)$`).FindAllSubmatch(text, -1)
	written := map[string]bool{}
	for _, line := range lines {
		words := strings.Fields(string(line[1]))
		var name, out string
		for i := range words {
			if i > 0 && words[i-1] == "-out" {
				name = filepath.Base(words[i])
				out = filepath.Join(t.TempDir(), name)
				words[i] = out
			}
		}
		if b, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line[1], err, b)
		}
		got, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		// The first line names the command, and so the place of its output.
		got = bytes.Replace(got, []byte(out), []byte("../../"+name), 1)
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what its generator writes: run go generate", name)
		}
		written[name] = true
	}
	committed, err := filepath.Glob("*.s")
	if err != nil || len(committed) == 0 {
		t.Fatalf("no assembly found: %v", err)
	}
	for _, name := range committed {
		if !written[name] {
			t.Errorf("%s: no go:generate line writes it", name)
		}
	}
}
