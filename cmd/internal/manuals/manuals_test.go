package main

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/spf13/pflag"

	"vpn/cmd/internal/cli"
)

const folder = "../../../scripts/man"

func TestMain(m *testing.M) {
	if _, err := exec.LookPath("mandoc"); err != nil {
		if text, err := exec.Command("../../../scripts/setup").CombinedOutput(); err != nil {
			panic(string(text))
		}
	}
	os.Exit(m.Run())
}

// names lists the pages that there are.
func names(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, pattern))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no page %s: %v", pattern, err)
	}
	for i, path := range paths {
		paths[i] = filepath.Base(path)
	}
	return paths
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestPagesAreUpToDate(t *testing.T) {
	const remedy = "out of date: run `go generate ./cmd/internal/manuals` in the module's folder"
	pages, err := generate(read(t, "vpn.8"))
	if err != nil {
		t.Fatal(err)
	}
	want, got := slices.Sorted(maps.Keys(pages)), names(t, "*.8")
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Fatalf("the pages %q are %s, which makes %q", got, remedy, want)
	}
	for name, text := range pages {
		if !bytes.Equal(read(t, name), text) {
			t.Errorf("%s is %s", name, remedy)
		}
	}
}

// A page of another package, which need not be installed where the test runs.
var foreign = regexp.MustCompile(`referenced manual not found: Xr (ip|wg|wg-quick|resolvconf|systemd\.[a-z]+) `)

// TestMandocFindsNoFault also finds pages of ours that are spoken of and not there.
func TestMandocFindsNoFault(t *testing.T) {
	all := names(t, "*.[58]")
	cmd := exec.Command("mandoc", append([]string{"-Tlint"}, all...)...)
	cmd.Dir = folder
	said, _ := cmd.Output() // the exit code says what is printed, too
	for complaint := range strings.Lines(string(said)) {
		if !foreign.MatchString(complaint) {
			t.Error(complaint)
		}
	}
	broken := exec.Command("mandoc", "-Tlint")
	broken.Stdin = strings.NewReader(".Dd November 26, 2026\n.Dt X 8\n.Os\n.Sh NAME\n.Nm x\n.Nd x.\n")
	if text, err := broken.Output(); err == nil || !strings.Contains(string(text), "trailing delimiter: Nd x.") {
		t.Errorf("mandoc finds no fault with a page that has one: %s, %v", text, err)
	}
}

// An overstrike, by which mandoc makes bold and underlined text.
var overstrike = regexp.MustCompile(`.\x08`)

// shown is what a person reads on a page, without white space, which is another
// where lines are filled anew.
func shown(t *testing.T, name string) string {
	t.Helper()
	text, err := exec.Command("mandoc", "-Tutf8", "-Owidth=200", filepath.Join(folder, name)).Output()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return bare(overstrike.ReplaceAllString(string(text), ""))
}

func bare(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, s)
}

// What a command says of itself is what its page shows: nothing of it is lost to
// roff, and nothing is added.
func TestPagesSayWhatCommandsSay(t *testing.T) {
	for _, cmd := range commands(cli.Commands()) {
		page := shown(t, pageName(cmd)+".8")
		parts := []string{cmd.Long, cmd.Example}
		if !cmd.HasSubCommands() {
			parts = append(parts, "SYNOPSIS"+cmd.UseLine()+"DESCRIPTION")
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			_, usage := pflag.UnquoteUsage(f)
			if !f.Hidden && f.Name != "help" {
				parts = append(parts, "--"+f.Name, strings.ToUpper(usage[:1])+usage[1:])
			}
		})
		for _, part := range parts {
			if !strings.Contains(page, bare(part)) {
				t.Errorf("%s lacks %q:\n%s", pageName(cmd), bare(part), page)
			}
		}
	}
}

func TestSentences(t *testing.T) {
	var b strings.Builder
	prose(&b, "One (of two). And \"so on.\" It takes A,... and B\\n\n.Sh not, 'x'.\nKeys:\n  as it\n  is\nafter\n\n  more\n\nend")
	want := "One (of two).\nAnd \"so on.\"\nIt takes A,... and B\\en .Sh not, \\(aqx\\(aq.\nKeys:\n" +
		".Bd -literal -offset indent\nas it\nis\n.Ed\n.Pp\nafter\n.Bd -literal -offset indent\nmore\n.Ed\n.Pp\nend\n"
	if got := b.String(); got != want {
		t.Errorf("got\n%s", got)
	}
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	if err := run([]string{dir}); err == nil {
		t.Error("without vpn.8 there is no place for the list")
	}
	if err := os.WriteFile(filepath.Join(dir, "vpn.8"), []byte("before\n"+listBegin+"old\n"+listEnd+"after\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "vpn-gone.8"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run([]string{dir}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "vpn-gone.8")); err == nil {
		t.Error("the page of a command that has gone is still there")
	}
	text, err := os.ReadFile(filepath.Join(dir, "vpn.8"))
	if err != nil || !bytes.HasPrefix(text, []byte("before\n"+listBegin)) || !bytes.HasSuffix(text, []byte(listEnd+"after\n")) || bytes.Contains(text, []byte("old")) {
		t.Errorf("%v:\n%s", err, text)
	}
	for _, args := range [][]string{nil, {dir, dir}} {
		if run(args) == nil {
			t.Errorf("%q is taken", args)
		}
	}
}
