//go:build linux

package installtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vpn/cmd/internal/testnet"
)

var (
	scripts string // the folder
	built   string // the program as scripts/install builds it
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	defer testnet.Clean()
	dir, err := os.MkdirTemp("", "vpn-installtest-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	built = filepath.Join(dir, "bin", "vpn")
	if scripts, err = filepath.Abs("../../../scripts"); err != nil {
		panic(err)
	}
	if text, err := exec.Command(scripts+"/install", "--prefix", dir).CombinedOutput(); err != nil {
		panic(string(text))
	}
	return m.Run()
}

// install runs scripts/install, and returns what it prints and whether it
// succeeds.
func install(t *testing.T, args ...string) (string, bool) {
	t.Helper()
	text, err := exec.Command(scripts+"/install", args...).CombinedOutput()
	return string(text), err == nil
}

func mustInstall(t *testing.T, args ...string) string {
	t.Helper()
	text, ok := install(t, args...)
	if !ok {
		t.Fatal(text)
	}
	return text
}

// listing is a folder's files, each with its mode.
func listing(t *testing.T, dir string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			list = append(list, strings.TrimPrefix(path, dir+"/")+" "+info.Mode().String())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// installed lists what there is after an installation.
func installed(t *testing.T) []string {
	t.Helper()
	pages, err := filepath.Glob(scripts + "/man/*")
	if err != nil || len(pages) == 0 {
		t.Fatalf("no manual pages: %v", err)
	}
	list := slices.Clone(always)
	for _, page := range pages {
		list = append(list, "share/man/man"+page[len(page)-1:]+"/"+filepath.Base(page)+" -rw-r--r--")
	}
	slices.Sort(list)
	return list
}

var always = []string{
	"bin/vpn -rwxr-xr-x",
	"lib/systemd/networkd.conf.d/50-vpn.conf -rw-r--r--",
	"lib/systemd/system/vpn-killswitch@.service -rw-r--r--",
	"lib/systemd/system/vpn-metrics.service -rw-r--r--",
	"lib/systemd/system/vpn.target -rw-r--r--",
	"lib/systemd/system/vpn@.service -rw-r--r--",
	"lib/udev/rules.d/85-vpn.rules -rw-r--r--",
	"share/bash-completion/completions/vpn -rw-r--r--",
	"share/fish/vendor_completions.d/vpn.fish -rw-r--r--",
	"share/zsh/site-functions/_vpn -rw-r--r--",
}

func TestInstallAndUninstall(t *testing.T) {
	prefix := filepath.Join(t.TempDir(), "pre-fix")
	installed := installed(t)
	said := mustInstall(t, "--prefix", prefix, "--binary", built)
	for _, file := range installed {
		name, _, _ := strings.Cut(file, " ")
		if !strings.Contains(said, "wrote "+prefix+"/"+name+"\n") {
			t.Errorf("%s is not told of:\n%s", name, said)
		}
	}
	got := listing(t, prefix)
	slices.Sort(got) // as whole lines
	if !slices.Equal(got, installed) {
		t.Errorf("installed are\n%s", strings.Join(got, "\n"))
	}
	if again := mustInstall(t, "--prefix", prefix, "--binary", built); again != said || len(listing(t, prefix)) != len(installed) {
		t.Errorf("installed again:\n%s", again)
	}
	if text, err := exec.Command(prefix+"/bin/vpn", "version").Output(); err != nil {
		t.Errorf("%s, %v", text, err)
	}
	// The pages are found where pages are looked for.
	man := exec.Command("mman", "-w", "vpn", "vpn-peer-add", "vpn.conf")
	man.Env = append(os.Environ(), "MANPATH="+prefix+"/share/man")
	if text, err := man.Output(); err != nil || strings.Count(string(text), prefix) != 3 {
		t.Errorf("man finds %s, %v", text, err)
	}
	for _, unit := range []string{"vpn@.service", "vpn-killswitch@.service", "vpn-metrics.service"} {
		text, err := os.ReadFile(prefix + "/lib/systemd/system/" + unit)
		if err != nil || !strings.Contains(string(text), "\nExecStart="+prefix+"/bin/vpn ") || strings.Contains(string(text), "/usr/local") {
			t.Errorf("%v, %s:\n%s", err, unit, text)
		}
	}

	foreign := filepath.Join(prefix, "lib", "foreign")
	if err := os.WriteFile(foreign, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	said = mustInstall(t, "--prefix", prefix, "--uninstall")
	if got := listing(t, prefix); !slices.Equal(got, []string{"lib/foreign -rw-------"}) || strings.Count(said, "rm -f ") != len(installed) {
		t.Errorf("uninstalled, there are %v:\n%s", got, said)
	}
	if _, err := os.Stat(prefix + "/share"); err == nil {
		t.Error("empty folders are left")
	}
	if said := mustInstall(t, "--prefix", prefix, "--uninstall"); said != "" {
		t.Errorf("uninstalled again: %s", said)
	}
}

func TestTheProgramIsStatic(t *testing.T) {
	text, err := exec.Command("go", "version", "-m", built).Output()
	if err != nil || !strings.Contains(string(text), "CGO_ENABLED=0") {
		t.Errorf("%v:\n%s", err, text)
	}
}

func TestInstallRefuses(t *testing.T) {
	prefix := t.TempDir()
	other := filepath.Join(t.TempDir(), "other")
	if err := os.Symlink(built, other); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(t.TempDir(), "vpn")
	if err := os.Symlink("/bin/false", broken); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--prefix"}, "error: --prefix has no value\nhint: see --help\n"},
		{[]string{"--prefix", prefix + "/a b"}, "error: units can't name the folder " + prefix + "/a b\nhint: choose one of letters, digits, and / . _ + -\n"},
		{[]string{"anything"}, "error: unexpected argument anything\nhint: see --help\n"},
		{[]string{"--prefix", prefix, "--binary", broken}, "error: " + broken + " does not run here\nhint: build it for this system\n"},
		{[]string{"--prefix", prefix, "--binary", other}, "error: " + other + " is not called vpn\nhint: under another name the program is another\n"},
	} {
		text, ok := install(t, c.args...)
		if ok || text != c.want {
			t.Errorf("%v: %v, %s", c.args, ok, text)
		}
	}
	if got := listing(t, prefix); len(got) > 0 {
		t.Errorf("installed all the same: %v", got)
	}
}
