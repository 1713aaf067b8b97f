package house

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

var (
	named   = regexp.MustCompile("`([a-z0-9]+)\\.((?:Test|Fuzz)[A-Za-z0-9]+)`")
	defined = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9]+)\(`)
)

// TestNamedTestsAreThere looks for each test that a document names as the one that
// holds what it says: in the package of that name.
func TestNamedTestsAreThere(t *testing.T) {
	there := map[string]bool{}
	err := filepath.WalkDir(root, func(file string, entry os.DirEntry, err error) error {
		if err != nil || !regexp.MustCompile(`_test\.go$`).MatchString(file) {
			return err
		}
		text, err := os.ReadFile(file)
		for _, match := range defined.FindAllSubmatch(text, -1) {
			there[filepath.Base(filepath.Dir(file))+"."+string(match[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range []string{"ARCHITECTURE.md", "SECURITY.md", "tunnel/FAULTS.md"} {
		text, err := os.ReadFile(filepath.Join(root, document))
		if err != nil {
			t.Fatal(err)
		}
		all := named.FindAllSubmatch(text, -1)
		if len(all) < 10 {
			t.Errorf("%s names %d tests", document, len(all))
		}
		for _, match := range all {
			if name := string(match[1]) + "." + string(match[2]); !there[name] {
				t.Errorf("%s names %s, which is nowhere", document, name)
			}
		}
	}
}
