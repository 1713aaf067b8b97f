package conf

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// documented matches a key under which vpn.conf(5) describes one or several.
var documented = regexp.MustCompile(`(?m)^\.It (Ic .*)$`)

// TestManual holds vpn.conf(5) against what is read: each section of the page has
// its keys, and no other.
func TestManual(t *testing.T) {
	text, err := os.ReadFile("../scripts/man/vpn.conf.5")
	if err != nil {
		t.Fatal(err)
	}
	for title, fields := range map[string]map[string]field{
		"SETTINGS OF THE INTERFACE":   interfaceSettings,
		"DIRECTIVES OF THE INTERFACE": interfaceDirectives,
		"SETTINGS OF A PEER":          peerSettings,
		"DIRECTIVES OF A PEER":        peerDirectives,
	} {
		_, section, found := strings.Cut(string(text), ".Sh "+title+"\n")
		if !found {
			t.Errorf("the page has no section %s", title)
		}
		section, _, _ = strings.Cut(section, "\n.Sh ")
		var got, want []string
		for _, item := range documented.FindAllStringSubmatch(section, -1) {
			for _, word := range strings.Fields(item[1]) {
				if word != "Ic" && word != "," {
					got = append(got, word)
				}
			}
		}
		for _, f := range fields {
			want = append(want, f.name)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: the page has %q, but there are %q", title, got, want)
		}
	}
}

// The page's examples are files that nothing is wrong with.
func TestManualExamples(t *testing.T) {
	text, err := os.ReadFile("../scripts/man/vpn.conf.5")
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(text), ".Bd -literal\n[Interface]\n")[1:]
	if len(parts) != 2 {
		t.Fatalf("the page has %d examples", len(parts))
	}
	for _, part := range parts {
		example, _, _ := strings.Cut("[Interface]\n"+part, ".Ed\n")
		example = strings.ReplaceAll(example, `\-`, "-")
		if _, warnings, err := Parse("example", []byte(example), WGQuick); err != nil || len(warnings) > 0 {
			t.Errorf("%v, %v:\n%s", messages(err), warnings, example)
		}
	}
}
