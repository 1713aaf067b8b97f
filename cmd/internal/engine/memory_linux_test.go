package engine

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestArenaIsGuarded reads from the kernel how the memory that keys came to lie
// in is mapped.
func TestArenaIsGuarded(t *testing.T) {
	before := guardedMappings(t)
	var log bytes.Buffer
	arena := NewArena(slog.New(slog.NewTextHandler(&log, nil)))
	k, err := arena.NewKey(&[32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Erase()
	if log.Len() > 0 {
		t.Errorf("memory for one arena can't be locked: %s", &log)
	}
	if after := guardedMappings(t); after <= before {
		t.Errorf("%d bytes are locked and not dumped, %d before", after, before)
	}
}

// guardedMappings is how many bytes are both locked and left out of dumps.
func guardedMappings(t *testing.T) (bytes int) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	size := 0
	for line := range strings.Lines(string(text)) {
		fmt.Sscanf(line, "Size: %d kB", &size)
		if flags, ok := strings.CutPrefix(line, "VmFlags:"); ok && strings.Contains(flags, " lo ") && strings.Contains(flags, " dd ") {
			bytes += size << 10
		}
	}
	return bytes
}

// TestUnlockedIsWarnedOfOnce forbids to lock memory.
func TestUnlockedIsWarnedOfOnce(t *testing.T) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_MEMLOCK, &limit)
	withoutCapabilities(t)

	var log bytes.Buffer
	arena := NewArena(slog.New(slog.NewTextHandler(&log, nil)))
	for n := range 5000 { // several chunks
		k, err := arena.NewKey(&[32]byte{byte(n)})
		if err != nil {
			t.Fatal(err)
		}
		defer k.Erase()
	}
	if warnings := strings.Count(log.String(), "session keys may be swapped"); warnings != 1 {
		t.Errorf("%d warnings:\n%s", warnings, &log)
	}
}

// withoutCapabilities takes root's privileges off this goroutine's thread until
// the test ends. The thread ends with the goroutine.
func withoutCapabilities(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capset(&header, &data[0]); err != nil {
		t.Fatal(err)
	}
}

func TestHarden(t *testing.T) {
	var core unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &core); err != nil {
		t.Fatal(err)
	}
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	if err := Harden(); err != nil {
		t.Fatal(err)
	}
	// So that the tests that follow can read /proc/self, whoever runs them.
	defer unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0)
	if dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil || dumpable != 0 {
		t.Errorf("dumpable is %d (%v)", dumpable, err)
	}
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &core); err != nil || core != (unix.Rlimit{}) {
		t.Errorf("core limit is %v (%v)", core, err)
	}
	var now unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &now); err != nil || now != files {
		t.Errorf("descriptor limit is %v, and was %v (%v)", now, files, err)
	}
}
