package cli

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

func TestRootScripts(t *testing.T) {
	if !isolated(t) {
		return
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/root",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"ready": func(ts *testscript.TestScript, _ bool, args []string) {
				await(ts, "/run/wireguard/"+args[0]+".sock", true)
				_, err := get(args[0]) // returns when the interface answers
				ts.Check(err)
			},
			"gone": func(ts *testscript.TestScript, _ bool, args []string) { await(ts, args[0], false) },
		},
	})
}

// await waits until a file is there, or is not.
func await(ts *testscript.TestScript, path string, there bool) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	ts.Check(err)
	defer unix.Close(fd)
	_, err = unix.InotifyAddWatch(fd, filepath.Dir(path), unix.IN_CREATE|unix.IN_DELETE|unix.IN_MOVE)
	ts.Check(err)
	events := make([]byte, 4096)
	for {
		if _, err := os.Lstat(path); there == (err == nil) {
			return
		}
		_, err := unix.Read(fd, events)
		ts.Check(err)
	}
}
