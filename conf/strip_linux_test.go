package conf_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vpn/conf"
)

// Stripped, a file is byte for byte what Debian's wg-quick makes of it.
func TestStripIsLikeWgQuick(t *testing.T) {
	if _, err := exec.LookPath("wg-quick"); err != nil {
		t.Log("wg-quick is not installed: there is nothing to compare with")
		return
	}
	everything, err := os.ReadFile("testdata/everything.conf")
	if err != nil {
		t.Fatal(err)
	}
	files := append([]string{
		string(everything),
		strings.ReplaceAll(string(everything), "\n", "\r\n"),
		"# above\n\n \t# indented \t\n[Interface] # x\n\n  Address = 10.0.0.1 # y\n\tListenPort = 1  \n\n\n" + one + "# the last line",
		"[interface]\nADDRESS=10.0.0.1\npostup = echo [Peer]\nTable = off\n#MTU = 1400\n" + one + "[Interface]\nMTU = 1400\nFwMark = 1",
		"[Interface]\nPostUp = echo a \\\nPreDown = echo \\n\n",
	}, agreed...)
	path := filepath.Join(t.TempDir(), "strip.conf")
	compared := 0
	for _, text := range files {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		want, err := exec.Command("wg-quick", "strip", path).Output()
		got, _, refused := conf.Strip("strip.conf", []byte(text))
		if err != nil || refused != nil {
			continue // TestStockAgrees says whether rightly
		}
		compared++
		if d := cmp.Diff(string(want), string(got)); d != "" {
			t.Errorf("%q: (-wg-quick +ours)\n%s", text, d)
		}
	}
	if compared < 30 {
		t.Errorf("only %d files were compared", compared)
	}
}

func TestStripRefuses(t *testing.T) {
	got, _, err := conf.Strip("wg0.conf", []byte("[Interface]\nAddress = 10.0.0.1/33\n"))
	if got != nil || err == nil || err.Error() != `wg0.conf:2: Address "10.0.0.1/33": prefix length exceeds 32` {
		t.Errorf("got %q, %v", got, err)
	}
}
