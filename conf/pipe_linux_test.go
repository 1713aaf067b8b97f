package conf

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestReadFileOfAPipe reads what somebody writes to a named pipe, and does not wait
// for ever where nobody does.
func TestReadFileOfAPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "wg0.conf")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ReadFile(path); err == nil || err.Error() != path+": is a pipe, through which nothing comes" {
		t.Errorf("nobody writes: got %v", err)
	}
	w, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		io.WriteString(w, "[Interface]\n")
		w.Close()
	}()
	if text, _, err := ReadFile(path); string(text) != "[Interface]\n" || err != nil {
		t.Errorf("somebody writes: got %q, %v", text, err)
	}
}
