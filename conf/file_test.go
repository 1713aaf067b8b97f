package conf

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestReadFileChecksTheMode(t *testing.T) {
	if !modesMatter {
		t.Log("files have no modes here: nothing to check")
		return
	}
	dir := t.TempDir()
	path, link := filepath.Join(dir, "wg0.conf"), filepath.Join(dir, "link.conf")
	if err := os.WriteFile(path, []byte("[Interface]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[os.FileMode]string{
		0o600: "",
		0o400: "",
		0o640: "",
		0o644: "F: anybody may read it (mode 0644)",
		0o620: "F: its group may write to it (mode 0620)",
		0o664: "F: anybody may read it (mode 0664), F: its group may write to it (mode 0664)",
		0o602: "error: F: anybody may write to it (mode 0602)",
		0o666: "error: F: anybody may write to it (mode 0666)",
	} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{path, link} { // a link's own mode says nothing
			text, warnings, err := ReadFile(name)
			var got []string
			for _, w := range warnings {
				got = append(got, w.String())
			}
			if err != nil {
				got = append(got, "error: "+err.Error())
			} else if string(text) != "[Interface]\n" {
				t.Errorf("%04o: read %q", mode, text)
			}
			if g := strings.ReplaceAll(strings.Join(got, ", "), name, "F"); g != want {
				t.Errorf("%04o: got %q, want %q", mode, g, want)
			}
		}
	}
}

func TestReadFileRefuses(t *testing.T) {
	dir := t.TempDir()
	if _, _, err := ReadFile(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if _, _, err := ReadFile(dir); err == nil || err.Error() != dir+": is a directory" {
		t.Errorf("got %v", err)
	}
}

// What comes through a pipe, such as `vpn setconf wg0 /dev/stdin`, has no mode.
func TestReadAPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	want := strings.Repeat("# a comment\n", 10_000)
	go func() {
		io.WriteString(w, want)
		w.Close()
	}()
	text, warnings, err := Read(r, "-")
	if string(text) != want || len(warnings) > 0 || err != nil {
		t.Errorf("got %d bytes, %v, %v", len(text), warnings, err)
	}
}

// endless gives bytes and remembers where it put them.
type endless struct{ buffers [][]byte }

func (e *endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 's'
	}
	e.buffers = append(e.buffers, b)
	if len(e.buffers) > 5 {
		return 0, errors.New("enough")
	}
	return len(b), nil
}

func TestReadAllLeavesNoCopy(t *testing.T) {
	e := new(endless)
	if _, err := readAll(e, 0); err == nil || err.Error() != "enough" {
		t.Fatalf("got %v", err)
	}
	for i, b := range e.buffers[:5] {
		if slices.Contains(b, 's') {
			t.Errorf("buffer %d still has the text", i)
		}
	}
}
