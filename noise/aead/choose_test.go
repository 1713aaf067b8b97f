package aead

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

func TestChoose(t *testing.T) {
	fast, slow := &vector{name: "fast"}, &vector{name: "slow"}
	both := []*vector{fast, slow}
	for _, c := range []struct {
		name string
		has  []*vector
		want *vector
	}{{"", both, fast}, {"", nil, nil}, {"fast", both, fast}, {"slow", both, slow}, {generic, both, nil}, {generic, nil, nil}} {
		if got, err := choose(c.name, c.has); got != c.want || err != nil {
			t.Errorf("%q of %d: got %v, %v", c.name, len(c.has), got, err)
		}
	}
	for _, has := range [][]*vector{both, nil} {
		if _, err := choose("other", has); err == nil || !strings.Contains(err.Error(), selector+"=other") || !strings.Contains(err.Error(), generic) {
			t.Errorf("a name that there is not: %v", err)
		}
	}
}

// TestEveryExtensionIsAskedFor holds what the assembly has instructions of, which its generator writes there, against what choosing it
// asks the processor for.
func TestEveryExtensionIsAskedFor(t *testing.T) {
	read := func(name string) string {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	has := map[string]bool{"AVX": true, "CMOV": true} // every processor with AVX2
	for _, m := range regexp.MustCompile(`x\.Has(\w+)`).FindAllStringSubmatch(read("choose_amd64.go"), -1) {
		has[m[1]] = true
	}
	for _, name := range []string{"avx2", "avx512"} {
		lines := regexp.MustCompile(`(?m)^// Requires: (.*)$`).FindAllStringSubmatch(read(name+"_amd64.s"), -1)
		if len(lines) == 0 {
			t.Errorf("%s: nothing is required", name)
		}
		for _, line := range lines {
			for extension := range strings.SplitSeq(line[1], ", ") {
				if !has[extension] || name == "avx2" && strings.HasPrefix(extension, "AVX512") {
					t.Errorf("%s: nobody asks for %s", name, extension)
				}
			}
		}
	}
}

// TestSelector starts this program again with each name in the environment.
func TestSelector(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run := func(name string) (string, error) {
		c := exec.Command(program, "-test.run=^TestChosen$", "-test.v")
		c.Env = append(os.Environ(), selector+"="+name)
		out, err := c.CombinedOutput()
		return string(out), err
	}
	for _, v := range append(vectors(), nil) {
		if out, err := run(nameOf(v)); err != nil || !strings.Contains(out, "chosen: "+nameOf(v)+"\n") {
			t.Errorf("%s: %v\n%s", nameOf(v), err, out)
		}
	}
	if out, err := run("none"); err == nil || !strings.Contains(out, selector+"=none: this machine has") {
		t.Errorf("an unknown name: %v\n%s", err, out)
	}
}

// TestChosen says what the program has chosen, and seals with it.
func TestChosen(t *testing.T) {
	checkOne(t, chosen, newChance(6), 1420, 0)
	t.Logf("chosen: %s", nameOf(chosen))
}
