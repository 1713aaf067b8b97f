//go:build linux

package installtest

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// most is the exposure that vpn@.service may have, in tenths.
const most = "20"

func TestExposure(t *testing.T) {
	prefix := filepath.Join(t.TempDir(), "p")
	mustInstall(t, "--prefix", prefix, "--binary", built)
	unit := instance(t, prefix, "vpn@", "x")
	text, err := exec.Command("systemd-analyze", "security", "--offline=yes", "--no-pager", "--threshold="+most, unit).CombinedOutput()
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	t.Log(lines[len(lines)-1])
	if err != nil || !strings.Contains(string(text), "Overall exposure level") {
		t.Errorf("%v:\n%s", err, text)
	}
}

// instance makes a file of an instance, for programs that know no templates.
func instance(t *testing.T, prefix, template, name string) string {
	t.Helper()
	units := prefix + "/lib/systemd/system/"
	path := units + template + name + ".service"
	if text, err := exec.Command("cp", units+template+".service", path).CombinedOutput(); err != nil {
		t.Fatal(string(text))
	}
	return path
}

func TestUnitsAreWellFormed(t *testing.T) {
	prefix := filepath.Join(t.TempDir(), "p")
	mustInstall(t, "--prefix", prefix, "--binary", built)
	verify := exec.Command("systemd-analyze", "verify", "--recursive-errors=no", instance(t, prefix, "vpn@", "x"), instance(t, prefix, "vpn-killswitch@", "x"),
		prefix+"/lib/systemd/system/vpn.target")
	if text, err := verify.CombinedOutput(); err != nil || len(text) > 0 {
		t.Errorf("%v:\n%s", err, text)
	}
}
