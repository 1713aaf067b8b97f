//go:build linux

package installtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// most is the exposure that services which stay may have, in tenths.
const most = "20"

func TestExposure(t *testing.T) {
	prefix := filepath.Join(t.TempDir(), "p")
	mustInstall(t, "--prefix", prefix, "--binary", built)
	for _, unit := range []string{instance(t, prefix, "vpn@", "x"), prefix + "/lib/systemd/system/vpn-metrics.service"} {
		text, err := exec.Command("systemd-analyze", "security", "--offline=yes", "--no-pager", "--threshold="+most, unit).CombinedOutput()
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		t.Log(lines[len(lines)-1])
		if err != nil || !strings.Contains(string(text), "Overall exposure level") {
			t.Errorf("%v:\n%s", err, text)
		}
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
		prefix+"/lib/systemd/system/vpn.target", prefix+"/lib/systemd/system/vpn-metrics.service")
	if text, err := verify.CombinedOutput(); err != nil || len(text) > 0 {
		t.Errorf("%v:\n%s", err, text)
	}
}

// TestUnitSays holds what the unit promises to others and to a person who reads it:
// none of it fails anywhere else if it is missing.
func TestUnitSays(t *testing.T) {
	prefix := filepath.Join(t.TempDir(), "p")
	mustInstall(t, "--prefix", prefix, "--binary", built)
	said := map[string][]string{}
	text, err := os.ReadFile(prefix + "/lib/systemd/system/vpn@.service")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if key, value, is := strings.Cut(strings.TrimSpace(line), "="); is && !strings.HasPrefix(line, "#") {
			said[key] = append(said[key], strings.Fields(value)...)
		}
	}
	for key, want := range map[string]string{
		"Type": "notify", "Conflicts": "wg-quick@%i.service", "After": "wg-quick@%i.service network-online.target nss-lookup.target",
		"Wants": "network-online.target nss-lookup.target", "PartOf": "vpn.target", "Before": "vpn.target", "Restart": "on-failure",
		"RestartSec": "2", "StartLimitIntervalSec": "0", "RuntimeDirectoryPreserve": "yes", "RestartPreventExitStatus": "78",
	} {
		for _, value := range strings.Fields(want) {
			if !slices.Contains(said[key], value) {
				t.Errorf("%s is %v, without %s", key, said[key], value)
			}
		}
	}
}
