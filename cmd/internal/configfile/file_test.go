package configfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestFind(t *testing.T) {
	for arg, want := range map[string]File{
		"wg0":                    {"wg0", "/etc/wireguard/wg0.conf"},
		"a_b=c+d.e-f":            {"a_b=c+d.e-f", "/etc/wireguard/a_b=c+d.e-f.conf"},
		"wg0.conf":               {"wg0", "wg0.conf"},
		"./wg0.conf":             {"wg0", "./wg0.conf"},
		"/run/secrets/wg0":       {"wg0", "/run/secrets/wg0"},
		"/a/b.conf":              {"b", "/a/b.conf"},
		"./a.conf.conf":          {"a.conf", "./a.conf.conf"},
		"-":                      {},
		"fifteen-letters":        {"fifteen-letters", "/etc/wireguard/fifteen-letters.conf"},
		"./fifteen-letters.conf": {"fifteen-letters", "./fifteen-letters.conf"},
	} {
		if got, err := Find(arg); got != want || err != nil {
			t.Errorf("%q: got %v, %v", arg, got, err)
		}
	}
	const hint = "a name has 1 to 15 letters, digits, and _ = + . -"
	for arg, want := range map[string]string{
		"":                  `"" can't be the name of an interface`,
		"..":                `".." can't be the name of an interface`,
		"wg 0":              `"wg 0" can't be the name of an interface`,
		"sixteen--letters":  `"sixteen--letters" can't be the name of an interface`,
		"/":                 `"/" is a file whose name can't be that of an interface`,
		"/etc/wireguard/..": `"/etc/wireguard/.." is a file whose name can't be that of an interface`,
		".conf":             `".conf" is a file whose name can't be that of an interface`,
		"/a/my tunnel.conf": `"/a/my tunnel.conf" is a file whose name can't be that of an interface`,
	} {
		_, err := Find(arg)
		var h *argumentError
		if !errors.As(err, &h) || err.Error() != want || h.Hint() != hint {
			t.Errorf("%q: got %v", arg, err)
		}
	}
}

func TestReadOfWhatIsNotThere(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"office.conf", "home.conf", "off site.conf", "notes.txt"} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir("folder.conf", 0o700); err != nil {
		t.Fatal(err)
	}
	absolute, err := filepath.Abs("home.conf")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", "dangling.conf"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := (File{Name: "dangling", Path: "dangling.conf"}).Read(); !errors.Is(err, fs.ErrNotExist) || err.Error() != "dangling.conf is a link to nowhere, which is not there" {
		t.Errorf("got %v", err)
	}
	if err := os.Remove("dangling.conf"); err != nil {
		t.Fatal(err)
	}
	for arg, want := range map[string]string{
		"Ofice.conf": "did you mean office.conf?",
		"./x.conf":   "there are home.conf, office.conf",
		filepath.Join(filepath.Dir(absolute), "homme.conf"): "did you mean " + absolute + "?",
		"no/x.conf":     "",
		"folder.conf/a": "",
	} {
		f, err := Find(arg)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = f.Read()
		var h *argumentError
		if !errors.Is(err, fs.ErrNotExist) || !errors.As(err, &h) || h.Hint() != want || err.Error() != "there is no file "+arg {
			t.Errorf("%s: got %v, %+v", arg, err, h)
		}
	}
}

func TestListed(t *testing.T) {
	many := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i"}
	for _, c := range []struct {
		names  []string
		wanted string
		want   string
	}{
		{[]string{"wg0", "wg1", "x"}, "wg2", "did you mean wg0 or wg1?"},
		{[]string{"wg0", "x"}, "y", "there are wg0, x"},
		{many, "zz", "there are a, b, c, d, e, f, g, h, ..."},
		{many, "a", "did you mean a?"},
		{nil, "a", "there is none in /etc/wireguard; a file elsewhere is named by its path"},
	} {
		if got := listed(c.names, c.wanted, true); got != c.want {
			t.Errorf("%v, %s: got %s", c.names, c.wanted, got)
		}
	}
}

func TestPeek(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const private = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
	c := Peek(write("wg0.conf", "[Interface]\nPrivateKey = "+private+"\nListenPort = 4\n"))
	if c == nil || c.Interface.ListenPort.Value != 4 {
		t.Fatal("a valid file says nothing")
	}
	if !c.Interface.PrivateKey.Value.IsZero() {
		t.Error("the private key is still there")
	}
	for _, arg := range []string{"-", "not a name", filepath.Join(dir, "gone.conf"), write("wg1.conf", "[Interface]\nListenPort = x\n")} {
		if Peek(arg) != nil {
			t.Errorf("%q says something", arg)
		}
	}
}
