package aead

import (
	"os"
	"os/exec"
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
