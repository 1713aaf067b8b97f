package cli

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestDaemonTellsItsParent starts a daemon as detach does, with a descriptor
// that is no TUN link: its error goes to who started it, and nowhere else.
func TestDaemonTellsItsParent(t *testing.T) {
	status, told, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer status.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	var stderr bytes.Buffer
	cmd := exec.Command("vpn", "device", "status0")
	cmd.Stderr = &stderr
	cmd.ExtraFiles = []*os.File{null, null, told}
	cmd.Env = childEnv(os.Environ(), 1)
	err = cmd.Run()
	told.Close()
	text, readErr := io.ReadAll(status)
	if readErr != nil {
		t.Fatal(readErr)
	}
	if _, failed := err.(*exec.ExitError); !failed {
		t.Errorf("the daemon ends with %v", err)
	}
	if !strings.HasPrefix(string(text), "error: tun: ") || strings.Count(string(text), "\n") != 1 {
		t.Errorf("its parent is told %q", text)
	}
	if stderr.Len() > 0 {
		t.Errorf("it prints %q too", &stderr)
	}
}

// TestChildEnv has variables of an outer daemon, which must not be the inner
// one's.
func TestChildEnv(t *testing.T) {
	outer := []string{"HOME=/", envTunFD + "=9", envForeground + "=0", "LOG_LEVEL=debug", envStatusFD + "=8"}
	for link, want := range map[int]string{
		1: "WG_TUN_FD=3 WG_UAPI_FD=4 VPN_STATUS_FD=5 WG_PROCESS_FOREGROUND=1 HOME=/ LOG_LEVEL=debug",
		4: "WG_TUN_FD=3,4,5,6 WG_UAPI_FD=7 VPN_STATUS_FD=8 WG_PROCESS_FOREGROUND=1 HOME=/ LOG_LEVEL=debug",
	} {
		if got := strings.Join(childEnv(outer, link), " "); got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
	}
}

func TestStatusPipe(t *testing.T) {
	var none *statusPipe
	none.ready()
	if err := none.failed(os.ErrInvalid); err != os.ErrInvalid {
		t.Errorf("without a pipe: %v", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s := &statusPipe{w}
	s.ready()
	// What happens later is nothing that the parent waits for.
	if err := s.failed(os.ErrInvalid); err != os.ErrInvalid {
		t.Errorf("after ready: %v", err)
	}
	if text, err := io.ReadAll(r); err != nil || string(text) != statusReady {
		t.Errorf("told %q, %v", text, err)
	}
}
