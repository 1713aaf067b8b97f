package house

import (
	"bytes"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// root is the module's folder, seen from this package's.
const root = "../../.."

// parse makes a source of a file's text.
func parse(pkg, name string, text []byte) (*source, error) {
	file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	return &source{pkg: pkg, name: name, lines: bytes.Count(text, []byte("\n")), file: file}, nil
}

// sources reads the module's Go files: no tests, no test data, no module of its own below.
func sources(t *testing.T) []*source {
	t.Helper()
	var all []*source
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if file == root {
				return nil
			}
			_, notModule := os.Stat(filepath.Join(file, "go.mod"))
			if notModule == nil || entry.Name() == "testdata" || strings.HasPrefix(entry.Name(), ".") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		relative = filepath.ToSlash(relative)
		s, err := parse(path.Dir(relative), path.Base(relative), text)
		if err != nil {
			return err
		}
		all = append(all, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestHouse(t *testing.T) {
	files := sources(t)
	if len(files) == 0 {
		t.Fatal("no Go file found: the test looks in the wrong place")
	}
	for _, s := range files {
		for _, name := range slices.Sorted(maps.Keys(rules)) {
			for _, wrong := range rules[name](s) {
				t.Errorf("%s/%s: %s", s.pkg, s.name, wrong)
			}
		}
	}
}

// strangers returns the names that have no business at the top: neither one of
// the fixed ones nor a product that git ignores.
func strangers(names []string, ignored []string) (found []string) {
	for _, name := range names {
		known := slices.Contains(topLevel, name) || slices.ContainsFunc(ignored, func(pattern string) bool {
			matches, err := path.Match(strings.Trim(pattern, "/"), name)
			return err == nil && matches
		})
		if !known {
			found = append(found, name)
		}
	}
	return found
}

func TestTopLevel(t *testing.T) {
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	if !slices.Contains(names, "go.mod") {
		t.Fatal("no go.mod here: the test looks in the wrong place")
	}
	ignored, err := os.ReadFile(filepath.Join(root, ".gitignore"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range strangers(names, strings.Fields(string(ignored))) {
		t.Errorf("%s: a new entry at the top needs a reason that the architecture can't answer", name)
	}
}

func TestTopLevelFindsStrangers(t *testing.T) {
	got := strangers([]string{"cmd", "utils", "vpn", "cpu.prof", "go.mod"}, []string{"/vpn", "*.prof"})
	if !slices.Equal(got, []string{"utils"}) {
		t.Errorf("strangers = %q, want utils alone", got)
	}
}

// TestRulesCanFail holds each rule against a file that breaks it, and against
// one that only nearly does.
func TestRulesCanFail(t *testing.T) {
	tests := []struct {
		rule, pkg, text string
		wrong           int
	}{
		{"layers", "noise", `import _ "vpn/rekey"`, 1},
		{"layers", "rekey", `import _ "vpn/noise"`, 1},
		{"layers", "rekey", `import _ "vpn/noise/aead"`, 0},
		{"layers", "rekey", `import _ "vpn/noise/key"`, 1},
		{"layers", "tunnel", `import _ "vpn/conf"`, 1},
		{"layers", "tunnel", `import _ "vpn/tunnel/internal/sim"`, 0},
		{"layers", "tunnel/uapi", `import _ "vpn/conf"`, 1},
		{"layers", "tunnel/udp", `import _ "vpn/tunnel"`, 1},
		{"layers", "tun", `import _ "vpn/tun/host"`, 1},
		{"layers", "tun/netstack", `import _ "vpn/tun"`, 0},
		{"layers", "tun/host", `import ("vpn/conf"; "vpn/tunnel")`, 1},
		{"layers", "noise/aead/internal/chacha", `import _ "vpn/noise/aead"`, 0},
		{"layers", "noise/aead/internal/chacha", `import _ "vpn/noise"`, 1},
		{"layers", "conf", `import _ "vpn/cmd/internal/cli"`, 1},
		{"layers", "cmd/internal/cli", `import ("vpn/conf"; "vpn/tunnel")`, 0},
		{"layers", "helpers", ``, 1},
		{"layers", "conf", `import _ "vpn/helpers"`, 1},
		{"purity", "noise/key", `import _ "os"`, 1},
		{"purity", "noise/aead", `import ("os"; "os/exec")`, 1},
		{"purity", "noise/cookie", `import ("net"; "net/netip")`, 1},
		{"purity", "rekey", `import ("log/slog"; "runtime"; "runtime/secret"; "crypto/rand")`, 3},
		{"purity", "tun/offload", `import ("golang.org/x/sys/unix"; "golang.org/x/sys/plan9")`, 2},
		{"purity", "tun/offload", `import _ "golang.org/x/sys/cpu"`, 0},
		{"purity", "rekey", `import ("golang.zx2c4.com/wireguard/replay"; "golang.zx2c4.com/wireguard/device")`, 1},
		{"purity", "tunnel", `import ("net"; "os")`, 0},
		{"clocks", "rekey", `import "time"; var _ = time.Now()`, 1},
		{"clocks", "noise", `import clock "time"; var _ = clock.Since`, 1},
		{"clocks", "noise", `import . "time"`, 1},
		{"clocks", "rekey", `import "time"; var _ = 3 * time.Second`, 0},
		{"clocks", "tunnel", `import "time"; var _ = time.Now()`, 0},
		{"routines", "noise/aead", `func f() { go f() }`, 1},
		{"routines", "tunnel", `func f() { go f() }`, 0},
		{"reserved", "tunnel", `import ("github.com/spf13/cobra"; "os/signal")`, 2},
		{"reserved", "tun/host", `import _ "github.com/coreos/go-systemd/v22/daemon"`, 1},
		{"reserved", "conf", `import _ "log/slog"`, 1},
		{"reserved", "cmd/internal/demo", `import ("vpn/tun/netstack"; "vpn/tun")`, 1},
		{"reserved", "tunnel/uapi", `import _ "log/slog"`, 0},
		{"reserved", "cmd/internal/cli", `import ("github.com/spf13/cobra"; "os/signal")`, 0},
		{"reserved", "tunnel", `import _ "golang.zx2c4.com/wireguard/device"`, 1},
		{"length", "conf", strings.Repeat("\n", maxLines), 1},
		{"length", "conf", strings.Repeat("\n", maxLines-1), 0},
	}
	broken := map[string]bool{}
	for _, test := range tests {
		s, err := parse(test.pkg, "twin.go", []byte("package twin\n"+test.text))
		if err != nil {
			t.Fatalf("%s: %v", test.text, err)
		}
		if got := rules[test.rule](s); len(got) != test.wrong {
			t.Errorf("%s in %s: %q: %d complaints %q, want %d", test.rule, test.pkg, test.text, len(got), got, test.wrong)
		}
		broken[test.rule] = broken[test.rule] || test.wrong > 0
	}
	for name := range rules {
		if !broken[name] {
			t.Errorf("no twin breaks the rule %s", name)
		}
	}
}
